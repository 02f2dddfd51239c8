"""Restarts through PM2's own command, so that PM2's counters, logs and hooks stay right.

PM2's command is a Node program of some 60 MB that takes half a second of CPU; it runs beside the app.
"""

import asyncio
import os
import shutil
from typing import NamedTuple

from heapwarden.actuators.command import SLACK_SECONDS, run_or_leave
from heapwarden.actuators.credentials import as_user
from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.pm2_daemon import Managed, check_unchanged, managed
from heapwarden.actuators.programs import Program
from heapwarden.actuators.signals import check_runs
from heapwarden.actuators.thread import in_thread
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Restart

LOOK_SECONDS = 5.0
SOON_SECONDS = 5.0
"""PM2's command needs half a second to begin; failures within this time are told at once."""


class Pm2Actuator:
    """``pm2 reload ID`` in cluster mode, else ``pm2 restart ID``. PM2 kills after its own ``kill_timeout``."""

    kills: bool = False

    def __init__(self, kernel: Kernel | None = None, soon_seconds: float = SOON_SECONDS) -> None:
        """``soon_seconds``: how long PM2's command is waited for that may fail."""
        self._kernel = kernel or Kernel()
        self._soon_seconds = soon_seconds

    async def terminate(self, restart: Restart) -> None:
        """Ask PM2. Raises ActuationError: it is not the process's manager, can't be reached, or refuses.

        In cluster mode the next worker starts before this one ends: for that time there is memory for both, or it is
        the wrong method. No PM2 daemon is ever started.
        """
        check_runs(self._kernel, restart)
        if not restart.process.visible:
            raise ActuationError("the agent can't see the process, and so not its PM2; use `method: reporter`")
        found, what, command, environment = await _looked_up(restart.process.pid)
        check_runs(self._kernel, restart)  # what was looked up is its own, and no successor's
        check_unchanged(found)
        program = Program(command, environment, restart.plan.grace_seconds + SLACK_SECONDS)
        await run_or_leave(program, what=what, soon_seconds=self._soon_seconds)

    async def kill(self, restart: Restart) -> None:
        """Never asked for: PM2 kills by itself. Raises ActuationError."""
        raise ActuationError(f"pid {restart.process.pid}: PM2 kills by itself")


class Order(NamedTuple):
    """What PM2 is to be told, and how."""

    found: Managed
    what: str
    command: list[str]
    environment: dict[str, str]


def _order(pid: int) -> Order:
    """Blocks: names that its user has chosen are looked up."""
    found = managed(pid)
    action = "reload" if found.cluster else "restart"
    return Order(found, f"pm2 {action} {found.id}", *command_line(found, action))


async def _looked_up(pid: int) -> Order:
    future = asyncio.wrap_future(in_thread("heapwarden-pm2", lambda: _order(pid)))
    try:
        return await asyncio.wait_for(future, LOOK_SECONDS)
    except TimeoutError as error:
        raise ActuationError(f"pid {pid}: /proc did not say within {LOOK_SECONDS:g} s which PM2 it is of") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ActuationError(f"pid {pid}: can't tell which PM2 it is of: {error}") from error


def command_line(found: Managed, action: str) -> tuple[list[str], dict[str, str]]:
    """How PM2 is asked, and with which environment. Raises ActuationError when its command is not there.

    It is looked for where the daemon would find it, so that both are of one version; then where the agent would.
    """
    beside_node = os.path.dirname(found.node)  # noqa: PTH120  a text
    path = os.pathsep.join(part for part in (found.environment.get("PATH"), beside_node) if part)
    executable = shutil.which("pm2", path=path) or shutil.which("pm2")
    if executable is None:
        raise ActuationError(
            "PM2's command `pm2` is neither in the PATH of its daemon nor in the agent's; put it into the agent's PATH"
        )
    environment = {**found.environment, "PATH": os.pathsep.join(part for part in (beside_node, path) if part)}
    return as_user(found.user, [os.path.abspath(executable), action, str(found.id)], environment)  # noqa: PTH100  as above
