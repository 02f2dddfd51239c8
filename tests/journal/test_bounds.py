"""A journal does not grow without end."""

from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.journalled import WALL, a_restart, an_event, journal_in
from heapwarden.domain.restart import Outcome
from heapwarden.journal import store
from heapwarden.journal.journal import SqliteJournal
from heapwarden.journal.keeper import Keeper

pytestmark = pytest.mark.anyio


async def prune_again(journal: SqliteJournal) -> None:
    """As when ten minutes have gone by."""

    def due(keeper: Keeper) -> None:
        keeper._prune_at = 0.0

    journal._put(due, 10**6)
    await journal.recent(1)
    await eventually(lambda: journal._keeper._prune_at > 0, seconds=30)


def size(folder: Path) -> int:
    """Bytes of all files there."""
    return sum(path.stat().st_size for path in folder.iterdir())


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """Events and restarts, those that were never closed too."""
    day = 86_400.0
    async with journal_in(tmp_path, max_age_seconds=30 * day) as journal:
        for days in (29.9, 30.1, 0, 400):
            name, wall = str(days), WALL - days * day
            assert await journal.save(a_restart(name, wall=wall), an_event(name, wall=wall))
        await prune_again(journal)
        assert [event.what for event in await journal.recent(99)] == ["0", "29.9"]
        assert [restart.id for restart in (await journal.load(0)).past] == ["29.9", "0"]


async def test_what_is_too_much_goes_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In portions, so that a save never waits for long."""
    monkeypatch.setattr(store, "PRUNED_AT_ONCE", 10)
    monkeypatch.setattr(store, "MOST_RESTARTS", 5)
    async with journal_in(tmp_path, max_rows=40) as journal:
        for number in range(12):
            done = a_restart(str(number), outcome=Outcome.DONE)
            assert await journal.save(done, an_event(str(number)))
        for number in range(12, 100):
            journal.append(an_event(str(number)))
        await prune_again(journal)
        assert [event.what for event in await journal.recent(999)] == [str(number) for number in range(99, 59, -1)]
        assert [restart.id for restart in (await journal.load(0)).past] == [str(number) for number in range(7, 12)]


async def test_it_is_pruned_when_it_is_opened(tmp_path: Path) -> None:
    """An agent that restarts each minute would never come to it otherwise."""
    async with journal_in(tmp_path) as journal:
        for number in range(50):
            journal.append(an_event(str(number)))
    async with journal_in(tmp_path, max_rows=10) as journal:
        await journal.load(0)
        await eventually(lambda: journal._keeper._prune_at > 0, seconds=30)
        assert len(await journal.recent(99)) == 10


async def test_rooms_that_were_freed_are_used_again(tmp_path: Path) -> None:
    """The file stays as large as its bound needs."""
    async with journal_in(tmp_path, max_rows=200) as journal:
        sizes = []
        for _ in range(6):
            for number in range(400):
                journal.append(an_event(str(number), text="x" * 1_000))
            await journal.recent(1)
            await prune_again(journal)
            sizes.append(size(tmp_path))
        assert max(sizes) < 6 * 2**20  # 4 MiB of it is the log's
