"""Runs a command that restarts the process: ``systemctl restart api``, ``supervisorctl restart api:*``."""

import asyncio
import logging

from heapwarden.actuators.context import environment
from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.programs import Ended, Program
from heapwarden.actuators.signals import check_runs
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Restart

log = logging.getLogger(__name__)

SLACK_SECONDS = 10.0
"""A command that waits for the restart may take this much longer than the grace."""
SOON_SECONDS = 1.0


class CommandActuator:
    """Runs ``plan.command`` without a shell, with the restart in its environment; exit code 0 is a success."""

    kills: bool = False

    def __init__(self, kernel: Kernel | None = None, soon_seconds: float = SOON_SECONDS) -> None:
        """``soon_seconds``: how long a command is waited for that may fail at once."""
        self._kernel = kernel or Kernel()
        self._soon_seconds = soon_seconds

    async def terminate(self, restart: Restart) -> None:
        """Start the command. Raises ActuationError when it fails within a second.

        One that takes longer goes on by itself, also when the agent ends; it is stopped 10 s after the grace. If it
        fails then, the log says so.
        """
        check_runs(self._kernel, restart)
        if not restart.plan.command:
            raise ActuationError("no command is set for method `command`")
        await run_or_leave(
            Program(restart.plan.command, environment(restart), restart.plan.grace_seconds + SLACK_SECONDS),
            what=f"command {restart.plan.command[0]}",
            soon_seconds=self._soon_seconds,
        )

    async def kill(self, restart: Restart) -> None:
        """Never asked for: the command's manager has its own ways. Raises ActuationError."""
        raise ActuationError(f"pid {restart.process.pid}: a command does not kill")


async def run_or_leave(program: Program, *, what: str, soon_seconds: float) -> None:
    """Wait a little for the end. Raises ActuationError when it has failed by then; a later failure is logged."""
    try:
        ended = await asyncio.wait_for(asyncio.wrap_future(program.ended), soon_seconds)
    except TimeoutError:
        program.ended.add_done_callback(lambda future: _tell_late(what, future.result()))
        return
    if not ended.ok:
        raise ActuationError(f"{what}: {ended.text}", in_doubt=ended.started)


def _tell_late(what: str, ended: Ended) -> None:
    if ended.ok:
        log.info("%s: %s", what, ended.text)
    else:
        log.error("%s: %s", what, ended.text)
