"""Restart rules, as the settings make them."""

from dataclasses import dataclass, field
from enum import StrEnum

from heapwarden.domain.restart import Method, Plan

RESERVE_SECONDS = 3.0
"""For a graceful stop: a limit that is nearer than this is not waited for, whatever ``for`` and ``drain`` say."""


class HeapFigure(StrEnum):
    """What of the heap is held against its effective limit."""

    USED = "used"
    LIVE = "live"
    """Used right after the last mark-compact: garbage that waits for collection does not count."""


@dataclass(frozen=True, slots=True)
class MemoryRule:
    """Resident memory of the process, or of it and all its children where ``tree`` is set."""

    limit: int | float
    """Bytes as int, or a share of the container's limit as float."""
    hold_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ShareRule:
    """A share of a limit."""

    ratio: float
    hold_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``restarts`` in any ``per_seconds``, of each process of a name."""

    restarts: int = 3
    per_seconds: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Least time between the end of one restart and the next of the same slot.

    ``cooldown_seconds`` after the first, doubled with each further one up to ``most_seconds``, and forgotten once
    ``reset_seconds`` have passed without any.
    """

    cooldown_seconds: float = 60.0
    most_seconds: float = 900.0
    reset_seconds: float = 3_600.0
    jitter_seconds: float = 0.0
    """Up to so much is added by chance to the first wait, so that replicas don't act at once."""


@dataclass(frozen=True, slots=True)
class RestartRules:
    """All restart rules of one process; the values are the defaults, by which nothing is ever restarted."""

    max_memory: MemoryRule | None = None
    tree: bool = False
    heap_usage: ShareRule | None = None
    heap_of: HeapFigure = HeapFigure.USED
    container_usage: ShareRule | None = None
    escalate_after_seconds: float | None = None
    """Restart what has been unhealthy for so long; health's ``escalate_to_restart_after``."""
    confirm_with_gc: bool = False
    """Before a restart for the heap, collect once and look again. It pauses the app."""
    min_uptime_seconds: float = 60.0
    budget: Budget = field(default_factory=Budget)
    pauses: Pauses = field(default_factory=Pauses)
    method: Method | None = None
    """None: ``supervise`` for what `heapwarden run` has started, else ``signal``."""
    plan: Plan = field(default_factory=Plan)
    """``plan.method`` is filled in when a restart begins."""
    dry_run: bool = False

    @property
    def any(self) -> bool:
        """Whether any rule could ever hold."""
        rules = (self.max_memory, self.heap_usage, self.container_usage, self.escalate_after_seconds)
        return any(rule is not None for rule in rules)

    @property
    def reserve_seconds(self) -> float:
        """How long before a limit is hit the process must be asked to end, so that it still can by itself."""
        return min(self.plan.grace_seconds, RESERVE_SECONDS)

    @property
    def notice_seconds(self) -> float:
        """A limit nearer than this leaves no time to look on: it is needed for the drain and a graceful stop."""
        return self.plan.drain_seconds + self.reserve_seconds
