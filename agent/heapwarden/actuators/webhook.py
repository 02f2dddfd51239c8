"""Asks another service for the restart, by a POST of JSON."""

from heapwarden.actuators.context import body
from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.request import post
from heapwarden.actuators.signals import check_runs
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Restart

TIMEOUT_SECONDS = 10.0


class WebhookActuator:
    """``plan.url`` gets the restart as JSON (see :mod:`heapwarden.actuators.context`); any 2xx is a yes."""

    kills: bool = False

    def __init__(self, kernel: Kernel | None = None) -> None:
        """Nothing is opened yet."""
        self._kernel = kernel or Kernel()

    async def terminate(self, restart: Restart) -> None:
        """Ask once, and wait for the answer. Raises ActuationError: no yes came within 10 s.

        A service that answers only when the restart is over may still carry it out then.
        """
        check_runs(self._kernel, restart)
        answer = await post(restart.plan.url, body(restart), TIMEOUT_SECONDS)
        if not answer.ok:
            raise ActuationError(f"webhook {answer.text}", in_doubt=answer.in_doubt)

    async def kill(self, restart: Restart) -> None:
        """Never asked for: the service has its own ways. Raises ActuationError."""
        raise ActuationError(f"pid {restart.process.pid}: a webhook does not kill")
