"""What a command leaves behind: processes that outlive it, and may hold its port."""

import asyncio
import ctypes
import logging
import os
from collections.abc import Iterator
from itertools import islice

from heapwarden.actuators import own
from heapwarden.actuators.children import children
from heapwarden.actuators.kernel import Kernel

log = logging.getLogger(__name__)

MOST_LEFT = 200
"""So many are looked for, which takes 20 ms: who reads of them will not miss more."""
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_AGAIN_SECONDS = 0.1


class Orphans:
    """The processes below this one. Nothing here signals them. Cheap enough for the event loop."""

    def __init__(self) -> None:
        """From now on orphans below become children of this process, as they do of PID 1 (prctl(2)).

        Only so is it known what a command has left behind: they had another parent as long as it lived. Whatever
        runs below this process already is no orphan of ours: a script may have started it before it called exec.
        """
        self._kernel = Kernel()
        self._strangers = {pid: self._start_of(pid) for pid in children(os.getpid())}
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            log.debug("orphans are not handed over: %s", os.strerror(ctypes.get_errno()))

    def left(self) -> list[int]:
        """Pids of those that still run, and of all below them; the agent's own programs are none of them."""
        found: dict[int, None] = {}
        level = list(islice(self._direct(), MOST_LEFT))
        while level and len(found) < MOST_LEFT:
            found |= dict.fromkeys(level)
            below = (child for pid in level for child in children(pid) if child not in found)
            level = list(islice((child for child in below if self._start_of(child) is not None), MOST_LEFT))
        return list(found)[:MOST_LEFT]

    async def gone(self) -> None:
        """Wait until none is left. What an orphan had started becomes a child of this process at its end."""
        while (pid := next(self._direct(), None)) is not None:
            await _end_of(pid)

    def _direct(self) -> Iterator[int]:
        """Those whose parent is this process."""
        candidates = children(os.getpid())
        programs = own.pids()  # after them: a program is registered right after its start
        for pid in candidates:
            start = self._start_of(pid)
            if start is not None and pid not in programs and self._strangers.get(pid) != start:
                yield pid

    def _start_of(self, pid: int) -> int | None:
        """None also for what has ended and was not waited for: it has closed its sockets."""
        try:
            return self._kernel.start_of(pid)
        except (OSError, ValueError, IndexError):
            return None


async def _end_of(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # gone, or there is no descriptor to be had
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
