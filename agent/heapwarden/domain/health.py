"""The verdict on a process."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class HealthState(IntEnum):
    """States of health; the numbers are those of ``heapwarden_health_state``."""

    UNKNOWN = 0
    STARTING = 1
    HEALTHY = 2
    DEGRADED = 3
    UNHEALTHY = 4
    DRAINING = 5
    RESTARTING = 6

    @property
    def label(self) -> str:
        """As it stands in JSON and in logs."""
        return self.name.lower()


class ReasonCode(StrEnum):
    """Why a process is not simply healthy."""

    HEAP_USAGE = "heap_usage"
    CONTAINER_USAGE = "container_usage"
    GC_THRASHING = "gc_thrashing"
    FIGURES_STALE = "figures_stale"
    NO_HEAP_FIGURES = "no_heap_figures"
    STARTING = "starting"
    RESTART = "restart"
    """It is being drained for, or ended by, a restart."""
    DRAINED = "drained"
    """Somebody took it out of service by hand."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, for machines (``code``) and for people (``text``, with figures and what would be right)."""

    code: ReasonCode
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Health of one process. ``serving`` says whether a load balancer may send to it (200 or 503)."""

    state: HealthState
    serving: bool
    reasons: tuple[Reason, ...] = ()
    since: float = 0.0
    """Monotonic time at which this state began."""
