"""Disks that are full, read-only or not ours, and agents that are killed: real ones."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import mounts
from fakes.conditions import eventually
from fakes.journalled import WALL, a_restart, an_event, journal_in
from fakes.machine import ROOT
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.restart import Outcome, Stage
from heapwarden.journal import FILE_NAME
from heapwarden.journal.keeper import MOST_UNWRITTEN
from heapwarden.ports import Remembered

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from fakes.journalled import a_restart, an_event, journal_in

async def main():
    async with journal_in(Path(sys.argv[1])) as journal:
        for number in range(1_000_000):
            journal.append(an_event("appended"))
            if await journal.save(a_restart(str(number)), an_event(str(number))):
                print(number, flush=True)

asyncio.run(main())
"""
NOBODY = 65_534
UNPRIVILEGED = f"""
import asyncio, os, sys
from pathlib import Path
from fakes.journalled import journal_in
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})

async def main():
    async with journal_in(Path(sys.argv[1]) / "state") as journal:
        print((await journal.load(0)).trouble)

asyncio.run(main())
"""
LONG = "x" * 3_000


async def test_a_disk_that_fills_up_and_has_space_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Said once and counted each time; what ended and what happened meanwhile is written when there is space."""
    caplog.set_level("INFO")
    telemetry = FakeTelemetry()
    with mounts.tmpfs(tmp_path / "small", "1m") as folder:
        async with journal_in(folder, telemetry=telemetry) as journal:
            assert await journal.save(a_restart("before"), an_event("before"))
            filler = mounts.fill(folder)
            for _ in range(50):  # the log may have some space of its own left
                journal.append(an_event("filling", text=LONG))
            await eventually(lambda: journal.trouble, seconds=30)
            assert journal.trouble == (
                f"{folder / FILE_NAME}: the disk is full; "
                "free some space there, or set state_dir to a folder on another disk"
            )
            assert not await journal.save(a_restart("under way"), an_event("under way"))
            assert not await journal.save(a_restart("ended", outcome=Outcome.DONE), an_event("ended"))
            assert telemetry.counts["journal",] >= 3
            filler.unlink()
            await eventually(lambda: journal.trouble is None, seconds=60)
            remembered = await journal.load(0)
            assert [restart.id for restart in remembered.past] == ["before", "ended"]
            whats = [event.what for event in await journal.recent(100)]
            assert whats == ["ended", "under way", *["filling"] * 50, "before"]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("heapwarden.journal")]
    again = "the journal works again; 52 events that waited are in it"
    assert [text.split(":")[0] for text in said] == ["no journal", again]


async def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    """Nothing can be opened, and some are remembered in memory; with space, they are written."""
    with mounts.tmpfs(tmp_path / "small", "1m") as folder:
        filler = mounts.fill(folder)
        async with journal_in(folder) as journal:
            remembered = await journal.load(0)
            assert "the disk is full" in (remembered.trouble or "")
            assert remembered.open == remembered.past == ()
            assert not await journal.save(a_restart(), an_event("saved"))
            for number in range(MOST_UNWRITTEN + 5):
                journal.append(an_event(str(number)))
            held = [event.what for event in await journal.recent(2 * MOST_UNWRITTEN)]
            assert held == [str(number) for number in reversed(range(5, MOST_UNWRITTEN + 5))]
            filler.unlink()
            await eventually(lambda: journal.trouble is None, seconds=60)
            assert await journal.save(a_restart(), an_event("saved"))
            assert len(await journal.recent(2 * MOST_UNWRITTEN)) == MOST_UNWRITTEN + 1


async def test_an_agent_that_starts_on_a_full_disk_knows_what_is_in_its_journal(tmp_path: Path) -> None:
    """Reading needs no space."""
    with mounts.tmpfs(tmp_path / "small", "1m") as folder:
        async with journal_in(folder) as journal:
            assert await journal.save(a_restart(), an_event())
        mounts.fill(folder)
        async with journal_in(folder) as journal:
            assert (await journal.load(0)).open == (a_restart(),)


async def test_a_read_only_disk(tmp_path: Path) -> None:
    """What is on it is known, nothing is written; when it can be written again, it is."""
    with mounts.tmpfs(tmp_path / "disk", "4m") as folder:
        async with journal_in(folder) as journal:
            assert await journal.save(a_restart(), an_event("before"))
        mounts.remount(folder, "ro")
        async with journal_in(folder) as journal:
            remembered = await journal.load(0)
            assert remembered.open == remembered.past == (a_restart(),)
            assert remembered.trouble == journal.trouble
            assert journal.trouble == (
                f"{folder / FILE_NAME}: the file system is read-only; "
                "mount it writable, or set state_dir to a folder the agent may write"
            )
            assert not await journal.save(a_restart(stage=Stage.TERMINATE), an_event("meanwhile"))
            mounts.remount(folder, "rw")
            await eventually(lambda: journal.trouble is None, seconds=60)
            assert [event.what for event in await journal.recent(9)] == ["meanwhile", "before"]


@pytest.mark.parametrize("lines", [1, 7, 60])
async def test_what_was_safe_stays_when_the_agent_is_killed(tmp_path: Path, lines: int) -> None:
    """Kill -9 in the middle of writing: each save that was answered with True is there, with its event."""
    safe = write_and_die(tmp_path, lines)
    assert len(safe) >= lines
    async with journal_in(tmp_path) as journal:
        remembered = await journal.load(0)
        known = [restart.id for restart in remembered.open]
        assert known[: len(safe)] == safe[:1000]
        assert remembered.trouble is None
        events = {event.what for event in await journal.recent(1_000_000)}
        assert set(safe) <= events


def write_and_die(folder: Path, lines: int) -> list[str]:
    """Ids of what was safe by the word of a writer that was killed after so many."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'tests'}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
    return [line.strip() for line in said if line.endswith("\n")]


def remove_all(folder: Path) -> None:
    """What lies there."""
    for path in folder.iterdir():
        path.unlink()


async def test_a_file_that_is_removed_is_made_again(tmp_path: Path) -> None:
    """Else everything would be written to a file that nobody can ever read."""
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart("one"), an_event("one"))
        remove_all(tmp_path)
        assert await journal.save(a_restart("two"), an_event("two"))
    async with journal_in(tmp_path, wall=WALL + 60) as journal:
        remembered = await journal.load(WALL - 60)
        assert [restart.id for restart in remembered.open] == ["two"]
        assert remembered.trouble == f"{tmp_path / FILE_NAME} was removed while the agent ran; a new one is begun"


async def test_a_folder_that_can_t_be_made(tmp_path: Path) -> None:
    """A file is where the folder should be."""
    (tmp_path / "state").write_text("")
    async with journal_in(tmp_path / "state") as journal:
        remembered = await journal.load(0)
        assert remembered == Remembered(trouble=journal.trouble)
        assert journal.trouble == (
            f"{tmp_path / 'state' / FILE_NAME}: a file is in place of its folder; "
            "move that away, or set state_dir to a folder the agent may write"
        )


async def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """In a folder that others may write to, it might lead anywhere."""
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    async with journal_in(tmp_path) as journal:
        assert not await journal.save(a_restart(), an_event())
        assert "it is a symbolic link" in (journal.trouble or "")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("make", [pytest.param(os.mkfifo, id="pipe"), pytest.param(os.mkdir, id="folder")])
async def test_something_else_in_place_of_the_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """It neither hangs nor is it removed."""
    make(tmp_path / FILE_NAME)
    async with journal_in(tmp_path) as journal:
        assert not await journal.save(a_restart(), an_event())
        assert "move" in (journal.trouble or "")


async def test_a_disk_that_takes_no_more_files(tmp_path: Path) -> None:
    """Space alone is not enough: SQLite keeps two files beside the database."""
    with mounts.tmpfs(tmp_path / "small", "1m,nr_inodes=4") as folder:
        async with journal_in(folder) as journal:
            assert not await journal.save(a_restart(), an_event())
            assert "the disk is full" in (journal.trouble or "")


async def test_a_file_that_somebody_else_put_into_a_folder_for_all(tmp_path: Path) -> None:
    """The agent acts on what it reads: in /tmp, anybody could tell it which process to restart."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    file = tmp_path / FILE_NAME
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart(), an_event())
    os.chown(file, NOBODY, NOBODY)
    async with journal_in(tmp_path) as journal:
        assert (await journal.load(0)).open == (a_restart(),)
    open_to_all(tmp_path)
    async with journal_in(tmp_path) as journal:
        assert await journal.load(0) == Remembered(trouble=journal.trouble)
        planted = f"{file} was put into a folder that is open to all by another user (uid {NOBODY})"
        # where fs.protected_regular is set, the kernel has the same thought
        assert (journal.trouble or "").split(";")[0] in (planted, f"{file}: not allowed (Permission denied, as uid 0)")


def open_to_all(folder: Path) -> None:
    """As /tmp is."""
    folder.chmod(0o1777)


def test_an_agent_that_may_not_write_there() -> None:
    """As a user on a laptop, with the built-in state_dir: what to do is said."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own can't even be looked into
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", UNPRIVILEGED, folder]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'tests'}"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if "PermissionError" in done.stderr:
        pytest.skip("only root can become another user")
    where = f"{folder}/state/{FILE_NAME}"
    assert done.stdout == (
        f"{where}: not allowed (Permission denied, as uid {NOBODY}); set state_dir to a folder the agent may write\n"
    ), done.stderr
