"""The parent of one command: starts it, hands signals on, reaps, and knows how it ended."""

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from heapwarden.actuators import own
from heapwarden.actuators.children import children
from heapwarden.domain.errors import CommandNotStartedError
from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import ProcessId

log = logging.getLogger(__name__)

NOT_RUNNABLE, NOT_FOUND = 126, 127
_SIGNAL_BASE = 128


def shell_code(status: ExitStatus) -> int:
    """The exit code as a shell gives it: the command's own, or 128 + the signal that killed it."""
    return _SIGNAL_BASE + status.signal if status.signal is not None else status.code or 0


class Child:
    """One started command. Its standard streams are the agent's own, untouched."""

    def __init__(self, pid: int) -> None:
        """Take hold of ``pid``, a direct child that nobody has waited for."""
        self.pid = pid
        self.id = ProcessId(pid, _started(pid))
        self._pidfd = os.pidfd_open(pid)
        self.ended = False
        """Whether :meth:`wait` has seen the end."""

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        mask: set[signal.Signals],
        open_files: tuple[int, int],
    ) -> "Child":
        """Run ``command`` (looked up in PATH). Raises CommandNotStartedError.

        Its signal mask is ``mask``, and ``open_files`` its limits of open files: the agent may have raised its own.
        Python ignores SIGPIPE and SIGXFSZ; an ignored signal would stay ignored in the command, so both are set back.
        """
        ignored_by_python = (signal.SIGPIPE, signal.SIGXFSZ)
        try:
            os.close(os.pidfd_open(os.getpid()))  # before anything is started: what can't be held is not started
            with _limits(open_files):
                pid = os.posix_spawnp(
                    command[0], list(command), environment, setsigmask=mask, setsigdef=ignored_by_python
                )
        except FileNotFoundError as error:
            raise CommandNotStartedError(f"{command[0]}: not found; is it in PATH?", NOT_FOUND) from error
        except OSError as error:
            raise CommandNotStartedError(f"{command[0]}: {error.strerror}", NOT_RUNNABLE) from error
        return cls(pid)

    def signal(self, number: int) -> None:
        """Hand a signal on; nothing happens if the command has ended."""
        if self.ended:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            log.debug("signal %d came after the command's end", number)

    async def wait(self) -> ExitStatus:
        """Wait for the end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
        return self._collect()

    def _collect(self) -> ExitStatus:
        """Reap; returns at once, because a readable pidfd means that the process has ended (pidfd_open(2))."""
        result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        self.ended = True
        os.close(self._pidfd)
        if result is None or result.si_code == os.CLD_EXITED:
            return ExitStatus(code=result.si_status if result is not None else 0)
        return ExitStatus(signal=result.si_status)

    def reap_others(self) -> None:
        """Bury the orphans that the kernel hands over; the command itself is left to :meth:`wait`, and programs too."""
        with own.settled() as programs:
            if programs is None:  # one is being started, whose end brings SIGCHLD again
                return
            spared = programs if self.ended else programs | {self.pid}
            if _reap_all_but(spared):
                return
            for orphan in children(os.getpid()):
                if orphan not in spared:
                    _reap(orphan)


def _reap_all_but(spared: frozenset[int]) -> bool:
    """Bury what the kernel names first, as long as that is nobody who is ``spared``; False: others may wait behind him.

    Nearly always it is enough, and nothing need be read from ``/proc``.
    """
    try:
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if dead.si_pid in spared:
                return False
            _reap(dead.si_pid)
    except ChildProcessError:  # there are no children
        return True
    return True


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        log.debug("pid %d was reaped already", pid)


@contextmanager
def _limits(open_files: tuple[int, int]) -> Iterator[None]:
    """For so long these are the limits of this process; what is open above them stays open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, open_files)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _started(pid: int) -> int:
    """Clock ticks since boot (field 22 of ``stat``, proc(5)); 0 where ``/proc`` does not say."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
