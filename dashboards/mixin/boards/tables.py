"""Tables: a row for each process or workload."""

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue

from mixin.boards.asking import DATASOURCE
from mixin.boards.links import process_of_row
from mixin.boards.panels import option
from mixin.boards.style import ALARM, CALM, WARN, by_threshold, thresholds
from mixin.vocabulary import IDENTITY


def listing(
    title: str,
    description: str,
    *queries: Dataquery,
    sort: str,
    descending: bool = True,
    span: int = 24,
) -> table.Panel:
    """A table, the row with the greatest ``sort`` first, or the one with the least."""
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(list(queries))
        .unit("none")  # a label such as a worker's number takes the unit too: each value has its own
        .color_scheme(by_threshold())
        .thresholds(thresholds())
        .show_header(True)
        .sort_by([TableSortByFieldState().display_name(sort).desc(descending)])
        .span(span)
        .height(10)
    )


def merged(panel: table.Panel) -> table.Panel:
    """The panel with the values of several queries in one row, where their labels are the same."""
    return without_time(panel.with_transformation(DataTransformerConfig(id_val="merge", options={})))


def without_time(panel: table.Panel) -> table.Panel:
    """The panel with its labels first, in the usual order, and without the time, which is the same in all rows."""
    columns = (*IDENTITY, "reason", "Value", *(f"Value #{ref}" for ref in "ABCDEF"))
    order = {name: index for index, name in enumerate(columns)}
    options = {"excludeByName": {"Time": True, "__name__": True}, "indexByName": order, "renameByName": {}}
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=options))


def with_links(panel: table.Panel, *columns: str) -> table.Panel:
    """The panel with a link to Process on the name of each process and pod, or of these columns."""
    for column in columns or ("pod", "process"):
        panel.override_by_name(column, [option("links", [process_of_row()])])
    return panel


def bar(warn: float, alarm: float) -> list[DynamicConfigValue]:
    """A share of 1 as a bar with its number, in the colour of the threshold that it has passed."""
    steps = [{"value": None, "color": CALM}, {"value": warn, "color": WARN}, {"value": alarm, "color": ALARM}]
    return [
        option("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
        option("unit", "percentunit"),
        option("min", 0),
        option("max", 1),
        option("thresholds", {"mode": "absolute", "steps": steps}),
    ]
