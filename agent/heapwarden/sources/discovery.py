"""Finds Node processes under ``/proc``, and tells one life of a pid from the next."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heapwarden.domain.identity import Ancestor, Process, ProcessId
from heapwarden.domain.naming import role_of, script_name
from heapwarden.sources.nodecheck import Look, look_at, read_argv, read_comm
from heapwarden.sources.procfile import numbers, read_file, read_link, read_stat

PROC = Path("/proc")
MAX_ANCESTORS = 32
YOUNG_SECONDS = 10.0
"""So long after it was first seen, a pid that does not run Node is looked at in every scan."""
RECHECK_SECONDS = 5.0
"""And then this often: a shell that execs Node late (``exec node server.js``) keeps its pid and its start time."""


@dataclass(slots=True)
class _Other:
    """A pid that did not run Node when it was last looked at."""

    first_at: float
    next_at: float
    comm: str | None
    """The name under which it hides its executable: while that stays, it has not called exec."""
    blank: bool = False
    """It is Node without a command line: most likely in the middle of exec, which sets the executable first."""


def booted_at() -> float:
    """Unix time at which the machine started; as ``btime`` of ``/proc/stat``, and finer."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class ProcfsDiscovery:
    """Every Node process that ``/proc`` shows.

    A process is found in the first scan after it became Node, save that one which lived under its pid for more than
    10 s before is found within 5 s. ``scan`` is called from one thread, the other methods from any.
    """

    def __init__(
        self,
        proc_root: Path = PROC,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        booted_at: Callable[[], float] = booted_at,
    ) -> None:
        """Nothing is known yet."""
        self._root = str(proc_root)
        self._monotonic = monotonic
        self._booted_at = booted_at
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._nodes: dict[int, Process] = {}
        self._others: dict[int, _Other] = {}
        self._lock = threading.Lock()

    def scan(self) -> Sequence[Process]:
        """Every Node process, package managers included. Raises OSError when ``/proc`` itself can't be read."""
        now = self._monotonic()
        names = os.listdir(self._root)  # noqa: PTH208  a Path for each process costs more than the call
        pids = [int(name) for name in names if name.isascii() and name.isdigit()]
        found = [process for pid in pids if (process := self._known(pid) or self._discover(pid, now)) is not None]
        self._forget_missing(set(pids))
        return found

    def identify(self, pid: int) -> Process | None:
        """The process behind ``pid`` now, Node by the caller's word; None when it is gone.

        One that does not look like Node (a single executable, Electron) is not remembered: ``scan`` leaves it out.
        """
        try:
            return self._known(pid) or self._describe(pid, remember=look_at(self._root, pid) is Look.NODE)
        except OSError:  # out of file descriptors: not known is all that can be said
            return None

    def started_at(self, start: int) -> float:
        """The Unix time of ``start``, clock ticks since boot (field 22 of ``/proc/PID/stat``)."""
        return self._booted_at() + start / self._ticks_per_second

    def alive(self, process: ProcessId) -> bool:
        """Whether this very process still runs. One that can't be seen under ``/proc`` is not known to be dead."""
        if not process.visible:
            return True
        try:
            stat = read_stat(self._root, process.pid)
        except OSError:
            return True  # the agent's own trouble is no sign of death
        return stat is not None and stat.start == process.start and not stat.ended

    def _known(self, pid: int) -> Process | None:
        process = self._nodes.get(pid)
        if process is None or self.alive(process.id):
            return process
        self._forget(process)
        return None

    def _discover(self, pid: int, now: float) -> Process | None:
        other = self._others.get(pid)
        if other is not None and now < other.next_at:
            return None
        if other is not None and other.comm is not None and other.comm == read_comm(self._root, pid):
            other.next_at = _next_look(other.first_at, now)
            return None
        look = look_at(self._root, pid)
        first_at = other.first_at if other is not None else now
        if look is Look.NODE:
            if not read_argv(self._root, pid) and not (other is not None and other.blank):
                self._others[pid] = _Other(first_at, next_at=now, comm=None, blank=True)
                return None
            self._others.pop(pid, None)
            return self._describe(pid, remember=True)
        comm = read_comm(self._root, pid) if look is Look.HIDDEN_OTHER else None
        self._others[pid] = _Other(first_at, _next_look(first_at, now), comm)
        return None

    def _describe(self, pid: int, *, remember: bool) -> Process | None:
        stat = read_stat(self._root, pid)
        if stat is None or stat.ended:
            return None
        argv = read_argv(self._root, pid)
        uids = numbers(read_file(f"{self._root}/{pid}/status") or b"", b"Uid:")
        cwd = read_link(f"{self._root}/{pid}/cwd")
        process = Process(
            id=ProcessId(pid, stat.start),
            argv=argv,
            started_at=self.started_at(stat.start),
            script=script_name(argv, cwd, terminal=stat.terminal != 0),
            role=role_of(argv),
            uid=uids[0] if uids else None,
            ancestors=self._ancestors(stat.parent),
        )
        if not self.alive(process.id):  # the pid may have changed hands between two reads
            return None
        if remember:
            with self._lock:
                self._nodes[pid] = process
        return process

    def _ancestors(self, parent: int) -> tuple[Ancestor, ...]:
        """From the parent upwards, as they stand now; what a Node above has as ancestors was captured earlier."""
        above: list[Ancestor] = []
        while parent > 0 and len(above) < MAX_ANCESTORS:
            stat = read_stat(self._root, parent)
            if stat is None:
                break
            command = " ".join(read_argv(self._root, parent)) or f"[{stat.comm.decode(errors='replace')}]"
            above.append(Ancestor(parent, command))
            known = self._nodes.get(parent)
            if known is not None and known.id.start == stat.start:
                above.extend(known.ancestors)
                break
            parent = stat.parent
        return tuple(above[:MAX_ANCESTORS])

    def _forget_missing(self, present: set[int]) -> None:
        for pid in self._others.keys() - present:
            del self._others[pid]
        for process in list(self._nodes.values()):
            # One identified since the folder was listed is not in the list and yet alive.
            if process.id.pid not in present and not self.alive(process.id):
                self._forget(process)

    def _forget(self, process: Process) -> None:
        with self._lock:  # another thread may have found a successor under this pid
            if self._nodes.get(process.id.pid) is process:
                del self._nodes[process.id.pid]


def _next_look(first_at: float, now: float) -> float:
    return now if now - first_at < YOUNG_SECONDS else now + RECHECK_SECONDS
