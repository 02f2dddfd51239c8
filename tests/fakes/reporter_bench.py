"""A reporters' socket over real connections, with fakes around it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes import figures
from fakes.clock import FakeClock
from fakes.discovery import FakeDiscovery
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.identity import Process
from heapwarden.domain.sample import HeapFigures
from heapwarden.sources.reporter.server import ReporterServer


class FakeFeed:
    """Keeps what it hears; watches all but ``unwanted``."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.heard: list[tuple[Process, HeapFigures]] = []
        self.unwanted: set[int] = set()
        self.told_drained: list[Process] = []

    @property
    def last(self) -> HeapFigures | None:
        """The newest figures."""
        return self.heard[-1][1] if self.heard else None

    def heap_figures(self, process: Process, figures: HeapFigures) -> None:
        """Keep."""
        self.heard.append((process, figures))

    def wants(self, process: Process) -> bool:
        """Not the unwanted."""
        return process.id.pid not in self.unwanted

    def drained(self, process: Process) -> None:
        """Keep."""
        self.told_drained.append(process)


def config(interval_ms: int, *, gc_profiler: bool = True) -> dict[str, object]:
    """What the server answers to a hello."""
    return {"t": "config", "v": 1, "interval_ms": interval_ms, "gc_profiler": gc_profiler, "bye": True}


class Bench:
    """A server on a real socket, and all that it talks to."""

    def __init__(self, path: Path) -> None:
        """Not started."""
        self.path = path
        self.feed, self.clock, self.telemetry = FakeFeed(), FakeClock(), FakeTelemetry()
        self.me = figures.process(pid=os.getpid(), start=1)
        self.discovery = FakeDiscovery(self.me)
        self.server = ReporterServer(
            path,
            0o660,
            discovery=self.discovery,
            namespace_pids=lambda pid: (pid, 17),
            feed=self.feed,
            clock=self.clock,
            telemetry=self.telemetry,
        )
        self.server.configure(interval_seconds=1.0, gc_profiler=True)

    def refused(self, reason: str) -> int:
        """How often a frame was refused for ``reason``."""
        return self.telemetry.counts["frame", reason]


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Bench]:
    """A started server."""
    bench = Bench(path)
    await bench.server.start()
    try:
        yield bench
    finally:
        await bench.server.stop()
