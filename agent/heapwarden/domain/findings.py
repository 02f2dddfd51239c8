"""What follows from samples."""

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """The two limits a process can die at."""

    HEAP = "heap"
    CONTAINER = "container"


class PressureLevel(StrEnum):
    """normal < 0.7 <= elevated < 0.8 <= high < 0.9 <= critical."""

    NORMAL = "normal"
    ELEVATED = "elevated"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Pressure:
    """How near a process is to the nearer of its two limits. Ratios may pass 1."""

    heap_ratio: float | None
    """Worst isolate's used bytes over its effective limit."""
    container_ratio: float | None
    """Working set over the container's limit; None without a limit."""

    @property
    def ratio(self) -> float | None:
        """The larger of the two; None when neither is known."""
        return max((r for r in (self.heap_ratio, self.container_ratio) if r is not None), default=None)

    @property
    def nearer(self) -> Limit | None:
        """Which limit that is."""
        if self.ratio is None:
            return None
        return Limit.HEAP if self.ratio == self.heap_ratio else Limit.CONTAINER

    @property
    def level(self) -> PressureLevel | None:
        """The name of the ratio's range."""
        ratio = self.ratio
        if ratio is None:
            return None
        if ratio >= 0.9:  # noqa: PLR2004  the ranges stand in the docstring of PressureLevel
            return PressureLevel.CRITICAL
        if ratio >= 0.8:  # noqa: PLR2004
            return PressureLevel.HIGH
        return PressureLevel.ELEVATED if ratio >= 0.7 else PressureLevel.NORMAL  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Findings:
    """What one process's samples say."""

    pressure: Pressure
    heap_total_ratio: float | None
    """Worst isolate's heapUsed over heapTotal: the check that every tutorial shows."""
    mark_compacts: int
    """Mark-compacts of the worst isolate within the last seconds (see analysis.collections)."""
    mark_compact_share: float
    """Share of wall time that they took."""
    limit_in_seconds: float | None = None
    """Until the nearer limit is hit if memory goes on as in the last seconds; None while nothing grows."""
