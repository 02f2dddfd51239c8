"""A machine with the processes that a test wants."""

from collections.abc import Sequence

from heapwarden.domain.identity import Process, ProcessId


class FakeDiscovery:
    """Finds what it was given."""

    def __init__(self, *processes: Process) -> None:
        """Begin with these running."""
        self.running = {process.id: process for process in processes}

    def scan(self) -> Sequence[Process]:
        """All that run."""
        return list(self.running.values())

    def identify(self, pid: int) -> Process | None:
        """The one under ``pid``."""
        return next((process for process in self.running.values() if process.id.pid == pid), None)

    def started_at(self, start: int) -> float:
        """A machine that was booted at second 1,000,000 of Unix time, and has 100 ticks a second."""
        return 1_000_000 + start / 100

    def alive(self, process: ProcessId) -> bool:
        """Whether it still runs; one that can't be seen is not known to be dead."""
        return not process.visible or process in self.running

    def end(self, process: Process) -> None:
        """It has ended."""
        del self.running[process.id]
