"""Learns at once that a process has ended, and how, though it is no child of the agent.

A pidfd becomes readable when its process ends (pidfd_open(2)). Since Linux 6.15 it also tells the wait status, by
``ioctl(PIDFD_GET_INFO)``, from the moment that the parent has reaped the process for as long as the descriptor is
open. Before that, a zombie's ``/proc/PID/stat`` has it in its last field, for those who may trace it.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.sources.procfile import parse_stat, read_file, read_stat

log = logging.getLogger(__name__)

PROC = Path("/proc")
KEPT_SECONDS = 10.0
"""How long after the end the status can be asked for."""
TURNS = 5
"""Of the event loop, between the end and telling of it. The process's connections were closed before it ended, and what
it had said last is read meanwhile."""
MOST_KEPT = 5_000
SHARE = 8
"""Of the descriptors that the agent may have, one in so many is for this."""
MOST_TOLD = 64

_INFO_BYTES, _EXIT_CODE_OFFSET = 64, 60
_GET_INFO = (3 << 30) | (_INFO_BYTES << 16) | (0xFF << 8) | 11
"""``_IOWR(0xFF, 11, struct pidfd_info)`` in its first size, of linux/pidfd.h; a mask comes first, 64 bits."""
_INFO_EXIT = 1 << 3


@dataclass(slots=True)
class _Kept:
    """One process, held by its pidfd."""

    descriptor: int
    status: ExitStatus | None = None


class PidfdExitStatuses:
    """Holds a pidfd for each process it is given. Lives on the event loop.

    Where no descriptor is to be had it does without: such an end is seen in the next scan, and its status is not known.
    """

    def __init__(self, on_ended: Callable[[ProcessId], None], proc_root: Path = PROC) -> None:
        """``on_ended`` is called once for each end, a few turns of the loop after it."""
        self._on_ended = on_ended
        self._root = str(proc_root)
        self._kept: dict[ProcessId, _Kept] = {}
        self._told: dict[ProcessId, ExitStatus] = {}
        self._short = False

    def keep(self, process: Process) -> None:
        """Hold this process until it has ended."""
        id_ = process.id
        if not id_.visible or id_ in self._kept or self._full():
            return
        try:
            descriptor = os.pidfd_open(id_.pid)
        except OSError:  # it is gone, or nothing is left for us
            return
        if not self._is(id_):
            os.close(descriptor)
            return
        self._kept[id_] = _Kept(descriptor)
        asyncio.get_running_loop().add_reader(descriptor, self._ended, id_)

    def told(self, process: ProcessId, status: ExitStatus) -> None:
        """Hear it from the parent, who knows best."""
        self._told[process] = status
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]

    def status(self, process: ProcessId) -> ExitStatus | None:
        """How it ended; None while it runs, while that is not told yet, and where it never will be."""
        kept, told = self._kept.get(process), self._told.get(process)
        if told is not None or kept is None:
            return told
        if kept.status is None:
            wait_status = _reaped(kept.descriptor)
            kept.status = _decoded(self._zombie(process) if wait_status is None else wait_status)
        return kept.status

    def close(self) -> None:
        """Let go of everything."""
        for process in list(self._kept):
            self._drop(process)

    def _ended(self, process: ProcessId) -> None:
        asyncio.get_running_loop().remove_reader(self._kept[process].descriptor)
        self.status(process)  # a zombie's can be read now and may be gone in a moment
        self._tell(process, TURNS)

    def _tell(self, process: ProcessId, turns: int) -> None:
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._tell, process, turns - 1)
        elif process in self._kept:
            loop.call_later(KEPT_SECONDS, self._drop, process)
            self._on_ended(process)

    def _drop(self, process: ProcessId) -> None:
        kept = self._kept.pop(process, None)
        if kept is not None:
            asyncio.get_running_loop().remove_reader(kept.descriptor)
            os.close(kept.descriptor)

    def _full(self) -> bool:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MOST_KEPT if soft == resource.RLIM_INFINITY else min(MOST_KEPT, soft // SHARE)
        full = len(self._kept) >= most
        if full and not self._short:
            log.warning("ends of further processes are seen a tick later and without status: %d are held", most)
        self._short = full
        return full

    def _is(self, process: ProcessId) -> bool:
        """Whether the pid is this process's now, and so was when its descriptor was opened."""
        with contextlib.suppress(OSError):
            stat = read_stat(self._root, process.pid)
            return stat is not None and stat.start == process.start
        return False

    def _zombie(self, process: ProcessId) -> int | None:
        """The wait status in ``stat``, which reads 0 for those who may not know."""
        with contextlib.suppress(OSError, ValueError):
            may_know = self._may_trace(process.pid)
            data = read_file(f"{self._root}/{process.pid}/stat")
            stat = parse_stat(data) if data is not None else None
            if data is not None and stat is not None and stat.start == process.start and stat.ended:
                return int(data.rsplit(None, 1)[-1]) or (0 if may_know else None)
        return None

    def _may_trace(self, pid: int) -> bool:
        """Where the link to a zombie's executable may be followed, the kernel says that there is none (proc(5))."""
        try:
            os.readlink(f"{self._root}/{pid}/exe")  # noqa: PTH115  a Path would add nothing here
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def _reaped(descriptor: int) -> int | None:
    """The wait status of a process that its parent has reaped; None before, and of kernels that don't tell."""
    info = bytearray(_INFO_BYTES)
    struct.pack_into("=Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(descriptor, _GET_INFO, info)
    except OSError:
        return None
    (known,) = struct.unpack_from("=Q", info, 0)
    (wait_status,) = struct.unpack_from("=i", info, _EXIT_CODE_OFFSET)
    return wait_status if known & _INFO_EXIT else None


def _decoded(wait_status: int | None) -> ExitStatus | None:
    """See wait(2)."""
    if wait_status is None:
        return None
    if os.WIFSIGNALED(wait_status):
        return ExitStatus(signal=os.WTERMSIG(wait_status))
    return ExitStatus(code=os.WEXITSTATUS(wait_status)) if os.WIFEXITED(wait_status) else None
