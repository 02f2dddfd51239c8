"""How many processes of one cgroup the kernel has killed for memory, and which ends that explains.

Version 1 counts in ``memory.oom_control`` of the killed process's own cgroup, version 2 in ``memory.events`` of that
and of all above. Both count before the signal is sent, so the counter is there when the end is seen. Between the two a
large process may take seconds to give its memory back: a kill stays good for a while, and for one end.
"""

import contextlib
import os
import threading

from heapwarden.sources.cgroup_path import Folders
from heapwarden.sources.procfile import numbers, read_file

FILES = {1: "memory.oom_control", 2: "memory.events"}
FRESH_SECONDS = 10.0
"""How long a kill that no end has claimed may explain one."""
TOGETHER_SECONDS = 0.5
"""How long a claimed one explains others: with PID 1 of a PID namespace the kernel kills all in it."""
PATIENCE_SECONDS = 0.2
"""For the other thread, which holds the counter while it reads a file of a hundred bytes."""
_MOST_BYTES = 4_096


class KillCounter:
    """One cgroup's counter. Any thread may ask."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.looked_at = float("-inf")
        self._lock = threading.Lock()
        self._path: str | None = None
        self._descriptor: int | None = None
        self._seen: int | None = None
        self._unclaimed = 0
        self._counted_at = self._claimed_at = float("-inf")

    def look(self, folders: Folders, now: float, *, hold: bool) -> int | None:
        """The count so far, from the lowest of ``folders`` that has one; None where none has.

        ``hold`` keeps the file open: for a path that leads through a process and goes with it.
        """
        with self._lock:
            self.looked_at = now
            if self._read(now) is None:
                self.close()
                self._find(folders, hold=hold)
                self._read(now)
            return self._seen

    def lately(self, now: float) -> int | None:
        """Kills just now that explain an end; None where that can't be known."""
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            return None
        try:
            self._read(now)
            if self._seen is None:
                return None
            fresh = self._unclaimed if now - self._counted_at <= FRESH_SECONDS else 0
            return fresh or int(now - self._claimed_at <= TOGETHER_SECONDS)
        finally:
            self._lock.release()

    def claim(self, now: float) -> None:
        """One of them was an end that is named now."""
        if self._unclaimed:
            self._unclaimed -= 1
            self._claimed_at = now

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self, now: float) -> int | None:
        """Read and account. What can't be read any more leaves the last count."""
        count = _count(self._data())
        if count is None:
            return None
        more = count - (self._seen if self._seen is not None else count)
        self._seen = count
        if more < 0:  # a new cgroup under the old name
            more = count
        if more:
            stale = now - self._counted_at > FRESH_SECONDS
            self._unclaimed = more + (0 if stale else self._unclaimed)
            self._counted_at = now
        return count

    def _data(self) -> bytes | None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                return os.pread(self._descriptor, _MOST_BYTES, 0)
            return None
        return read_file(self._path, _MOST_BYTES) if self._path is not None else None

    def _find(self, folders: Folders, *, hold: bool) -> None:
        for folder in folders.upwards:
            path = f"{folder}/{FILES[folders.version]}"
            if _count(read_file(path, _MOST_BYTES)) is None:
                continue
            self._path = path
            if hold:
                with contextlib.suppress(OSError):
                    self._descriptor = os.open(path, os.O_RDONLY)
            return


def _count(data: bytes | None) -> int | None:
    return next(iter(numbers(data or b"", b"oom_kill ")), None)
