"""The edges, as Protocols: what the runtime asks for, and what whoever does I/O gives."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from heapwarden.domain.checkup import Launch
from heapwarden.domain.event import Event
from heapwarden.domain.exit import ExitStatus, Termination
from heapwarden.domain.findings import Limit, PressureLevel
from heapwarden.domain.identity import Name, Process, ProcessId
from heapwarden.domain.place import Place
from heapwarden.domain.restart import Hook, Restart
from heapwarden.domain.sample import HeapFigures, Reading


class Clock(Protocol):
    """Time, handed in so that tests own it."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def wall(self) -> float:
        """Unix time, seconds."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""


class Source(Protocol):
    """Figures that are fetched: one read a tick for all processes.

    ``read`` may block: it runs in a thread of its own, under a deadline that costs the tick nothing when it is missed.
    A process it knows nothing of is left out of the answer; that is no error.
    """

    @property
    def name(self) -> str:
        """As in the label ``source``."""

    def concerns(self, process: ProcessId) -> bool:
        """Whether it is asked about this process at all. Takes a microsecond."""

    def read(self, processes: Sequence[Process], now: float) -> Mapping[ProcessId, Reading]:
        """Figures of each process that this source can see; ``now`` becomes their ``taken_at``."""


class Discovery(Protocol):
    """Finds Node processes. Blocks like a source, and is called in the same way."""

    def scan(self) -> Sequence[Process]:
        """Every Node process the agent may see, wrappers included."""

    def identify(self, pid: int) -> Process | None:
        """The process behind ``pid`` now, Node by the caller's word; None when it is gone. Takes microseconds."""

    def started_at(self, start: int) -> float:
        """The Unix time of ``start``, clock ticks since boot."""

    def alive(self, process: ProcessId) -> bool:
        """Whether this very process, not a successor under the same pid, still runs. Takes microseconds."""


class Feed(Protocol):
    """Takes what a pushing source hears, between ticks."""

    def heap_figures(self, process: Process, figures: HeapFigures) -> None:
        """Newest heap figures of a process: after each frame, and when a connection opens or closes."""

    def wants(self, process: Process) -> bool:
        """Whether this process is watched."""

    def drained(self, process: Process) -> None:
        """The app says that it has no more requests under way."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a journal holds when the agent starts."""

    open: tuple[Restart, ...] = ()
    """Restarts that were under way when the last agent ended, oldest first."""
    past: tuple[Restart, ...] = ()
    """Restarts that began within the time asked for, dry runs and open ones included, oldest first."""
    trouble: str | None = None
    """Why it may not be all; None where it is."""
    incomplete_since: float | None = None
    """Wall time from which on all is known in spite of ``trouble``: of the loss of an earlier journal, never to come.
    None: that can be said only from the agent's own start on."""


class Journal(Protocol):
    """Remembers restarts and events beyond the agent's own life. Nothing here blocks the loop or raises."""

    @property
    def trouble(self) -> str | None:
        """What is wrong with it now, in words that name the file and the next step; None when nothing is."""

    async def load(self, since_wall: float) -> Remembered:
        """Open restarts, and those that began after ``since_wall``."""

    async def save(self, restart: Restart, event: Event) -> bool:
        """Keep the restart as it stands now, and the event; whether both are safe from the agent's own death."""

    def append(self, event: Event) -> None:
        """Keep an event when there is time; dropped and counted when it can't be kept."""

    async def recent(self, most: int, process: str | None = None) -> Sequence[Event]:
        """The newest events, newest first."""


class Actuator(Protocol):
    """A way to end a process, so that whoever is in charge of it brings it back. One file each in ``actuators``."""

    kills: bool
    """Whether SIGKILL follows when ``grace`` is over; False where another manager sees to that."""

    async def terminate(self, restart: Restart) -> str | None:
        """Ask it to end, once; does not wait for the end. Raises ActuationError: nothing was done, and why.

        What comes back deserves a word in the restart's note.
        """

    async def kill(self, restart: Restart) -> None:
        """End it by force. Raises ActuationError."""


class HookResult(Protocol):
    """How a hook went."""

    @property
    def ok(self) -> bool:
        """Whether it ended in time and as it should."""

    @property
    def text(self) -> str:
        """For people; bounded."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Why a restart may not be made now."""

    code: str
    """As in :class:`heapwarden.domain.snapshot.Held`."""
    text: str
    again_seconds: float
    """It is asked again after so long."""
    sure: bool = True
    """False where nobody could be asked."""


class Permission(Protocol):
    """Knows whether whoever carries out a method would do so now. Asked before anything is done to the process."""

    async def ask(self, restart: Restart) -> NotYet | None:
        """None: it would. Takes seconds at most; never raises."""


class Coordinator(Protocol):
    """Gives restarts a place among those that may be under way at once, on all machines together."""

    async def take(self, restart: Restart, seconds: float) -> NotYet | None:
        """Take one for ``restart`` under its plan's lease, or renew the one that it has.

        None: it has one, that nobody else gets within ``seconds`` of this call. Takes seconds at most; never raises.
        """

    async def leave(self, restart: Restart) -> bool:
        """Give back what it has; whether nothing is left of it. Without this it ends by itself, and others wait."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A Kubernetes pod."""

    namespace: str
    name: str
    uid: str
    """Of this very pod: a successor may have the same name, and has another uid."""
    container: str = ""
    """In which the process runs; empty where that is not known."""


class Pods(Protocol):
    """Knows which pod a process runs in. Takes microseconds."""

    def pod_of(self, process: ProcessId) -> Pod | None:
        """None where that can't be known for certain."""


class Terminations(Protocol):
    """Knows how containers ended, seconds after they did. Takes microseconds."""

    def expected(self, place: Place | None) -> bool:
        """Whether the end of this container will be told, if it has ended."""

    def of(self, place: Place | None) -> Termination | None:
        """How this very container ended; None where that is not known (yet)."""


RunHook = Callable[[Hook, Restart], Awaitable[HookResult]]
"""Runs one hook within its timeout; never raises."""


class ExitStatuses(Protocol):
    """Knows how processes ended that nobody waits for here. Takes microseconds."""

    def status(self, process: ProcessId) -> ExitStatus | None:
        """How this very process ended; None where it can't be known (any more)."""


class OomKills(Protocol):
    """Knows whom the kernel kills for memory. Takes microseconds."""

    def lately(self, process: ProcessId) -> int | None:
        """Kills in this process's cgroup just now that no other end has claimed; None where it can't be known."""

    def claim(self, process: ProcessId) -> None:
        """One of them was this process."""


class Launches(Protocol):
    """Knows how a process was started. Blocks for a millisecond: called in a thread, once a process."""

    def read(self, process: Process, cgroup: str) -> Launch | None:
        """Of this very process, in a cgroup whose folder is ``cgroup`` ("": not known); None: gone, or not ready."""


class Listening(Protocol):
    """Knows which ports a process serves. Blocks for milliseconds: called in a thread."""

    def ports(self, process: ProcessId) -> frozenset[int] | None:
        """TCP ports on which this very process holds a listening socket; None where that can't be known."""


class Reporters(Protocol):
    """What may be asked of the reporter in a process. False: it has none, or none of this version; nothing was sent."""

    def pressure(self, process: ProcessId, level: PressureLevel, ratio: float, nearer: Limit) -> bool:
        """Tell the app how near the nearer limit is."""

    def drain(self, process: ProcessId, within_seconds: float) -> bool:
        """Tell the app that it is going to be asked to end, and no new requests should come."""

    def collect(self, process: ProcessId) -> bool:
        """Ask the main thread for one full collection; figures follow by themselves. It pauses the app."""

    def raise_signal(self, process: ProcessId, name: str) -> bool:
        """Ask the process to send itself a signal, ``SIGTERM`` for example."""


class Operator(Protocol):
    """What people may ask for by the name of a process. Quick, on the event loop; ends before anything is done.

    ``worker`` None stands for all workers of that name. Each raises RequestRefusedError, and then nothing was done.
    ``unknown`` is for names and workers that are not watched now.
    """

    def restart(self, name: str, worker: str | None, reason: str) -> Sequence[Restart]:
        """Restart each, one at a time; gives those that were accepted, whether begun or waiting for their turn."""

    def drain(self, name: str, worker: str | None, reason: str) -> Sequence[Name]:
        """Take each out of service until it is undrained or ends; nothing is restarted."""

    def undrain(self, name: str, worker: str | None) -> Sequence[Name]:
        """Put each back: ends a drain that was asked for, and cancels a restart that has not signalled yet."""


class Telemetry(Protocol):
    """What the agent counts about itself."""

    def tick_done(self, seconds: float) -> None:
        """A tick took so long."""

    def tick_late(self) -> None:
        """A tick began an interval or more after it was due."""

    def source_error(self, source: str, reason: str) -> None:
        """A source failed (``error``) or missed its deadline (``timeout``)."""

    def frame(self, result: str) -> None:
        """A reporter's frame was ``accepted``, or refused for a bounded reason."""

    def processes(self, count: int) -> None:
        """So many processes are watched now."""

    def config_reloaded(self, *, ok: bool) -> None:
        """The configuration was read again."""

    def journal_error(self) -> None:
        """The journal could not be opened, read or written, or had to drop an event."""
