"""What the builders leave out or put wrong: places on the grid, ids, names of queries, legends, stray keys."""

from collections.abc import Iterator
from itertools import count
from string import ascii_uppercase
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 42
COLUMNS = 24

_STRAY = ("placement", "auto", "auto_min", "auto_count", "repeatDirection")
"""Keys that the builders write and Grafana's model does not have there, or that mean nothing."""


def finish(board: Json) -> Json:
    """The dashboard, complete, with its keys in a fixed order."""
    board["panels"] = _placed(board["panels"])
    ids = count(1)
    for panel in every(board["panels"]):
        panel["id"] = next(ids)
        _name_queries(panel)
        _complete(panel.get("options", {}))
    board["schemaVersion"] = SCHEMA_VERSION
    board["version"] = 1
    board["id"] = None
    for entry in _entries(board):
        for key in _STRAY:
            entry.pop(key, None)
    finished: Json = _sorted(board)
    return finished


def every(panels: list[Json]) -> Iterator[Json]:
    """All panels and rows, from top to bottom, those of collapsed rows after their row."""
    for panel in panels:
        yield panel
        yield from panel.get("panels", ())


def _entries(board: Json) -> Iterator[Json]:
    yield from every(board["panels"])
    yield from board["templating"]["list"]
    yield from board["annotations"]["list"]
    yield from board["links"]


def _placed(rows: list[Json]) -> list[Json]:
    """The rows with their panels below them; a collapsed row keeps its panels within itself, and is one line high."""
    placed, line = [], 0
    for row in rows:
        panels, row["panels"] = row["panels"], []
        row["gridPos"] = {"h": 1, "w": COLUMNS, "x": 0, "y": line}
        end = _flow(panels, line + 1)
        placed.append(row)
        if row["collapsed"]:
            row["panels"] = panels
            line += 1
        else:
            placed += panels
            line = end
    return placed


def _flow(panels: list[Json], line: int) -> int:
    """Place the panels from left to right, and where one does not fit, below; the answer is the first free line."""
    column, height = 0, 0
    for panel in panels:
        place = panel["gridPos"]
        if column + place["w"] > COLUMNS:
            line, column, height = line + height, 0, 0
        place["x"], place["y"] = column, line
        column, height = column + place["w"], max(height, place["h"])
    return line + height


def _name_queries(panel: Json) -> None:
    for name, target in zip(ascii_uppercase, panel.get("targets", ()), strict=False):
        target["refId"] = name


def _complete(options: Json) -> None:
    """A legend that is described is shown, which its builder denies; a table's footer is no option of the panel."""
    if "displayMode" in options.get("legend", {}):
        options["legend"]["showLegend"] = True
    options.pop("footer", None)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
