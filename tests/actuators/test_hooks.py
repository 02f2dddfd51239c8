"""Hooks: real programs and real requests, within their time."""

import asyncio
import logging
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.judged import ended, restart_of
from fakes.receiver import receiver
from heapwarden.actuators.hooks import Done, run_hook
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Hook

pytestmark = pytest.mark.anyio

RESTART = restart_of(ProcessId(4711, 12_345))
LONG = 60.0


@pytest.mark.parametrize(
    ("command", "seconds", "expected"),
    [
        pytest.param(("true",), LONG, Done(ok=True, text="hook true: exit code 0"), id="goes well"),
        pytest.param(
            ("sh", "-c", "echo $HEAPWARDEN_STAGE; exit 2"),
            LONG,
            Done(ok=False, text="hook sh: exit code 2: terminate"),
            id="fails",
        ),
        pytest.param(("sleep", "300"), 0.2, Done(ok=False, text="hook sleep: not done after 0.2 s"), id="too slow"),
        pytest.param(
            ("/no/such",), LONG, Done(ok=False, text="hook /no/such: not started: No such file or directory"), id="none"
        ),
    ],
)
async def test_a_command(command: tuple[str, ...], seconds: float, expected: Done) -> None:
    """Its end in words; nothing is raised."""
    assert await run_hook(Hook(command=command, timeout_seconds=seconds), RESTART) == expected


async def test_a_request() -> None:
    """Any 2xx is well; the deadline holds."""
    with receiver() as server:
        assert await run_hook(Hook(url=f"{server.url}/status/200", timeout_seconds=LONG), RESTART) == Done(
            True, f"hook {server.url}: 200"
        )
        slow = await run_hook(Hook(url=f"{server.url}/hang", timeout_seconds=0.2), RESTART)
    assert slow == Done(ok=False, text=f"hook {server.url}: no answer within 0.2 s")
    assert server.got[0][2]["id"] == "r-1"


async def test_the_log_says_what_was_done(caplog: pytest.LogCaptureFixture) -> None:
    """What fails as a warning; both with the restart that it belongs to."""
    caplog.set_level(logging.INFO)
    for command in ("true", "false"):
        await run_hook(Hook(command=(command,), timeout_seconds=LONG), RESTART)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "hook true: exit code 0"),
        ("WARNING", "hook false: exit code 1"),
    ]
    assert {getattr(record, "restart", None) for record in caplog.records} == {"r-1"}


async def test_cancelled_it_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """The restart goes on without it, or the agent ends."""
    pids = tmp_path / "pids"
    hook = Hook(command=("bash", "-c", f"sleep 300 & echo $! $$ > {pids}; wait"), timeout_seconds=LONG)
    task = asyncio.create_task(run_hook(hook, RESTART))
    await eventually(lambda: pids.exists() and pids.read_text().endswith("\n"), LONG)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: all(ended(int(pid)) for pid in pids.read_text().split()), LONG)
