"""Signals to the very process that was judged: known by pid, start time and boot, reached through a pidfd."""

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from heapwarden.actuators.kernel import Kernel
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Restart

INIT = 1
_NOT_OFFERED = (errno.ENOSYS, errno.EPERM)
_REAPED = -1
"""The pid behind a pidfd whose process is gone, zombie and all."""


class SignalActuator:
    """Asks by ``plan.signal``, and kills by SIGKILL; whoever started the process brings it back.

    Also of method ``supervise``: there, `heapwarden run` is the one that started it.
    """

    kills: bool = True

    def __init__(self, kernel: Kernel | None = None) -> None:
        """Nothing is opened yet."""
        self._kernel = kernel or Kernel()

    async def terminate(self, restart: Restart) -> None:
        """Send ``plan.signal``. Raises ActuationError: nothing was sent."""
        send(self._kernel, restart, number_of(restart.plan.signal))

    async def kill(self, restart: Restart) -> None:
        """Send SIGKILL. Raises ActuationError: nothing was sent."""
        send(self._kernel, restart, signal.SIGKILL)


def number_of(name: str) -> signal.Signals:
    """The signal of this name, as in signal(7). Raises ActuationError."""
    try:
        return signal.Signals[name]
    except KeyError as error:
        raise ActuationError(f"{name} is no signal here; name one as in signal(7), for example SIGTERM") from error


def send(kernel: Kernel, restart: Restart, number: signal.Signals) -> None:
    """Signal the process of ``restart`` and no other. Raises ActuationError: nothing was sent. Takes microseconds."""
    with held(kernel, restart) as pidfd:
        try:
            kernel.send(pidfd, number)
        except ProcessLookupError as error:
            raise gone(restart.process) from error
        except PermissionError as error:
            raise ActuationError(
                f"pid {restart.process.pid}: not permitted to send {number.name}; "
                "run the agent as the same user, or give it CAP_KILL"
            ) from error
        except OSError as error:
            raise ActuationError(f"pid {restart.process.pid}: {number.name} not sent: {error.strerror}") from error


@contextmanager
def held(kernel: Kernel, restart: Restart) -> Iterator[int]:
    """A pidfd of the judged process, which runs. Raises ActuationError when it is not certain that this is the one.

    The order matters: once the pidfd is open its process can't change any more. If after that the pid has the judged
    start time, and the pidfd still stands for this pid, then the pidfd's process is the judged one.
    """
    process = restart.process
    _check_addressable(kernel, restart)
    try:
        pidfd = kernel.open(process.pid)
    except ProcessLookupError as error:
        raise gone(process) from error
    except OSError as error:
        need = "; it needs Linux 5.3, and a sandbox that allows pidfd_open" if error.errno in _NOT_OFFERED else ""
        raise ActuationError(f"pid {process.pid}: nothing was sent, no pidfd: {error.strerror}{need}") from error
    try:
        _check_identity(kernel, process, pidfd)
        yield pidfd
    finally:
        kernel.close(pidfd)


def gone(process: ProcessId) -> ActuationError:
    """The error for a process that needs nothing any more."""
    return ActuationError(f"pid {process.pid} has ended already; nothing was done")


def check_boot(kernel: Kernel, restart: Restart) -> None:
    """Raises ActuationError when the restart began before the machine was booted: its process can't be there."""
    try:
        boot = kernel.boot()
    except OSError as error:
        raise ActuationError(f"this boot's id can't be read ({error.strerror}); nothing was sent") from error
    if restart.boot != boot:
        raise ActuationError("the machine has booted since the restart began: its process is gone, nothing was sent")


def check_runs(kernel: Kernel, restart: Restart) -> None:
    """For whoever acts otherwise than by signal. Raises ActuationError when the judged process has ended.

    What came after it is not to be restarted for it. One that can't be seen is taken to run.
    """
    check_boot(kernel, restart)
    process = restart.process
    if not process.visible:
        return
    try:
        start = kernel.start_of(process.pid)
    except (OSError, ValueError, IndexError) as error:
        raise ActuationError(f"pid {process.pid}: nothing was done, /proc does not say whose it is: {error}") from error
    if start != process.start:
        raise gone(process)


def _check_addressable(kernel: Kernel, restart: Restart) -> None:
    process = restart.process
    if not process.visible:
        raise ActuationError(
            "the process lives in a PID namespace that the agent can't see into; "
            "share it (shareProcessNamespace, --pid), or use `method: reporter`"
        )
    if process.pid <= INIT:
        raise ActuationError(
            f"pid {process.pid} is not to be signalled: it is the init of the agent's own PID namespace, and its end "
            "would be everybody's; start the app by `heapwarden run`"
        )
    if process.pid in kernel.own_pids():
        raise ActuationError(f"pid {process.pid} is the agent itself or its parent; nothing was sent")
    check_boot(kernel, restart)


def _check_identity(kernel: Kernel, process: ProcessId, pidfd: int) -> None:
    try:
        start = kernel.start_of(process.pid)
        pid = kernel.pid_behind(pidfd)
    except (OSError, ValueError, IndexError) as error:
        raise ActuationError(f"pid {process.pid}: nothing was sent, /proc does not say whose it is: {error}") from error
    if pid not in (process.pid, _REAPED):
        raise ActuationError(
            f"pid {process.pid}: /proc belongs to another PID namespace than the agent; nothing was sent: "
            "give the agent the host's PID namespace (hostPID, --pid=host)"
        )
    if start is None or pid == _REAPED:
        raise gone(process)
    if start != process.start:
        raise ActuationError(f"pid {process.pid} is another process by now; the judged one has ended, nothing was done")
