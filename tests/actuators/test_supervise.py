"""A started command: real processes, real signals."""

import os
import signal
import sys
from pathlib import Path

import pytest

from fakes.conditions import eventually
from heapwarden.actuators.supervise import NOT_FOUND, NOT_RUNNABLE, Child
from heapwarden.domain.errors import CommandNotStartedError

pytestmark = pytest.mark.anyio


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("", 0, id="success"),
        pytest.param("raise SystemExit(3)", 3, id="its own code"),
        pytest.param("import os; os.kill(os.getpid(), 9)", 137, id="killed"),
        pytest.param("import os; os.abort()", 134, id="aborted"),
    ],
)
async def test_the_exit_code_is_as_a_shells(code: str, expected: int) -> None:
    """The command's own, or 128 + the signal."""
    assert await Child.start(_python(code), os.environ, set()).wait() == expected


async def test_signals_arrive(tmp_path: Path) -> None:
    """Through the pidfd; and after the end they go nowhere."""
    ready = tmp_path / "ready"
    code = (
        "import signal, sys, pathlib; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7));"
        f"pathlib.Path({str(ready)!r}).touch(); signal.pause()"
    )
    child = Child.start(_python(code), os.environ, set())
    await eventually(ready.exists)
    child.signal(signal.SIGTERM)
    await eventually(lambda: Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z")
    child.signal(signal.SIGTERM)
    assert await child.wait() == 7
    child.signal(signal.SIGTERM)


async def test_the_command_starts_with_signals_as_they_should_be() -> None:
    """Neither the agent's blocked signals nor Python's ignored SIGPIPE are handed down."""
    pipe, usr2 = 1 << (signal.SIGPIPE - 1), 1 << (signal.SIGUSR2 - 1)
    script = (
        "blocked=$(awk '/SigBlk/ {print $2}' /proc/self/status);"
        "ignored=$(awk '/SigIgn/ {print $2}' /proc/self/status);"
        f"exit $(( (0x$blocked & {usr2}) != 0 || (0x$ignored & {pipe}) != 0 ))"
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        assert await Child.start(["bash", "-c", script], os.environ, set()).wait() == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        pytest.param("no-such-command-anywhere", NOT_FOUND, id="not found"),
        pytest.param("/etc/passwd", NOT_RUNNABLE, id="not runnable"),
    ],
)
def test_a_command_that_can_not_start_is_said(command: str, exit_code: int) -> None:
    """With the exit code that a shell would give."""
    with pytest.raises(CommandNotStartedError, match=command) as raised:
        Child.start([command], os.environ, set())
    assert raised.value.exit_code == exit_code
