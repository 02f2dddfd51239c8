"""Two agents must not share a journal: each would take up the other's restarts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.journalled import a_restart, an_event, journal_in
from fakes.machine import ROOT
from heapwarden.journal import FILE_NAME
from heapwarden.ports import Remembered

pytestmark = pytest.mark.anyio

HOLDER = """
import asyncio, sys
from pathlib import Path
from fakes.journalled import a_restart, an_event, journal_in

async def main():
    async with journal_in(Path(sys.argv[1])) as journal:
        while not await journal.save(a_restart("first"), an_event("first")):
            pass
        print("saved", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


def another_agent(folder: Path) -> "subprocess.Popen[str]":
    """One that holds the journal until its standard input ends."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", HOLDER, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("killed", [False, True])
async def test_the_second_works_without_until_the_first_has_gone(tmp_path: Path, *, killed: bool) -> None:
    """It says so, and knows nothing of the other's restarts; when the first ends, or is killed, it takes over."""
    with another_agent(tmp_path) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "saved\n"
        async with journal_in(tmp_path) as journal:
            assert await journal.load(0) == Remembered(trouble=journal.trouble)
            assert not await journal.save(a_restart("second"), an_event("second"))
            assert journal.trouble == (
                f"{tmp_path / FILE_NAME} is in use by another agent; give each agent a state_dir of its own"
            )
            if killed:
                first.kill()
            else:
                first.stdin.close()
            await eventually(lambda: journal.trouble is None, seconds=60)
            assert await journal.save(a_restart("second"), an_event("second"))
            # The second's first event waited, as its restart, which had not ended, did not.
            assert [event.what for event in await journal.recent(9)] == ["second", "second", "first"]
            assert [restart.id for restart in (await journal.load(0)).open] == ["first", "second"]
        assert first.wait(30) == (-9 if killed else 0)


async def test_two_within_one_process(tmp_path: Path) -> None:
    """The lock is the file's, not the process's."""
    async with journal_in(tmp_path) as first, journal_in(tmp_path) as second:
        assert await first.save(a_restart(), an_event())
        assert not await second.save(a_restart(), an_event())
        assert "another agent" in (second.trouble or "")
