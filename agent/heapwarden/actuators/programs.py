"""Runs other programs: the one place for it. Each has a session, a thread, a deadline, and little room for output.

A program starts as from a fresh shell: no signal blocked or ignored by the agent's doing, nothing to read, no file of
the agent's open, and without what makes Node report to the agent, or opens the agent to requests.
"""

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from heapwarden.actuators import own
from heapwarden.actuators.text import one_line

log = logging.getLogger(__name__)

OUTPUT_BYTES = 4_096
TOLD_CHARACTERS = 300
PIPE_BYTES = 65_536
TERM_SECONDS = 2.0
"""From SIGTERM to SIGKILL for a program that is out of time."""
KILL_SECONDS = 1.0
"""So long a killed program is waited for before its end is told; it is reaped whenever it comes."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
TOKEN_VARIABLE = "HEAPWARDEN_TOKEN"  # noqa: S105  a name
"""Whoever has what is in it may restart what the agent watches: not for a program, and not for a command's app."""
DROPPED = frozenset(
    {
        TOKEN_VARIABLE,
        "NODE_OPTIONS",
        "HEAPWARDEN_SOCKET",
        "NODE_CHANNEL_FD",
        "NODE_CHANNEL_SERIALIZATION_MODE",
        "NODE_UNIQUE_ID",
    }
)
"""With those of Node a program would take itself for a watched app, or for its parent's worker."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    ok: bool
    """It started, ended in time, and with exit code 0."""
    how: str
    """In words: ``exit code 3``, ``killed by SIGSEGV``, ``not done after 10 s``, ``not started: …``."""
    output: str = ""
    """The end of what it wrote, on one line, without control characters."""
    started: bool = True
    """It may have done something."""

    @property
    def text(self) -> str:
        """Both, with no more of the output than people would read."""
        return f"{self.how}: {self.output[-TOLD_CHARACTERS:]}" if self.output else self.how


def clean_environment(**more: str) -> dict[str, str]:
    """The agent's own, without what is not for others, and ``more``."""
    return {**{name: value for name, value in os.environ.items() if name not in DROPPED}, **more}


class Program:
    """One program from its start to its end, which :attr:`ended` tells. It outlives whoever stops waiting for it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> None:
        """Start ``command`` (argv; looked up in PATH) in a thread; at the deadline all its session is ended."""
        self.ended: Future[Ended] = Future()
        self.ended.set_running_or_notify_cancel()  # so that whoever stops waiting does not cancel it
        self._command = list(command)
        self._environment = dict(environment)
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._started = False
        self._unwanted = False
        self._tail = b""
        try:
            threading.Thread(target=self._work, name="heapwarden-program", daemon=True).start()
        except RuntimeError as error:
            self.ended.set_result(Ended(ok=False, how=f"not started: {error}"))

    def kill(self) -> None:
        """End it and what it has started by SIGKILL, now; nothing happens when it has ended."""
        with self._lock:
            self._unwanted = True
            self._signal(signal.SIGKILL)

    def _work(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  the edge of a thread: told to whoever waits
            what = error.strerror if isinstance(error, OSError) else repr(error)
            self._tell(Ended(ok=False, how=f"not started: {what}", started=self._started))

    def _run(self) -> None:
        reader, writer = os.pipe()
        try:
            try:
                pid = self._start(writer)
            finally:
                os.close(writer)
            self._attend(pid, reader)
        finally:
            os.close(reader)

    def _start(self, writer: int) -> int:
        """Raises OSError, and ValueError for arguments that no program can be given."""
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_DUP2, writer, 2),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
        ]
        with own.starting() as register:
            pid = os.posix_spawnp(
                self._command[0],
                self._command,
                self._environment,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=IGNORED_BY_PYTHON,
            )
            register(pid)
        with self._lock:
            self._pid, self._started = pid, True
            if self._unwanted:
                self._signal(signal.SIGKILL)
        return pid

    def _attend(self, pid: int, reader: int) -> None:
        """Read, wait, end it in time, tell, reap."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            self.kill()
            self._reap(pid)
            raise
        try:
            os.set_blocking(reader, False)
            watched = {pidfd, reader}
            if self._wait(watched, pidfd, self._timeout_seconds):
                self._take(reader)
                self._tell(self._described(self._reap(pid)))
            else:
                self._end(watched, pidfd)
                self._tell(Ended(ok=False, how=f"not done after {self._timeout_seconds:g} s", output=self._output()))
                self._reap(pid)
        finally:
            os.close(pidfd)

    def _wait(self, watched: set[int], pidfd: int, seconds: float, *, for_output: bool = False) -> bool:
        """Whether it ended within ``seconds`` (and, if so asked, all who might write to its output with it)."""
        deadline = time.monotonic() + seconds
        ended = False
        while not ended or (for_output and len(watched) > 1):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll = select.poll()
            for descriptor in watched if not ended else watched - {pidfd}:
                poll.register(descriptor, select.POLLIN)
            for descriptor, _ in poll.poll(left * 1_000):
                if descriptor == pidfd:
                    ended = True
                elif not self._take(descriptor):
                    watched.discard(descriptor)
        return True

    def _end(self, watched: set[int], pidfd: int) -> None:
        """Ask all of its session to end, then make them. The group's number stays its own until it is reaped."""
        with self._lock:
            self._signal(signal.SIGTERM)
        self._wait(watched, pidfd, TERM_SECONDS, for_output=True)
        with self._lock:
            self._signal(signal.SIGKILL)
        self._wait(watched, pidfd, KILL_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        """To the whole process group. The lock is held: it may not be reaped meanwhile."""
        if self._pid is None:
            return
        try:
            os.killpg(self._pid, number)
        except OSError as error:
            log.warning("%s: %s not sent: %s", self._command[0], number.name, error.strerror)

    def _reap(self, pid: int) -> os.waitid_result | None:
        """Wait for the end and take the status; None when somebody else has taken it."""
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            with self._lock:
                self._pid = None
                return os.waitid(os.P_PID, pid, os.WEXITED)
        except ChildProcessError:
            return None
        finally:
            with self._lock:
                self._pid = None
            own.waited_for(pid)

    def _take(self, reader: int) -> bool:
        """Read what is there, once; False at the end of the output."""
        try:
            data = os.read(reader, PIPE_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + data)[-OUTPUT_BYTES:]
        return bool(data)

    def _output(self) -> str:
        return one_line(self._tail)

    def _described(self, result: os.waitid_result | None) -> Ended:
        if result is None:
            return Ended(ok=False, how="ended; its exit code is not known", output=self._output())
        if result.si_code == os.CLD_EXITED:
            code = result.si_status
            return Ended(ok=code == 0, how=f"exit code {code}", output=self._output())
        names = {number.value: number.name for number in signal.Signals}
        how = f"killed by {names.get(result.si_status, f'signal {result.si_status}')}"
        return Ended(ok=False, how=how, output=self._output())

    def _tell(self, ended: Ended) -> None:
        if not self.ended.done():
            self.ended.set_result(ended)


def _inheritable() -> list[int]:
    """Descriptors that the agent itself was started with, beyond its three streams: not for others either."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  names alone are needed
        descriptor = int(name)
        try:
            if descriptor > 2 and os.get_inheritable(descriptor):  # noqa: PLR2004  stderr
                found.append(descriptor)
        except OSError:
            continue  # closed meanwhile, as the one that listed
    return found
