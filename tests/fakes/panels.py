"""What Grafana asks of Prometheus for a dashboard: its queries, with the variables filled in as Grafana does it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOARDS = Path(__file__).parents[2] / "dashboards" / "grafana"

Board = dict[str, Any]
Values = Mapping[str, str | Sequence[str]]
"""Variables and what is chosen: one value, or several where more than one may be. What is not named is at All."""

VARIABLE = re.compile(r"\$(?:\{(\w+)(?::(\w+))?\}|(\w+))|\[\[(\w+)\]\]")
SPECIAL = re.compile(r"[\\^$*+?.()|{}\[\]]")
"""What Grafana's Prometheus data source escapes in the values of a variable of which several may be chosen."""


@dataclass(frozen=True)
class Query:
    """One query of one panel, or of one annotation, with its variables still in it."""

    panel: str
    """The panel's title; for an annotation its name."""
    ref: str
    expression: str
    instant: bool = False
    interval: str = ""
    """The least step that the panel or the query asks for, such as ``1m``; empty: the scrape interval."""


@dataclass(frozen=True)
class View:
    """What a person looks at: how far back, drawn how finely, of what is scraped how often. Seconds."""

    range: float
    points: int = 240
    scrape: float = 30.0

    def step(self, least: str = "") -> float:
        """``$__interval``: a point for each of ``points``, but not finer than the data."""
        return max(self.range / self.points, seconds(least) if least else self.scrape)

    def rate_interval(self, least: str = "") -> float:
        """``$__rate_interval``: four scrapes, or a step and a scrape where that is more."""
        scrape = seconds(least) if least else self.scrape
        return max(self.step(least) + scrape, 4 * scrape)


def boards(folder: Path = BOARDS) -> dict[str, Board]:
    """All committed dashboards by their file's name without ``.json``."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def panels(board: Board) -> Iterator[dict[str, Any]]:
    """All panels, those of collapsed rows too; no rows."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def queries(board: Board) -> list[Query]:
    """All of its panels' queries, in order."""
    return [
        Query(
            panel["title"],
            target["refId"],
            target["expr"],
            bool(target.get("instant")),
            target.get("interval") or panel.get("interval") or "",
        )
        for panel in panels(board)
        for target in panel.get("targets", ())
    ]


def annotations(board: Board) -> list[Query]:
    """The queries of its annotations, Grafana's own built-in one left out."""
    listed = board.get("annotations", {}).get("list", ())
    return [
        Query(one["name"], "Anno", one["expr"], interval=one.get("step") or "")
        for one in listed
        if not one.get("builtIn")
    ]


def asked(board: Board, query: Query, view: View, values: Values | None = None) -> str:
    """The PromQL that is sent. Fails where a variable is left that nobody defines."""
    return _filled(board, query.expression, values or {}, _built_in(query, view))


def choices(board: Board, name: str, values: Values | None = None) -> tuple[str, str]:
    """Of which label the variable ``name`` offers the values, and of which series."""
    (variable,) = (one for one in board["templating"]["list"] if one["name"] == name)
    match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert match, f"{name} offers no values of a label: {variable['query']}"
    return match[2], _filled(board, match[1], values or {}, {})


def _filled(board: Board, text: str, values: Values, built_in: Mapping[str, str]) -> str:
    variables = {one["name"]: one for one in board.get("templating", {}).get("list", ())}

    def value(match: re.Match[str]) -> str:
        name = next(group for group in (match[1], match[3], match[4]) if group)
        if name in built_in:
            return built_in[name]
        assert name in variables, f"${name} is defined nowhere"
        return _chosen(variables[name], values)

    return VARIABLE.sub(value, text)


def _chosen(variable: Mapping[str, Any], values: Values) -> str:
    """What stands in the query for a variable: its value, or one regular expression for all that are chosen."""
    value = values.get(variable["name"])
    if value is None:
        return _all(variable)
    several = variable.get("multi") or variable.get("includeAll")
    if not several:
        assert isinstance(value, str), f"{variable['name']} takes one value"
        return value.replace("\\", "\\\\").replace('"', '\\"')
    escaped = [SPECIAL.sub(r"\\\\\g<0>", one) for one in ([value] if isinstance(value, str) else value)]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _all(variable: Mapping[str, Any]) -> str:
    assert variable.get("includeAll"), f"{variable['name']} has no All: choose a value"
    assert variable.get("allValue"), f"{variable['name']}: All would list every value"
    return str(variable["allValue"])


def _built_in(query: Query, view: View) -> dict[str, str]:
    step = view.step(query.interval)
    return {
        "__interval": duration(step),
        "__interval_ms": f"{step * 1000:.0f}",
        "__rate_interval": duration(view.rate_interval(query.interval)),
        "__range": duration(view.range),
        "__range_s": f"{view.range:.0f}",
        "__range_ms": f"{view.range * 1000:.0f}",
    }


UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """``30s``, ``1m``, ``2h`` in seconds."""
    match = re.fullmatch(r">?(\d+)(ms|[smhd])", text)
    assert match, f"{text!r} is no duration"
    return int(match[1]) * UNITS[match[2]]


def duration(length: float) -> str:
    """So many seconds as PromQL has them; whole milliseconds."""
    return f"{length:.0f}s" if length == int(length) else f"{length * 1000:.0f}ms"
