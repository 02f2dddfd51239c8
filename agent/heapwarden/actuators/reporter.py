"""The reporter raises the signal in its own process: for PID namespaces that the agent can't see into."""

import signal

from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.signals import check_boot, number_of, send
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Restart
from heapwarden.ports import Reporters


class ReporterActuator:
    """Asks through the connection that the process itself has opened, so it can reach no other."""

    kills: bool = True

    def __init__(self, reporters: Reporters, kernel: Kernel | None = None) -> None:
        """``reporters`` are those connected now."""
        self._reporters = reporters
        self._kernel = kernel or Kernel()

    async def terminate(self, restart: Restart) -> None:
        """Ask the process to send ``plan.signal`` to itself. Raises ActuationError: nothing was sent.

        A process whose event loop is blocked hears of it when the loop turns again.
        """
        self._ask(restart, number_of(restart.plan.signal))

    async def kill(self, restart: Restart) -> None:
        """SIGKILL through a pidfd where the agent sees the process; else the process is asked to do it itself.

        That works only while its event loop turns: one that is blocked in a namespace of its own is beyond reach, and
        its probe or its supervisor has to end it. Raises ActuationError: nothing was sent.
        """
        if restart.process.visible:
            send(self._kernel, restart, signal.SIGKILL)
        else:
            self._ask(restart, signal.SIGKILL)

    def _ask(self, restart: Restart, number: signal.Signals) -> None:
        check_boot(self._kernel, restart)
        if not self._reporters.raise_signal(restart.process, number.name):
            raise ActuationError(
                f"{restart.name.process}: no reporter of it is connected that can raise {number.name}; "
                "start it with the reporter of this version, or share its PID namespace and use `method: signal`"
            )
