"""A process is asked, through its reporter, to signal itself."""

import signal
import subprocess

import pytest

from fakes.judged import AskedReporters, restart_of
from heapwarden.actuators.reporter import ReporterActuator
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.identity import ProcessId

pytestmark = pytest.mark.anyio

HIDDEN = ProcessId(0, 4711, "pid:[4026532000]")


async def test_it_is_asked_to_raise_the_planned_signal() -> None:
    """By name, so that the numbers of another architecture don't matter."""
    reporters = AskedReporters()
    await ReporterActuator(reporters).terminate(restart_of(HIDDEN, signal="SIGINT"))
    assert reporters.asked == [("raise_signal", HIDDEN, "SIGINT")]


async def test_without_a_connection_nothing_is_sent() -> None:
    """And the error says what would help."""
    with pytest.raises(ActuationError, match=r"api: no reporter.*SIGTERM; start it with the reporter"):
        await ReporterActuator(AskedReporters(answer=False)).terminate(restart_of(HIDDEN))


async def test_nobody_is_asked_after_another_boot() -> None:
    """A process of the same number may be connected by chance."""
    reporters = AskedReporters()
    with pytest.raises(ActuationError, match="booted since"):
        await ReporterActuator(reporters).terminate(restart_of(HIDDEN, boot="another"))
    assert reporters.asked == []


async def test_one_that_can_not_be_seen_is_asked_to_kill_itself() -> None:
    """There is no other way."""
    reporters = AskedReporters()
    await ReporterActuator(reporters).kill(restart_of(HIDDEN))
    assert reporters.asked == [("raise_signal", HIDDEN, "SIGKILL")]


async def test_one_that_can_be_seen_is_killed() -> None:
    """Its loop may be blocked: it is not asked."""
    reporters = AskedReporters()
    with subprocess.Popen(["sleep", "300"]) as process:  # noqa: ASYNC220  it returns at once
        try:
            await ReporterActuator(reporters).kill(restart_of(process.pid))
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert reporters.asked == []
