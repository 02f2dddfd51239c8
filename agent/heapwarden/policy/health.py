"""Health rules, as the settings make them."""

from dataclasses import dataclass, field
from enum import StrEnum


class HeapDenominator(StrEnum):
    """What heap use is divided by."""

    HEAP_LIMIT = "heap_limit"
    """The effective heap limit, at which V8 gives up."""
    HEAP_TOTAL = "heap_total"
    """What V8 has committed so far: the tutorials' check, which alarms on healthy processes."""


class OnUnknown(StrEnum):
    """What a load balancer is told of a process whose heap figures are missing or stale."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class UsageRule:
    """Unhealthy from ``unhealthy_ratio`` on, once held for ``hold_seconds``; healthy again below ``recover_ratio``."""

    unhealthy_ratio: float
    recover_ratio: float
    hold_seconds: float


@dataclass(frozen=True, slots=True)
class HealthRules:
    """All health rules of one process; the values are the defaults."""

    heap: UsageRule = field(default_factory=lambda: UsageRule(0.9, 0.8, 30.0))
    heap_of: HeapDenominator = HeapDenominator.HEAP_LIMIT
    container: UsageRule = field(default_factory=lambda: UsageRule(0.95, 0.85, 30.0))
    on_unknown: OnUnknown = OnUnknown.HEALTHY
    start_grace_seconds: float = 10.0
    """How long a process may be without heap figures after it was first seen, and the agent without a process."""
    stale_after_seconds: float = 10.0
    """Age at which figures no longer speak for the process."""


@dataclass(frozen=True, slots=True)
class UsageMemory:
    """What one usage rule remembers: since when its figure has been over, and whether it has tripped."""

    over_since: float | None = None
    tripped: bool = False
