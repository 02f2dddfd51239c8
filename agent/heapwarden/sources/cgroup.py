"""Memory of the container around each process, and the limit at which the kernel kills in it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.pod_path import NOWHERE, PodPath, located
from heapwarden.domain.sample import ContainerFigures
from heapwarden.sources.cgroup_path import (
    CgroupMount,
    Folders,
    MemoryCgroup,
    cgroup_mounts,
    find_folders,
    memory_cgroup,
)
from heapwarden.sources.oom_kills import KillCounter
from heapwarden.sources.procfile import natural, numbers, read_file, read_stat

PROC = Path("/proc")
MAX_MOUNTINFO_BYTES = 4 * 1024 * 1024
LOOK_AGAIN_SECONDS = 10.0
"""How long a process stays without figures before it is asked again where its cgroup lies."""
COUNTERS_KEPT_SECONDS = 30.0
"""After the last look: a cgroup whose processes have all ended may get new ones."""
MOST_HELD = 64
"""With more cgroups than this no kill counter is held open. They lie behind a process's own mounts beside a sidecar,
which has few."""


@dataclass(frozen=True, slots=True)
class _Files:
    """Names of one version's files, and the line of ``memory.stat`` with the cache that the kernel drops first."""

    limit: str
    usage: str
    inactive: bytes


_FILES = {
    1: _Files("memory.limit_in_bytes", "memory.usage_in_bytes", b"total_inactive_file "),
    2: _Files("memory.max", "memory.current", b"inactive_file "),
}


@dataclass(frozen=True, slots=True)
class _Route:
    """Which cgroup a process was in when last looked at, and where that lies."""

    text: bytes
    """Of ``/proc/PID/cgroup``."""
    cgroup: MemoryCgroup
    folders: Folders | None
    foreign: bool
    """Whether they are seen through the process's own mounts, and only while it lives."""
    looked_at: float
    pod: PodPath = NOWHERE

    def holds_at(self, now: float) -> bool:
        """Whether it need not be looked for again: it was found, or missed a moment ago."""
        return self.folders is not None or now < self.looked_at + LOOK_AGAIN_SECONDS


class _Levels:
    """The cgroups of one reading. Each is read once, however many others are below it."""

    def __init__(self, machine_bytes: int) -> None:
        """Limits above ``machine_bytes`` can't be hit and are none."""
        self._machine_bytes = machine_bytes
        self._limits: dict[str, int | None] = {}
        self._working: dict[str, int | None] = {}

    def fullest(self, folders: Folders, now: float) -> ContainerFigures | None:
        """The cgroup nearest to its limit; without any limit the lowest; None where none is accounted."""
        files = _FILES[folders.version]
        lowest: ContainerFigures | None = None
        fullest, most = None, -1.0
        for folder in folders.upwards:
            limit = self._limit(folder, files)
            if limit is None and lowest is not None:
                continue
            working = self._working_set(folder, files)
            if working is None:
                continue
            level = ContainerFigures(now, working, limit, cgroup=folder)
            lowest = lowest or level
            if limit is not None and working / limit > most:
                fullest, most = level, working / limit
        return fullest or lowest

    def _limit(self, folder: str, files: _Files) -> int | None:
        if folder not in self._limits:
            limit = _number(read_file(f"{folder}/{files.limit}"))
            # A limit of 0 can't be what a living process runs under.
            self._limits[folder] = limit if limit is not None and 0 < limit <= self._machine_bytes else None
        return self._limits[folder]

    def _working_set(self, folder: str, files: _Files) -> int | None:
        if folder not in self._working:
            usage = _number(read_file(f"{folder}/{files.usage}"))
            inactive = numbers(read_file(f"{folder}/memory.stat") or b"", files.inactive)
            self._working[folder] = max(0, usage - inactive[0]) if usage is not None and inactive else None
        return self._working[folder]


class CgroupSource:
    """:class:`~heapwarden.domain.sample.ContainerFigures` from cgroups of version 1 and 2.

    Of all cgroups from the process's own upwards that have a limit, the one that is fullest counts. Limits above the
    machine's memory can't be hit and are none. A process in the root cgroup is in no container and has no figures.
    A cgroup that many processes share is read once.
    """

    name = "cgroup"

    def __init__(
        self,
        proc_root: Path = PROC,
        *,
        file_root: Path = Path("/"),
        machine_bytes: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Own mount points stand below ``file_root``; ``machine_bytes`` is the machine's memory, asked if None."""
        self._monotonic = monotonic
        self._proc = str(proc_root)
        self._file_root = str(file_root).rstrip("/")
        self._machine_bytes = psutil.virtual_memory().total if machine_bytes is None else machine_bytes
        self._own_mounts: tuple[CgroupMount, ...] | None = None
        self._routes: dict[ProcessId, _Route] = {}
        self._former: dict[ProcessId, _Route] = {}
        self._counters: dict[MemoryCgroup, KillCounter] = {}

    def concerns(self, process: ProcessId) -> bool:
        """Every process that can be seen."""
        return process.visible

    def read(self, processes: Sequence[Process], now: float) -> Mapping[ProcessId, ContainerFigures]:
        """Figures of each process whose cgroup can be seen."""
        levels = _Levels(self._machine_bytes)
        read: dict[MemoryCgroup, ContainerFigures] = {}
        figures: dict[ProcessId, ContainerFigures] = {}
        routes: dict[ProcessId, _Route] = {}
        for process in processes:
            route = self._route(process.id, now) if process.id.visible else None
            if route is None:
                continue
            routes[process.id] = route
            # Where one process gave no way to its cgroup, the next in the same cgroup may.
            known = read.get(route.cgroup) or self._figures(route, levels, now)
            if known is not None:
                read[route.cgroup] = figures[process.id] = known
        self._former, self._routes = self._routes, routes
        self._forget_counters(now)
        return figures

    def lately(self, process: ProcessId) -> int | None:
        """Kills for memory just now that explain the end of ``process``, as :class:`heapwarden.ports.OomKills`.

        Read anew by the route that was found while it lived. Any thread may ask, a reading or so after the end.
        """
        counter = self._counter_of(process)
        return counter.lately(self._monotonic()) if counter is not None else None

    def claim(self, process: ProcessId) -> None:
        """One of them was this process."""
        counter = self._counter_of(process)
        if counter is not None:
            counter.claim(self._monotonic())

    def pod_path(self, process: ProcessId) -> PodPath | None:
        """In which pod and container it is, as of the last reading; None before the first. Any thread may ask."""
        route = self._routes.get(process)
        return None if route is None else route.pod

    def _counter_of(self, process: ProcessId) -> KillCounter | None:
        # The newest reading may have found it dead already, and have no route any more.
        route = self._routes.get(process) or self._former.get(process)
        return self._counters.get(route.cgroup) if route is not None else None

    def _figures(self, route: _Route, levels: _Levels, now: float) -> ContainerFigures | None:
        known = levels.fullest(route.folders, now) if route.folders is not None else None
        if known is None or route.folders is None:
            return None
        counter = self._counters.get(route.cgroup)
        if counter is None:
            counter = self._counters[route.cgroup] = KillCounter()
        kills = counter.look(route.folders, now, hold=route.foreign and len(self._counters) <= MOST_HELD)
        return replace(known, oom_kills=kills)

    def _forget_counters(self, now: float) -> None:
        for cgroup, counter in list(self._counters.items()):
            if now - counter.looked_at > COUNTERS_KEPT_SECONDS:
                counter.close()
                del self._counters[cgroup]

    def _route(self, process: ProcessId, now: float) -> _Route | None:
        text = read_file(f"{self._proc}/{process.pid}/cgroup") or b""
        held = self._routes.get(process)
        if held is not None and held.text == text and held.holds_at(now):
            return held
        cgroup = memory_cgroup(text)
        stat = read_stat(self._proc, process.pid)
        if cgroup is None or stat is None or stat.start != process.start:
            return None
        if held is not None and stat.ending:  # version 1 shows it in the root cgroup then, where it never was
            return held
        # By the agent's own mounts, which may show the most; else by those that the process itself has.
        own = self._own(cgroup)
        folders, pod = own or self._through(process.pid, cgroup), located(text.decode(errors="replace"))
        return _Route(text, cgroup, folders, foreign=own is None, looked_at=now, pod=pod)

    def _own(self, cgroup: MemoryCgroup) -> Folders | None:
        if self._own_mounts is None:
            self._own_mounts = self._mounts("self")
        return find_folders(cgroup, self._own_mounts, self._file_root)

    def _through(self, pid: int, cgroup: MemoryCgroup) -> Folders | None:
        return find_folders(cgroup, self._mounts(pid), f"{self._proc}/{pid}/root", check_device=True)

    def _mounts(self, pid: int | str) -> tuple[CgroupMount, ...]:
        return cgroup_mounts(read_file(f"{self._proc}/{pid}/mountinfo", MAX_MOUNTINFO_BYTES) or b"")


def _number(data: bytes | None) -> int | None:
    """The number in a file that holds one; None for ``max``, and where there is none."""
    try:
        return natural(data or b"")
    except ValueError:
        return None
