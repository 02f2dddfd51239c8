"""The isolates of one process, brought together from its connections."""

from collections.abc import Mapping
from typing import Any

from heapwarden.domain.identity import Process
from heapwarden.domain.sample import GcKind, GcTotals, HeapFigures, Isolate
from heapwarden.sources.reporter.frames import Hello

SOURCE = "reporter"
MAX_REMEMBERED_THREADS = 64
"""Ended worker threads whose totals are still kept one by one, in case their connection comes back."""


def _add(one: Mapping[GcKind, GcTotals], other: Mapping[GcKind, GcTotals]) -> dict[GcKind, GcTotals]:
    total = dict(one)
    for kind, more in other.items():
        total[kind] = total[kind].plus(more) if kind in total else more
    return total


class ReportingProcess:
    """One process with all its connected isolates. Ended worker threads leave their collections behind.

    A thread id is never given twice in one Node process, so an id that comes back is the same thread, reconnected, and
    its totals must not count twice.
    """

    def __init__(self, process: Process, hello: Hello) -> None:
        """Begin with the first isolate's ``hello``."""
        self.process = process
        self.pressure: Mapping[str, Any] | None = None
        """What its reporter was told last of the pressure."""
        self._hello = hello
        self._connected: set[int] = set()
        self._isolates: dict[int, Isolate] = {}
        self._ended: dict[int, Mapping[GcKind, GcTotals]] = {}
        self._forgotten: dict[GcKind, GcTotals] = {}
        self._retired: dict[GcKind, GcTotals] = {}
        self._exit_code: int | None = None

    @property
    def connections(self) -> int:
        """How many isolates have a connection."""
        return len(self._connected)

    def open(self, thread: int) -> None:
        """An isolate has said hello. Whoever has no connection by then was of before, and is over."""
        for other in [*self._isolates]:
            if other != thread and other not in self._connected:
                self._retire(other)
        self._connected.add(thread)
        self._ended.pop(thread, None)
        self._sum_up()

    def sample(self, isolate: Isolate) -> None:
        """An isolate has sent figures. Whoever does so after a goodbye has not left."""
        self._isolates[isolate.thread] = isolate
        if isolate.is_main:
            self._exit_code = None

    def bye(self, exit_code: int) -> None:
        """The process is about to end by itself, with this code."""
        self._exit_code = exit_code

    def close(self, thread: int) -> None:
        """An isolate's connection is gone. A worker thread is over; of the main thread the last figures stay."""
        self._connected.discard(thread)
        if thread != 0:
            self._retire(thread)
            self._sum_up()

    def _retire(self, thread: int) -> None:
        isolate = self._isolates.pop(thread, None)
        if isolate is None:
            return
        self._ended[thread] = isolate.gc
        if len(self._ended) > MAX_REMEMBERED_THREADS:
            self._forgotten = _add(self._forgotten, self._ended.pop(next(iter(self._ended))))

    def _sum_up(self) -> None:
        self._retired = self._forgotten
        for gc in self._ended.values():
            self._retired = _add(self._retired, gc)

    def figures(self) -> HeapFigures:
        """All isolates as they stand."""
        return HeapFigures(
            source=SOURCE,
            isolates=tuple(self._isolates[thread] for thread in sorted(self._isolates)),
            node_version=self._hello.node_version,
            v8_version=self._hello.v8_version,
            cluster_worker=self._hello.cluster_worker,
            reporter_version=self._hello.reporter_version,
            connected=bool(self._connected),
            exit_code=self._exit_code,
            retired_gc=self._retired,
        )
