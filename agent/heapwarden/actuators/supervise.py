"""The parent of one command: starts it, hands signals on, reaps, and knows how it ended."""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping, Sequence

import psutil

from heapwarden.domain.errors import CommandNotStartedError

log = logging.getLogger(__name__)

NOT_RUNNABLE, NOT_FOUND = 126, 127
_SIGNAL_BASE = 128


class Child:
    """One started command. Its standard streams are the agent's own, untouched."""

    def __init__(self, pid: int) -> None:
        """Take hold of ``pid``, a direct child that nobody has waited for."""
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._ended = False

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], mask: set[signal.Signals]) -> "Child":
        """Run ``command`` (looked up in PATH) with signal mask ``mask``. Raises CommandNotStartedError.

        Python ignores SIGPIPE and SIGXFSZ; an ignored signal would stay ignored in the command, so both are set back.
        """
        ignored_by_python = (signal.SIGPIPE, signal.SIGXFSZ)
        try:
            os.close(os.pidfd_open(os.getpid()))  # before anything is started: what can't be held is not started
            pid = os.posix_spawnp(command[0], list(command), environment, setsigmask=mask, setsigdef=ignored_by_python)
        except FileNotFoundError as error:
            raise CommandNotStartedError(f"{command[0]}: not found; is it in PATH?", NOT_FOUND) from error
        except OSError as error:
            raise CommandNotStartedError(f"{command[0]}: {error.strerror}", NOT_RUNNABLE) from error
        return cls(pid)

    def signal(self, number: int) -> None:
        """Hand a signal on; nothing happens if the command has ended."""
        if self._ended:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            log.debug("signal %d came after the command's end", number)

    async def wait(self) -> int:
        """Wait for the end. The exit code is as a shell's: the command's own, or 128 + the signal that killed it."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
        return self._collect()

    def _collect(self) -> int:
        """Reap; returns at once, because a readable pidfd means that the process has ended (pidfd_open(2))."""
        result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        self._ended = True
        os.close(self._pidfd)
        if result is None or result.si_code == os.CLD_EXITED:
            return result.si_status if result is not None else 0
        return _SIGNAL_BASE + result.si_status

    def reap_others(self) -> None:
        """As PID 1, bury the orphans that the kernel hands over; the command itself is left to :meth:`wait`."""
        for orphan in psutil.Process().children():
            if orphan.pid == self.pid:
                continue
            try:
                os.waitpid(orphan.pid, os.WNOHANG)
            except ChildProcessError:
                log.debug("pid %d was reaped already", orphan.pid)
