"""What the agent knows, all at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from heapwarden.domain.checkup import NOT_LOOKED_AT, Checkup
from heapwarden.domain.exit import ExitReason
from heapwarden.domain.findings import Findings
from heapwarden.domain.health import Verdict
from heapwarden.domain.identity import Name, Process
from heapwarden.domain.place import Place
from heapwarden.domain.restart import Restart, RestartReason, Trigger
from heapwarden.domain.sample import Sample


@dataclass(frozen=True, slots=True)
class Held:
    """A restart that a rule wants and that is not made."""

    trigger: Trigger
    code: str
    """Bounded: budget, cooldown, min_uptime, sibling, no_successor, drained, jitter, journal, method, confirmation,
    disruption_budget, coordination."""
    text: str
    """Why not, and when it will be, for people."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Restarts and exits since the agent started, for counters.

    Names are :class:`~heapwarden.domain.place.PlacedName` where places are shown.
    """

    restarts: Mapping[tuple[Name, RestartReason, bool], int] = field(default_factory=dict)
    """By name, reason, and whether it was a dry run."""
    exits: Mapping[tuple[Name, ExitReason], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """One watched process in a snapshot."""

    process: Process
    name: Name
    sample: Sample
    findings: Findings
    verdict: Verdict
    held: Held | None = None
    checkup: Checkup = NOT_LOOKED_AT
    place: Place | None = None
    """None: outside of Kubernetes, or not looked for."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Immutable; whoever publishes the next one swaps it in by one assignment."""

    at: float
    """Monotonic time of publication, seconds."""
    wall: float
    """The same as Unix time."""
    processes: tuple[Watched, ...] = ()
    """Ordered by name, then slot."""
    wrappers: tuple[Process, ...] = ()
    """Package-manager processes in front of apps: shown, not judged."""
    restarts: tuple[Restart, ...] = ()
    """Those under way; the process of one may be gone already."""
    ledger: Ledger = field(default_factory=Ledger)
    agent_started_at: float = 0.0
    """Monotonic."""
    last_tick_at: float | None = None
    """Monotonic time at which the last tick ended; None before the first."""
    by_name: Mapping[str, tuple[Watched, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """Index by process name once, for the health checks."""
        index: dict[str, list[Watched]] = {}
        for watched in self.processes:
            index.setdefault(watched.name.process, []).append(watched)
        object.__setattr__(self, "by_name", MappingProxyType({name: tuple(found) for name, found in index.items()}))
