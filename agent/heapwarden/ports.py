"""The edges, as Protocols: what the runtime asks for, and what whoever does I/O gives."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from heapwarden.domain.identity import Process, ProcessId
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
