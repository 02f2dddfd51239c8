"""What a command leaves behind: processes that outlive it, and may hold its port."""

import asyncio
import contextlib
import ctypes
import logging
import os
from collections.abc import Iterable, Iterator

import psutil

from heapwarden.actuators import own

log = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_AGAIN_SECONDS = 0.1


class Orphans:
    """The processes below this one. Nothing here signals them."""

    def __init__(self) -> None:
        """From now on orphans below become children of this process, as they do of PID 1 (prctl(2)).

        Only so is it known what a command has left behind: they had another parent as long as it lived. Whatever
        runs below this process already is no orphan of ours: a script may have started it before it called exec.
        """
        self._strangers = frozenset(psutil.Process().children())
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            log.debug("orphans are not handed over: %s", os.strerror(ctypes.get_errno()))

    def left(self) -> list[int]:
        """Pids of those that still run; the agent's own programs are none of them."""
        others = {process for root in (*self._strangers, *_present(own.pids())) for process in _tree(root)}
        return [process.pid for process in psutil.Process().children(recursive=True) if _orphan(process, others)]

    async def gone(self) -> None:
        """Wait until none is left."""
        while left := self.left():
            await _end_of(left[0])


def _present(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            yield psutil.Process(pid)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _orphan(process: psutil.Process, others: set[psutil.Process]) -> bool:
    try:
        return process not in others and process.status() != psutil.STATUS_ZOMBIE  # which has closed its sockets
    except psutil.Error:
        return False


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
