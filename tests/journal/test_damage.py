"""Files that are not what was written: moved aside, said, and begun anew."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.journalled import WALL, a_restart, an_event, copied, journal_in, moved_aside, names
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.event import EventKind
from heapwarden.journal import FILE_NAME
from heapwarden.journal.keeper import LOST, Keeper

pytestmark = pytest.mark.anyio


async def filled(folder: Path, count: int = 300) -> Path:
    """A journal with something in it, closed."""
    async with journal_in(folder) as journal:
        for number in range(count):
            journal.append(an_event(str(number), text="x" * 500))
        assert await journal.save(a_restart(), an_event("saved"))
    return folder / FILE_NAME


def garbage(file: Path) -> None:
    """No database at all."""
    file.write_bytes(b"all work and no play\n" * 1_000)


def truncated(file: Path) -> None:
    """The end is missing."""
    file.write_bytes(file.read_bytes()[:9_000])


def overwritten(file: Path) -> None:
    """Some pages hold something else."""
    content = bytearray(file.read_bytes())
    content[4_096 : 5 * 4_096] = b"\xa5" * (4 * 4_096)
    file.write_bytes(content)


def without_a_table(file: Path) -> None:
    """A whole database that lacks what its version promises."""
    connection = sqlite3.connect(file)
    connection.execute("DROP TABLE restarts")
    connection.close()


def too_large(file: Path) -> None:
    """A value that no agent writes."""
    connection = sqlite3.connect(file)
    connection.execute("UPDATE restarts SET body = zeroblob(20000000)")
    connection.commit()
    connection.close()


damages = pytest.mark.parametrize("damage", [garbage, truncated, overwritten, without_a_table, too_large])


@damages
async def test_a_damaged_file_is_moved_aside(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The journal works from the first call on; that restarts may be forgotten is said, in the log and in it."""
    file = await filled(tmp_path)
    damage(file)
    damaged = file.read_bytes()
    telemetry = FakeTelemetry()
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        remembered = await journal.load(0)
        assert remembered.open == remembered.past == ()
        assert journal.trouble is None
        assert await journal.save(a_restart("new"), an_event("new"))
        events = await journal.recent(9)
    aside = tmp_path / f"{FILE_NAME}.corrupt-{WALL:.0f}"
    assert aside.read_bytes() == damaged
    assert remembered.trouble is not None
    assert remembered.trouble.startswith(f"{file} was damaged (")
    assert remembered.trouble.endswith(f") and is now {aside.name}; a new one is begun")
    assert [(event.kind, event.what) for event in events] == [(EventKind.RESTART, "new"), (EventKind.AGENT, LOST)]
    assert events[1].text == remembered.trouble
    assert telemetry.counts["journal",] == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"journal: {remembered.trouble}"]


async def test_the_agents_after_that_know_it_too(tmp_path: Path) -> None:
    """An agent that crashes and starts again must not take the new journal for the whole truth."""
    garbage(await filled(tmp_path))
    async with journal_in(tmp_path) as journal:
        first = await journal.load(WALL - 3_600)
    async with journal_in(tmp_path, wall=WALL + 60) as journal:
        later = await journal.load(WALL + 60 - 3_600)
        assert later.trouble == first.trouble
        assert later.incomplete_since == first.incomplete_since == WALL
    async with journal_in(tmp_path, wall=WALL + 7_200) as journal:
        assert (await journal.load(WALL + 7_200 - 3_600)).trouble is None


async def test_a_loss_counts_from_when_it_was(tmp_path: Path) -> None:
    """Every later start knows from when on all is known; not where more is missing, or a clock was set back since."""
    file = await filled(tmp_path)
    garbage(file)
    async with journal_in(tmp_path) as journal:
        await journal.load(0)
        assert await journal.save(a_restart(), an_event())
    async with journal_in(tmp_path, wall=WALL + 6 * 86_400) as journal:
        assert (await journal.load(WALL - 86_400)).incomplete_since == WALL
    async with journal_in(tmp_path, wall=WALL - 1) as journal:
        assert (await journal.load(0)).incomplete_since is None
    connection = sqlite3.connect(file)
    connection.execute("UPDATE restarts SET body = 'none'")
    connection.commit()
    connection.close()
    async with journal_in(tmp_path, wall=WALL + 60) as journal:
        remembered = await journal.load(0)
    assert remembered.trouble is not None
    assert "left out: 1" in remembered.trouble
    assert remembered.incomplete_since is None


async def test_what_lies_beside_it_goes_with_it(tmp_path: Path) -> None:
    """A log that is left behind would be taken for the new file's."""
    running, killed = tmp_path / "running", tmp_path / "killed"
    await filled(running)
    async with journal_in(running) as journal:
        assert await journal.save(a_restart("last"), an_event("last"))
        copied(running, killed)
    without_a_table(killed / FILE_NAME)
    async with journal_in(killed) as journal:
        assert await journal.save(a_restart("new"), an_event("new"))
    aside = f"{FILE_NAME}.corrupt-{WALL:.0f}"
    assert names(killed) >= {FILE_NAME, "journal.lock", aside}
    async with journal_in(killed) as journal:
        assert [restart.id for restart in (await journal.load(0)).open] == ["new"]


async def test_damage_in_the_midst_of_it(tmp_path: Path) -> None:
    """Found when it is written to; the save that found it is safe in the new file."""
    file = await filled(tmp_path)
    async with journal_in(tmp_path) as journal:
        await journal.load(0)
        overwritten(file)
        journal._put(forget_pages, 5)
        assert await journal.save(a_restart("new"), an_event("new"))
        assert journal.trouble is None
    async with journal_in(tmp_path) as journal:
        assert [restart.id for restart in (await journal.load(0)).open] == ["new"]
    assert len(moved_aside(tmp_path)) == 1


def forget_pages(keeper: Keeper) -> None:
    """Else SQLite would see in its memory what the disk has no longer."""
    assert keeper._store is not None
    keeper._store._connection.execute("PRAGMA shrink_memory")


async def test_no_more_than_three_are_kept(tmp_path: Path) -> None:
    """A disk that damages each of them must not be filled by them; two in one second have two names."""
    for wall in (WALL, WALL, WALL + 5, WALL + 9, WALL + 9):
        garbage(await filled(tmp_path, count=0))
        (tmp_path / f"{FILE_NAME}.corrupt-not-ours").touch()
        async with journal_in(tmp_path, wall=wall) as journal:
            await journal.load(0)
    numbers = {path.name.rpartition("-")[2] for path in moved_aside(tmp_path)}
    assert numbers == {"ours", *(f"{WALL + later:.0f}" for later in (5, 9, 10))}
