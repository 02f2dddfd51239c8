"""The kinds of panels, each with the looks that all dashboards share."""

from typing import TypeVar

from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, ValueMap
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale

from mixin.boards.asking import DATASOURCE
from mixin.boards.style import by_threshold, by_value, thresholds

Quiet = TypeVar("Quiet", timeseries.Panel, table.Panel)
Panel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel | statetimeline.Panel


def about(meaning: str, *, normal: str, act: str) -> str:
    """A panel's description: what it shows, what is normal, and what to do where it is not."""
    return f"{meaning}\n\n**Normal:** {normal}\n\n**If not:** {act}"


def number(
    title: str, description: str, unit: str, *queries: Dataquery, span: int = 4, named: bool = False
) -> stat.Panel:
    """One number, or one for each series with its name, in the colour of its threshold."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(list(queries))
        .unit(unit)
        .color_scheme(by_threshold())
        .thresholds(thresholds())
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME if named else BigValueTextMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .span(span)
        .height(4)
    )


def lines(title: str, description: str, unit: str, *queries: Dataquery, span: int = 12) -> timeseries.Panel:
    """Lines over time, with the newest and the greatest value in the legend."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(list(queries))
        .unit(unit)
        .min(0)
        .color_scheme(by_value())
        .thresholds(thresholds())
        .line_width(1.5)
        .fill_opacity(0)
        .show_points(VisibilityMode.AUTO)
        .legend(_legend())
        .tooltip(_tooltip())
        .span(span)
        .height(8)
    )


def stacked(title: str, description: str, unit: str, *queries: Dataquery, span: int = 12) -> timeseries.Panel:
    """Areas upon each other: parts of one sum."""
    stacking = StackingConfig().mode(StackingMode.NORMAL).group("A")
    return lines(title, description, unit, *queries, span=span).stacking(stacking).fill_opacity(60).line_width(0.5)


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """The panel with stacked bars: counts of each step."""
    stacking = StackingConfig().mode(StackingMode.NORMAL).group("A")
    return panel.draw_style(GraphDrawStyle.BARS).stacking(stacking).fill_opacity(80).line_width(0).decimals(0)


def with_marks(panel: timeseries.Panel, warn: float, alarm: float) -> timeseries.Panel:
    """The panel with dashed lines where it becomes worrying and alarming."""
    style = GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(thresholds(warn, alarm)).thresholds_style(style)


def spread(title: str, description: str, *queries: Dataquery, span: int = 12) -> heatmap.Panel:
    """A histogram of seconds over time, from buckets that are there already: how many a second, in each cell."""
    colors = (
        heatmap.HeatmapColorOptions()
        .mode(HeatmapColorMode.SCHEME)
        .scheme("Viridis")
        .scale(HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .steps(64)
    )
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(list(queries))
        .unit("ops")
        .calculate(False)
        .color(colors)
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .tooltip(heatmap.HeatmapTooltip().mode(TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(True))
        .show_legend()
        .span(span)
        .height(8)
    )


def states(title: str, description: str, words: ValueMap, *queries: Dataquery, span: int = 24) -> statetimeline.Panel:
    """A state of each series over time, in words."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(list(queries))
        .unit("none")
        .mappings([words])
        .color_scheme(by_threshold())
        .thresholds(thresholds())
        .merge_values(True)
        .show_value(VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .legend(VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM))
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
        .span(span)
        .height(6)
    )


def quiet(panel: Quiet) -> Quiet:
    """The panel, saying that nothing happened where it is empty: that is its normal look, and no fault."""
    panel.no_value("None in this time range")
    return panel


def option(key: str, value: object) -> DynamicConfigValue:
    """One option of an override."""
    return DynamicConfigValue(id_val=key, value=value)


def colored(panel: timeseries.Panel, colors: dict[str, str]) -> timeseries.Panel:
    """The panel with a colour for each series, by its name in the legend."""
    for name, color in colors.items():
        panel.override_by_name(name, [option("color", {"mode": "fixed", "fixedColor": color})])
    return panel


def as_line(panel: timeseries.Panel, name: str, color: str, *, dashed: bool = False) -> timeseries.Panel:
    """The panel with this series as a line over the areas, no part of their sum."""
    style = {"fill": "dash", "dash": [10, 6]} if dashed else {"fill": "solid"}
    return panel.override_by_name(
        name,
        [
            option("color", {"mode": "fixed", "fixedColor": color}),
            option("custom.stacking", {"mode": "none", "group": "A"}),
            option("custom.fillOpacity", 0),
            option("custom.lineWidth", 2),
            option("custom.lineStyle", style),
        ],
    )


def _legend() -> VizLegendOptions:
    return (
        VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")  # the lines' order from top to bottom, where their colours are alike
        .sort_desc(True)
    )


def _tooltip() -> VizTooltipOptions:
    return VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
