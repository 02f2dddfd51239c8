"""A whole dashboard: what stands at the top, a row at a glance, and collapsed rows of details."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TimePicker,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from mixin.boards.finish import finish
from mixin.boards.panels import Panel


@dataclass(frozen=True)
class Section:
    """A row and the panels below it, from left to right and then down."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = True


@dataclass(frozen=True)
class Board:
    """What one dashboard consists of."""

    uid: str
    title: str
    description: str
    variables: Sequence[QueryVariable | DatasourceVariable]
    annotations: Sequence[AnnotationQuery]
    links: Sequence[DashboardLink]
    sections: Sequence[Section]
    since: str = "now-3h"
    refresh: str = "1m"


def model(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana's classic JSON model. The same each time."""
    builder = (
        Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["heapwarden", "nodejs", "memory"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(board.since, "now")
        .timepicker(TimePicker().refresh_intervals(["30s", "1m", "5m", "15m"]))
        .refresh(board.refresh)
        .timezone("browser")
        .variables(list(board.variables))
        .annotations(list(board.annotations))
        .links(list(board.links))
    )
    for section in board.sections:
        row = Row(section.title)
        for panel in section.panels:
            row.with_panel(panel)
        builder.with_row(row.collapsed(section.collapsed))  # last, because a panel makes a row a collapsed one
    made: dict[str, Any] = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    return finish(made)
