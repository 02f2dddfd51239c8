"""The level of pressure that an app is told: up at once, down only when it is meant.

Between two mark-compacts a heap fills with garbage and falls back, by a tenth to a fifth of its limit (measured on
Node 18 to 26 with live sets of .6 to .75): by the bare figure the level would change up to thirty times a minute. With
the margin and the time below it was at most three, and an app that shrinks a cache must not do it for every collection.
"""

from dataclasses import dataclass

from heapwarden.domain.findings import Pressure, PressureLevel

FALL_MARGIN_RATIO = 0.05
FALL_SECONDS = 5.0
_RANK = {level: rank for rank, level in enumerate(PressureLevel)}


@dataclass(frozen=True, slots=True)
class PressureMemory:
    """What is remembered of one process between two looks."""

    level: PressureLevel
    """As it is told."""
    below_since: float | None = None
    """Monotonic time since when the ratio has been far enough below the level."""
    peak_ratio: float = 0.0
    """The largest ratio since then."""


def level_of(ratio: float) -> PressureLevel:
    """The bare level of a ratio."""
    return Pressure(heap_ratio=ratio, container_ratio=None).level or PressureLevel.NORMAL


def track(memory: PressureMemory | None, ratio: float | None, now: float) -> PressureMemory | None:
    """What to remember after a look at ``now``; None as long as no ratio was ever known.

    The level rises with the first ratio that reaches a mark. It falls once all ratios of :data:`FALL_SECONDS` were
    :data:`FALL_MARGIN_RATIO` below the mark, to where the largest of them would have it. A ratio that is not known
    changes nothing.
    """
    if ratio is None:
        return memory
    if memory is None or _RANK[level_of(ratio)] > _RANK[memory.level]:
        return PressureMemory(level_of(ratio))
    if _RANK[level_of(ratio + FALL_MARGIN_RATIO)] >= _RANK[memory.level]:
        return PressureMemory(memory.level)
    since = now if memory.below_since is None else memory.below_since
    peak = ratio if memory.below_since is None else max(ratio, memory.peak_ratio)
    if now - since < FALL_SECONDS:
        return PressureMemory(memory.level, since, peak)
    return PressureMemory(level_of(peak + FALL_MARGIN_RATIO))
