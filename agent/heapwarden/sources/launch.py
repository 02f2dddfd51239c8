"""How a process was started: its environment's two variables that matter, its user, and what may be done to it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from heapwarden.domain.checkup import Launch
from heapwarden.domain.identity import Process
from heapwarden.sources.cgroup_path import cgroup_mounts, find_folders, memory_cgroup
from heapwarden.sources.procfile import natural, numbers, raise_own_trouble, read_file, read_stat
from heapwarden.sources.socket_place import trouble

PROC = Path("/proc")
MAX_ENVIRON_BYTES = 1 << 20
MAX_VALUE_BYTES = 8_192
MAX_MOUNTINFO_BYTES = 4 * 1024 * 1024
YOUNG_SECONDS = 10.0
"""So long an empty environment may be one that exec has not put in place yet: it comes after the program's name."""


class ProcLaunches:
    """:class:`~heapwarden.domain.checkup.Launch` from ``/proc/PID``."""

    def __init__(
        self, proc_root: Path = PROC, *, file_root: Path = Path("/"), wall: Callable[[], float] = time.time
    ) -> None:
        """Read below ``proc_root``; own mount points stand below ``file_root``."""
        self._root = str(proc_root)
        self._file_root = str(file_root).rstrip("/")
        self._wall = wall

    def read(self, process: Process, cgroup: str = "") -> Launch | None:
        """See :class:`heapwarden.ports.Launches`."""
        if not process.id.visible:
            return Launch()
        folder = f"{self._root}/{process.id.pid}"
        environ = read_file(f"{folder}/environ", MAX_ENVIRON_BYTES)
        status = read_file(f"{folder}/status") or b""
        hidden, may_signal = self._cgroup_hidden(folder), _may_signal(process.id.pid)
        stat = read_stat(self._root, process.id.pid)  # last: all of the above was this very process's
        if stat is None or stat.start != process.id.start or stat.ending:
            return None
        if environ == b"" and self._wall() - process.started_at < YOUNG_SECONDS:
            return None
        socket = None if environ is None else _value(environ, b"HEAPWARDEN_SOCKET")
        users, groups = numbers(status, b"Uid:"), numbers(status, b"Gid:")
        return Launch(
            uid=users[0] if users else None,
            gid=groups[0] if groups else None,
            node_options=None if environ is None else _value(environ, b"NODE_OPTIONS") or "",
            socket=socket,
            socket_trouble=trouble(f"{folder}/root", socket, status) if socket is not None else None,
            cgroup_hidden=hidden,
            may_signal=may_signal,
            swappiness=self._swappiness(cgroup),
        )

    def _cgroup_hidden(self, folder: str) -> bool:
        cgroup = memory_cgroup(read_file(f"{folder}/cgroup") or b"")
        if cgroup is None or cgroup.path == "/" or _may_see(f"{folder}/root"):
            return False
        own = cgroup_mounts(read_file(f"{self._root}/self/mountinfo", MAX_MOUNTINFO_BYTES) or b"")
        return find_folders(cgroup, own, self._file_root) is None

    def _swappiness(self, cgroup: str) -> int | None:
        own = read_file(f"{cgroup}/memory.swappiness") if cgroup else None
        text = own if own is not None else read_file(f"{self._root}/sys/vm/swappiness")
        try:
            return natural(text or b"")
        except ValueError:
            return None


def _value(environ: bytes, name: bytes) -> str | None:
    """Of the first variable of that name, as getenv(3) has it."""
    for variable in environ.split(b"\0"):
        key, equals, value = variable.partition(b"=")
        if equals and key == name:
            return value[:MAX_VALUE_BYTES].decode(errors="replace")
    return None


def _may_see(link: str) -> bool:
    try:
        os.readlink(link)  # noqa: PTH115  a Path would add nothing here
    except PermissionError:
        return False
    except OSError as error:
        raise_own_trouble(error)
    return True


def _may_signal(pid: int) -> bool:
    """Signal 0 is never sent, only asked for (kill(2))."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except OSError:
        return True  # gone
    return True
