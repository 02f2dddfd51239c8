"""What each query of a dashboard is expected to give in each situation: tables that a person can read, and their check.

A table is a Markdown file of tests/fixtures/panels. Its first column names the panel, the second the query: its letter,
and ``now`` for a value at the end of the time range, ``range`` for values over it or ``mark`` for an annotation. Each
other column is a situation, and each cell one of

    -         nothing
    data      one series or more
    3         one series whose newest value is this number
    0.6-0.95  one series whose newest value is between these
    x3        so many series
    a, b      series that have these values in one of their labels, and no others
    1 mark    one stretch of points in time, after the leak began that led to the restart
    limited   `data` where a container with a memory limit could be made
    any       whatever; for what a busy machine can bring about
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fakes.panels import Query
from fakes.prometheus import Labels

TABLES = Path(__file__).parents[1] / "fixtures" / "panels"

Points = Sequence[tuple[float, float]]
"""Unix times and values."""
Series = Sequence[tuple[Labels, Points]]

NUMBER = r"\d+(?:\.\d+)?"
FAR_SECONDS = 30.0
"""Points further apart are marks of different events."""


@dataclass(frozen=True)
class Known:
    """What cells are judged by besides the answer."""

    restarting: float
    has_limit: bool


@dataclass(frozen=True)
class Table:
    """One dashboard's."""

    situations: Sequence[str]
    rows: dict[tuple[str, str], dict[str, str]]
    """Cells by situation; of a panel and a query."""


def key(query: Query) -> tuple[str, str]:
    """The first two columns of its row."""
    kind = "mark" if query.ref == "Anno" else f"{query.ref} {'now' if query.instant else 'range'}"
    return query.panel, kind


def read(name: str, folder: Path = TABLES) -> Table:
    """The table of the dashboard of this name."""
    lines = [line for line in (folder / f"{name}.md").read_text().splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for panel, query, *cells in body:
        assert (panel, query) not in rows, f"{name}: {panel}, {query} stands there twice"
        rows[panel, query] = dict(zip(head[2:], cells, strict=True))
    return Table(head[2:], rows)


def fault(cell: str, series: Series, known: Known) -> str | None:
    """How an answer differs from what the cell says; None where it does not."""
    if cell == "limited":
        cell = "data" if known.has_limit else "any"
    if cell == "any" or (cell == "-" and not series):
        return None
    if series and _holds(cell, series, known):
        return None
    return f"expected {cell}, found {_told(series)}"


def _holds(cell: str, series: Series, known: Known) -> bool:
    newest = [points[-1][1] for _, points in series]
    if cell == "data":
        return all(value == value for value in newest)  # noqa: PLR0124  NaN is nothing to look at
    if cell == "1 mark":
        return len(series) == 1 and _one_stretch(series[0][1], known.restarting)
    if match := re.fullmatch(rf"({NUMBER})(?:-({NUMBER}))?", cell):
        low, high = float(match[1]), float(match[2] or match[1])
        return len(newest) == 1 and low <= newest[0] <= high
    if match := re.fullmatch(r"x(\d+)", cell):
        return len(series) == int(match[1])
    return _named(cell, series)


def _one_stretch(points: Points, earliest: float) -> bool:
    times = [time for time, _ in points]
    gaps = (later - sooner for sooner, later in pairwise(times))
    return times[0] >= earliest and all(gap < FAR_SECONDS for gap in gaps)


def _named(cell: str, series: Series) -> bool:
    """Whether some label has just these values."""
    wanted = {one.strip() for one in cell.split(",")}
    names = {name for labels, _ in series for name in labels}
    return any({labels.get(name, "(none)") for labels, _ in series} == wanted for name in names)


def _told(series: Series) -> str:
    some = "; ".join(f"{dict(labels)} … {points[-1][1]:g}" for labels, points in series[:4])
    return f"{len(series)} series: {some}" if series else "nothing"
