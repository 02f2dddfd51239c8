"""Restarts: why one is wanted, how it is carried out, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heapwarden.domain.identity import Name, ProcessId

Figure = int | float | str | None
"""A figure that led to a decision: bytes as int, seconds and ratios as float, names as text."""


class RestartReason(StrEnum):
    """Why a process is restarted: the label ``reason`` of ``heapwarden_restarts_total``."""

    MAX_MEMORY = "max_memory"
    HEAP_USAGE = "heap_usage"
    CONTAINER_USAGE = "container_usage"
    UNHEALTHY = "unhealthy"
    """It stayed unhealthy for ``escalate_to_restart_after``."""
    REQUESTED = "requested"
    """Somebody asked for it through the API."""


class Method(StrEnum):
    """Who ends the process, and so who brings it back."""

    SIGNAL = "signal"
    """The agent signals it; its supervisor or the kubelet brings it back."""
    SUPERVISE = "supervise"
    """`heapwarden run` signals it and starts its command again."""
    PM2 = "pm2"
    COMMAND = "command"
    WEBHOOK = "webhook"
    REPORTER = "reporter"
    """The reporter raises the signal in its own process: for PID namespaces that are not shared."""
    EVICT = "evict"
    """The Kubernetes API evicts its pod, as far as disruption budgets allow; the pod's owner brings another."""
    NONE = "none"
    """Nobody but whoever probes its health: it is only taken out of service."""


class Stage(StrEnum):
    """How far a restart has come; in this order, none twice."""

    DRAIN = "drain"
    """Load balancers are told 503; requests under way may end."""
    BEFORE = "before"
    """Hooks that want the process alive: evidence."""
    TERMINATE = "terminate"
    """It was asked to end, and has ``grace`` to do so."""
    KILL = "kill"
    """It was killed, and is being waited for."""
    SUCCESSOR = "successor"
    """It has ended; a new process of its name is awaited."""
    AFTER = "after"
    """Hooks that want the successor there."""


class Outcome(StrEnum):
    """How a restart came to its end."""

    DONE = "done"
    NO_SUCCESSOR = "no_successor"
    """It ended as it should, and nobody brought a new one."""
    FAILED = "failed"
    """It still runs, and goes on serving."""
    CANCELLED = "cancelled"
    """Undrained by request before it was asked to end."""
    DRY_RUN = "dry_run"
    """Decided, counted, and nothing touched."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A rule that holds."""

    reason: RestartReason
    text: str
    """For people: the figure, the mark, and how long it has held."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Something to be done before or after: a command, or a URL that is sent the restart as JSON by POST."""

    command: tuple[str, ...] = ()
    url: str = ""
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a restart is carried out. It belongs to the restart: a reload in the middle of one changes nothing of it."""

    method: Method = Method.SIGNAL
    signal: str = "SIGTERM"
    """What asks the process to end, as in signal(7)."""
    drain_seconds: float = 5.0
    grace_seconds: float = 30.0
    """From the signal to SIGKILL."""
    successor_seconds: float = 60.0
    """How long a successor is awaited, and nothing else of this name restarted."""
    before: tuple[Hook, ...] = ()
    after: tuple[Hook, ...] = ()
    command: tuple[str, ...] = ()
    """Of method ``command``."""
    url: str = ""
    """Of method ``webhook``."""
    lease: str = ""
    """Restarts under the same lease wait for each other, on whichever node they are; empty: they don't."""
    max_unavailable: int = 1
    """How many of them may be under way at once."""


@dataclass(frozen=True, slots=True)
class Restart:
    """One restart as it stands. Times are CLOCK_MONOTONIC seconds of boot ``boot``, or Unix seconds (``wall``)."""

    id: str
    process: ProcessId
    name: Name
    boot: str
    """``/proc/sys/kernel/random/boot_id``: after another boot neither pid nor monotonic times mean anything."""
    trigger: Trigger
    plan: Plan
    wall: float
    """When it was decided."""
    stage: Stage
    stage_since: float
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """Those that led to it."""
    began: float = 0.0
    """When it was decided, in monotonic time; 0 where that is not known."""
    newest_start: int = 0
    """Of all processes of its name when it was decided, the latest ``ProcessId.start``: a successor began later."""
    ports: tuple[int, ...] = ()
    """TCP ports that it listened on: a successor is awaited until it listens too. Empty where they are not known."""
    dry_run: bool = False
    signalled: bool = False
    """Of the present stage: whether its signal, command or request is out. Written after it was sent."""
    outcome: Outcome | None = None
    ended_wall: float | None = None
    """When it came to its outcome."""
    note: str = ""
    """What did not go as planned, for people."""

    @property
    def open(self) -> bool:
        """Whether it is still under way."""
        return self.outcome is None
