"""A started command: real processes, real signals."""

import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from fakes.conditions import eventually
from heapwarden.actuators.supervise import NOT_FOUND, NOT_RUNNABLE, Child, shell_code
from heapwarden.domain.errors import CommandNotStartedError
from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import ProcessId

LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)

pytestmark = pytest.mark.anyio


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _another() -> int:
    """The pid of a child that nobody waits for, as an orphan that was handed over."""
    return os.posix_spawnp("true", ["true"], {})


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


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
    assert shell_code(await Child.start(_python(code), os.environ, set(), LIMITS).wait()) == expected


async def test_it_is_known_by_pid_and_start_time() -> None:
    """As the kernel has both."""
    child = Child.start(["sleep", "60"], os.environ, set(), LIMITS)
    start = int(_stat(child.pid)[19])
    child.signal(signal.SIGKILL)
    assert await child.wait() == ExitStatus(signal=signal.SIGKILL)
    assert child.id == ProcessId(child.pid, start)


async def test_the_commands_limit_of_open_files_is_as_it_is_told() -> None:
    """The agent's own stays what it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    child = Child.start(["sh", "-c", 'exit "$(ulimit -Sn)"'], os.environ, set(), (123, hard))
    assert await child.wait() == ExitStatus(code=123)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


async def test_signals_arrive(tmp_path: Path) -> None:
    """Through the pidfd; and after the end they go nowhere."""
    ready = tmp_path / "ready"
    code = (
        "import signal, sys, pathlib; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7));"
        f"pathlib.Path({str(ready)!r}).touch(); signal.pause()"
    )
    child = Child.start(_python(code), os.environ, set(), LIMITS)
    await eventually(ready.exists)
    child.signal(signal.SIGTERM)
    await eventually(lambda: _stat(child.pid)[0] == "Z")
    child.signal(signal.SIGTERM)
    assert await child.wait() == ExitStatus(code=7)
    child.signal(signal.SIGTERM)


async def test_orphans_behind_the_ended_command_are_buried_and_its_status_is_kept() -> None:
    """The kernel names the command first, being the older one, and is not to be stopped by that."""
    child = Child.start(_python("raise SystemExit(7)"), os.environ, set(), LIMITS)
    await eventually(lambda: _stat(child.pid)[0] == "Z")
    orphans = [_another() for _ in range(3)]
    for orphan in orphans:
        await eventually(lambda pid=orphan: _stat(pid)[0] == "Z")  # type: ignore[misc]  mypy can't see lambda defaults
    child.reap_others()
    assert not [pid for pid in orphans if Path(f"/proc/{pid}").exists()]  # noqa: ASYNC240  /proc does not block
    assert await child.wait() == ExitStatus(code=7)


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
        assert await Child.start(["bash", "-c", script], os.environ, set(), LIMITS).wait() == ExitStatus(code=0)
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
        Child.start([command], os.environ, set(), LIMITS)
    assert raised.value.exit_code == exit_code
