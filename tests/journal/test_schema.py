"""Files of other versions, and of other programs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fakes.journalled import a_restart, an_event, journal_in, moved_aside, names
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.errors import JournalError
from heapwarden.journal import FILE_NAME, schema
from heapwarden.journal.reading import read_page
from heapwarden.ports import Remembered

pytestmark = pytest.mark.anyio


async def written(folder: Path) -> Path:
    """A journal with one restart, closed."""
    async with journal_in(folder) as journal:
        assert await journal.save(a_restart(), an_event())
    return folder / FILE_NAME


def run(file: Path, statement: str) -> None:
    """Change the file as another program would."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


async def test_a_newer_schema_is_left_as_it_is(tmp_path: Path) -> None:
    """After a downgrade: not a byte is changed, nothing of it is believed, and the agent goes on without."""
    file = await written(tmp_path)
    run(file, f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    before = file.read_bytes()
    telemetry = FakeTelemetry()
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        assert await journal.load(0) == Remembered(trouble=journal.trouble)
        assert not await journal.save(a_restart("new"), an_event("new"))
        assert journal.trouble == (
            f"{file} was written by a newer Heapwarden (schema 2, this one knows 1) and is left as it is; "
            "use that version, or set state_dir to another folder"
        )
        assert [event.what for event in await journal.recent(5)] == ["new"]
    assert file.read_bytes() == before
    assert names(tmp_path) == {FILE_NAME, "journal.lock"}
    assert telemetry.counts["journal",] >= 2
    with pytest.raises(JournalError, match="newer Heapwarden"):
        read_page(file, 5)


async def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    """Somebody has set state_dir to a folder that is in use."""
    file = tmp_path / FILE_NAME
    run(file, "CREATE TABLE customers (name TEXT)")
    before = file.read_bytes()
    async with journal_in(tmp_path) as journal:
        assert not await journal.save(a_restart(), an_event())
        assert journal.trouble == (
            f"{file} is a database of another program; move it away, or set state_dir to another folder"
        )
    assert file.read_bytes() == before


async def test_an_older_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is taken once, and what was there stays."""
    file = await written(tmp_path)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("ALTER TABLE events ADD COLUMN host TEXT",)))
    with pytest.raises(JournalError, match="an agent that starts brings it up to date"):
        read_page(file, 5)
    for _ in range(2):
        async with journal_in(tmp_path) as journal:
            assert await journal.load(0) == Remembered((a_restart(),), (a_restart(),))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT host FROM events").fetchone() == (None,)


async def test_a_step_that_fails_is_not_taken_by_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not fit the steps is moved aside as it was: once, and not the new one after it, for ever."""
    await written(tmp_path)
    first, *_ = schema.STEPS
    second = ("ALTER TABLE events ADD COLUMN host TEXT", "ALTER TABLE no_such ADD COLUMN x")
    monkeypatch.setattr(schema, "STEPS", (first, second))
    async with journal_in(tmp_path) as journal:
        for _ in range(5):
            assert "is damaged (no such table: no_such)" in ((await journal.load(0)).trouble or "")
    (aside,) = moved_aside(tmp_path)
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT id FROM restarts").fetchall() == [("r1",)]
        assert "host" not in [column[1] for column in connection.execute("PRAGMA table_info(events)")]
