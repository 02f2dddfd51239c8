"""Commands that restart a process."""

import logging
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.judged import ended, identity, restart_of
from heapwarden.actuators.command import CommandActuator
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method, Restart

pytestmark = pytest.mark.anyio

LONG = 60.0
NEVER = 600.0


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is to be restarted."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def by(pid: int, *command: str, grace: float = LONG) -> Restart:
    """A restart by a command."""
    return restart_of(pid, method=Method.COMMAND, command=command, grace_seconds=grace)


async def test_the_command_is_told_what_it_is_about(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """By environment: its arguments are as they were written, and no shell sees them."""
    names = ("RESTART_ID", "PROCESS", "WORKER", "PID", "REASON", "STAGE", "TEXT")
    script = "".join(f'echo "$HEAPWARDEN_{name}"; ' for name in names) + 'echo "$1"'
    await CommandActuator(soon_seconds=NEVER).terminate(
        by(sleeper.pid, "sh", "-c", f"{{ {script}; }} > {tmp_path}/out", "sh", "$HOME; `id` *")
    )
    assert (tmp_path / "out").read_text().splitlines() == [
        "r-1",
        "api",
        "0",
        str(sleeper.pid),
        "max_memory",
        "terminate",
        "RSS is 1.2 GiB, max_memory 1 GiB",
        "$HOME; `id` *",
    ]


@pytest.mark.parametrize(
    ("command", "match"),
    [
        pytest.param(
            ["sh", "-c", "echo no such unit >&2; exit 5"], "command sh: exit code 5: no such unit", id="fails"
        ),
        pytest.param(["/no/such"], "command /no/such: not started: No such file", id="is not there"),
        pytest.param([], "no command is set", id="is not set"),
    ],
)
async def test_a_command_that_fails_at_once_is_an_error(
    sleeper: "subprocess.Popen[bytes]", command: list[str], match: str
) -> None:
    """With the end of what it said. One that ran may have done it all the same."""
    with pytest.raises(ActuationError, match=match) as caught:
        await CommandActuator(soon_seconds=NEVER).terminate(by(sleeper.pid, *command))
    assert caught.value.in_doubt is ("exit code" in match)


@pytest.mark.parametrize(
    ("code", "level"), [pytest.param(4, logging.ERROR, id="fails"), pytest.param(0, logging.INFO, id="succeeds")]
)
async def test_one_that_takes_its_time_is_not_waited_for(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int, level: int
) -> None:
    """It goes on; how it ended is in the log."""
    caplog.set_level(logging.INFO)
    gate = tmp_path / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo over; exit {code}"
    await CommandActuator(soon_seconds=0.01).terminate(by(sleeper.pid, "sh", "-c", script))
    gate.touch()
    await eventually(lambda: caplog.records, LONG)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (level, f"command sh: exit code {code}: over")
    ]


async def test_it_is_stopped_after_the_grace(
    sleeper: "subprocess.Popen[bytes]", caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager that never answers leaves nothing behind."""
    monkeypatch.setattr("heapwarden.actuators.command.SLACK_SECONDS", 0.1)
    await CommandActuator(soon_seconds=0.01).terminate(by(sleeper.pid, "sleep", "300", grace=0.2))
    await eventually(lambda: "command sleep: not done after 0.3 s" in caplog.text, LONG)


async def test_a_command_may_restart_the_process_itself(sleeper: "subprocess.Popen[bytes]") -> None:
    """As systemctl does, by way of its daemon."""
    await CommandActuator(soon_seconds=NEVER).terminate(by(sleeper.pid, "sh", "-c", 'kill "$HEAPWARDEN_PID"'))
    assert sleeper.wait(30) == -15


async def test_nothing_is_run_for_a_process_that_has_ended(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """What came after it under its pid, or as its successor, is healthy."""
    judged = identity(sleeper.pid)
    mark = tmp_path / "mark"
    restart = by(sleeper.pid, "touch", str(mark))
    for stale in (replace(restart, process=replace(judged, start=judged.start - 1)), replace(restart, boot="another")):
        with pytest.raises(ActuationError, match=r"ended already|booted since"):
            await CommandActuator().terminate(stale)
    sleeper.kill()
    await eventually(lambda: ended(sleeper.pid), 30)
    with pytest.raises(ActuationError, match="ended already"):
        await CommandActuator().terminate(restart)
    assert not mark.exists()


async def test_it_does_not_kill(sleeper: "subprocess.Popen[bytes]") -> None:
    """Nobody asks it to."""
    with pytest.raises(ActuationError, match="does not kill"):
        await CommandActuator().kill(by(sleeper.pid, "true"))
