"""A real supervisord brings back what was ended, be it by a signal or by its own command."""

import pytest

from fakes.conditions import wait_for
from fakes.judged import ended, restart_of
from fakes.machine import APPS, node
from fakes.supervisor import supervisor
from heapwarden.actuators.command import CommandActuator
from heapwarden.actuators.signals import SignalActuator
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method

pytestmark = pytest.mark.anyio

APP = APPS / "served.cjs"


async def test_it_brings_back_what_a_signal_has_ended() -> None:
    """By SIGTERM, and by SIGKILL."""
    with supervisor(node(22), APP) as manager:
        first = manager.pid()
        await SignalActuator().terminate(restart_of(first))
        second = manager.pid(other_than=first)
        await SignalActuator().kill(restart_of(second))
        manager.pid(other_than=second)
        wait_for(lambda: ended(first) and ended(second))


async def test_it_restarts_by_its_own_command() -> None:
    """Which says what is wrong where it can't."""
    with supervisor(node(22), APP) as manager:
        first = manager.pid()
        actuator = CommandActuator(soon_seconds=60)
        with pytest.raises(ActuationError, match=r"exit code [1-9].*nobody: ERROR \(no such process\)"):
            await actuator.terminate(restart_of(first, command=(*manager.control, "restart", "nobody")))
        assert not ended(first)
        restart = restart_of(first, method=Method.COMMAND, command=(*manager.control, "restart", "api"))
        await actuator.terminate(restart)
        assert ended(first)
        manager.pid(other_than=first)
