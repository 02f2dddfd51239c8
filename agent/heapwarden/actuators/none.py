"""Nobody is signalled: the process is out of service, and whoever probes its health does the rest."""

from heapwarden.domain.restart import Restart


class NoActuator:
    """Does nothing; a liveness probe on ``/healthz`` brings the container back."""

    kills: bool = False

    async def terminate(self, restart: Restart) -> None:
        """Nothing."""

    async def kill(self, restart: Restart) -> None:
        """Nothing."""
