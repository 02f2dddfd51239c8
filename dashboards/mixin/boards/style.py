"""Colours that hold for colour-blind eyes, thresholds and texts of values."""

from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    FieldColorModeId,
    FieldColorSeriesByMode,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

from mixin.vocabulary import STATES

CALM, WARN, ALARM = "blue", "yellow", "dark-orange"
"""In place of green and red."""

# Okabe and Ito's palette, which most forms of colour blindness tell apart; its green is left out.
BLUE, SKY, ORANGE, VERMILION = "#0072B2", "#56B4E9", "#E69F00", "#D55E00"
GOLD, MAUVE, GREY = "#F0E442", "#CC79A7", "#999999"

STATE_COLORS = dict(zip(STATES, (GREY, SKY, BLUE, GOLD, VERMILION, MAUVE, ORANGE), strict=True))
REASON_COLORS = {
    "memory_restart": BLUE,
    "heap_oom": VERMILION,
    "cgroup_oom": ORANGE,
    "crash": MAUVE,
    "clean": SKY,
    "unknown": GREY,
}
"""Why a process ended."""
RESTART_COLORS = {
    "max_memory": BLUE,
    "heap_usage": SKY,
    "container_usage": ORANGE,
    "unhealthy": VERMILION,
    "requested": GREY,
}
"""Why one was restarted."""
SPACE_COLORS = {
    "new": SKY,
    "old": BLUE,
    "code": MAUVE,
    "large_object": ORANGE,
    "new_large_object": GOLD,
    "code_large_object": VERMILION,
    "trusted": GREY,
}
"""V8's heap spaces that are more than a trace."""


def thresholds(warn: float | None = None, alarm: float | None = None) -> ThresholdsConfig:
    """Calm below ``warn``, alarming from ``alarm`` on; with neither all is calm."""
    steps = [Threshold(value=None, color=CALM)]
    steps += [Threshold(value=value, color=color) for value, color in ((warn, WARN), (alarm, ALARM)) if value]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def by_threshold() -> FieldColor:
    """The colour of the threshold that the value has passed."""
    return FieldColor().mode(FieldColorModeId.THRESHOLDS)


def by_value() -> FieldColor:
    """Series whose names are not known beforehand: from light blue to dark purple by the newest value."""
    return FieldColor().mode(FieldColorModeId.CONTINUOUS_BL_PU).series_by(FieldColorSeriesByMode.LAST)


def texts(*values: tuple[int, str, str]) -> ValueMap:
    """Text and colour for each number."""
    results = {
        str(value): ValueMappingResult(text=text, color=color, index=index)
        for index, (value, text, color) in enumerate(values)
    }
    return ValueMap(options=results)


ANSWER_TEXTS = texts((0, "silent", VERMILION), (1, "answers", BLUE))
"""``heapwarden_up`` in words."""
STATE_TEXTS = texts(*((value, state, STATE_COLORS[state]) for value, state in enumerate(STATES)))
"""``heapwarden_health_state`` in words."""
