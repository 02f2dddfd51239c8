"""Reading a journal beside, after, and as another than the agent."""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fakes import mounts
from fakes.journalled import WALL, a_restart, an_event, copied, journal_in, names
from fakes.machine import ROOT
from heapwarden.domain.errors import JournalError
from heapwarden.domain.event import EventKind
from heapwarden.journal import FILE_NAME, reading
from heapwarden.journal.reading import read_page

pytestmark = pytest.mark.anyio

NOBODY = 65_534
AS_NOBODY = f"""
import os, sys
from pathlib import Path
from heapwarden.domain.errors import JournalError
from heapwarden.journal.reading import read_page
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    page = read_page(Path(sys.argv[1]), 9)
    print(*[entry.event.what for entry in page.entries], page.newest_missing)
except JournalError as error:
    print(error)
"""


def whats(file: Path, most: int = 99, **wanted: object) -> list[str]:
    """``what`` of each event."""
    return [entry.event.what for entry in read_page(file, most, **wanted).entries]  # type: ignore[arg-type]


def make_public(folder: Path) -> None:
    """All may read what is in it."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may look into, as pytest's are not."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def read_as_nobody(file: Path) -> str:
    """What another user sees."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(file)],
        env={"PYTHONPATH": str(ROOT / "agent")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "PermissionError" in done.stderr:
        pytest.skip("only root can become another user")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_while_an_agent_writes(tmp_path: Path) -> None:
    """What was saved is seen at once, oldest first, and the agent is not disturbed."""
    async with journal_in(tmp_path) as journal:
        for number in range(5):
            assert await journal.save(a_restart(), an_event(str(number)))
            assert whats(tmp_path / FILE_NAME) == [str(earlier) for earlier in range(number + 1)]
        assert journal.trouble is None


async def test_a_long_look_does_not_hold_up_the_agent(tmp_path: Path) -> None:
    """A reader sees one state of it, while newer ones are written."""
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart(), an_event("before"))
        with reading.opened(tmp_path / FILE_NAME) as (connection, _):
            connection.execute("BEGIN")
            assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
            assert await journal.save(a_restart(), an_event("meanwhile"))
            assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
        assert whats(tmp_path / FILE_NAME) == ["before", "meanwhile"]


async def test_after_its_end_nothing_is_put_beside_it(tmp_path: Path) -> None:
    """A file of the reader's there might be one that the agent can't open."""
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart(), an_event())
    before = names(tmp_path)
    with reading.opened(tmp_path / FILE_NAME) as (connection, newest_missing):
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
        assert names(tmp_path) == before == {FILE_NAME, "journal.lock"}
        assert not newest_missing
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM events")


async def test_filters_and_bounds(tmp_path: Path) -> None:
    """The newest of what is wanted."""
    file = tmp_path / FILE_NAME
    async with journal_in(tmp_path) as journal:
        journal.append(an_event("old", wall=WALL - 100))
        journal.append(an_event("exit", kind=EventKind.EXIT))
        journal.append(an_event("other", process="other"))
        journal.append(an_event("new"))
    assert whats(file, process="api") == ["old", "exit", "new"]
    assert whats(file, process="caf\udce9") == []
    assert whats(file, since_wall=WALL - 50) == ["exit", "other", "new"]
    assert whats(file, kinds=("restart",)) == ["old", "other", "new"]
    assert whats(file, kinds=("exit", "health")) == ["exit"]
    assert whats(file, 2, process="api") == ["exit", "new"]
    assert [read_page(file, most).more for most in (1, 3, 4, 5)] == [True, True, False, False]


async def test_the_restart_stands_beside_its_event(tmp_path: Path) -> None:
    """Where it is known; a row that can't be read is counted, and its restart is left out."""
    file = tmp_path / FILE_NAME
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart("one"), an_event("one", restart="one"))
        assert await journal.save(a_restart("two"), an_event("two", restart="two"))
        journal.append(an_event("three", restart="gone"))
        journal.append(an_event("four"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE restarts SET body = 'x' WHERE id = 'two'")
        connection.execute("UPDATE events SET figures = 'x' WHERE what = 'four'")
        connection.commit()
    page = read_page(file, 9)
    assert [(entry.event.what, entry.restart) for entry in page.entries] == [
        ("one", a_restart("one")),
        ("two", None),
        ("three", None),
    ]
    assert page.unreadable == 1


async def test_as_a_user_who_may_read_it(public_folder: Path) -> None:
    """Beside the agent, after it, and after it was killed."""
    file = public_folder / FILE_NAME
    async with journal_in(public_folder) as journal:
        assert await journal.save(a_restart(), an_event("first"))
    file.chmod(0o644)
    assert read_as_nobody(file) == "first False"
    async with journal_in(public_folder) as journal:
        assert await journal.save(a_restart(), an_event("second"))
        assert read_as_nobody(file) == "first second False"
        killed = copied(public_folder, public_folder / "killed")
        make_public(killed)
        assert read_as_nobody(killed / FILE_NAME) == "first second False"
        (killed / f"{FILE_NAME}-shm").unlink()
        assert read_as_nobody(killed / FILE_NAME) == "first True"


async def test_as_a_user_who_may_not(public_folder: Path) -> None:
    """It is said whom to ask as."""
    file = public_folder / FILE_NAME
    async with journal_in(public_folder) as journal:
        assert await journal.save(a_restart(), an_event())
    assert read_as_nobody(file) == f"{file}: not allowed to be read (as uid {NOBODY}); ask as the agent's user"


async def test_on_a_read_only_disk(tmp_path: Path) -> None:
    """Nothing needs to be written for reading."""
    with mounts.tmpfs(tmp_path / "disk", "4m") as folder:
        async with journal_in(folder) as journal:
            assert await journal.save(a_restart(), an_event("there"))
        mounts.remount(folder, "ro")
        assert whats(folder / FILE_NAME) == ["there"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(None, "no journal at {}", id="no file"),
        pytest.param(b"", "{} was written by an older Heapwarden, or not yet", id="empty"),
        pytest.param(b"garbage" * 999, "{} is damaged (file is not a database); an agent", id="garbage"),
    ],
)
async def test_what_is_no_journal(tmp_path: Path, content: bytes | None, text: str) -> None:
    """The file is named, and what becomes of it."""
    file = tmp_path / FILE_NAME
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(JournalError) as error:
        read_page(file, 9)
    assert str(error.value).startswith(text.format(file))
