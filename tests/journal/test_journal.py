"""The journal as the agent uses it, on a real disk."""

import asyncio
import stat
import threading
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.journalled import WALL, a_restart, an_event, journal_in
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.restart import Outcome, Stage
from heapwarden.journal import FILE_NAME, SqliteJournal
from heapwarden.journal import journal as journal_module
from heapwarden.journal.keeper import Keeper
from heapwarden.ports import Journal, Remembered

pytestmark = pytest.mark.anyio


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    """Those of the files in ``folder``."""
    return {path.name: mode(path) for path in folder.iterdir()}


class Gate:
    """Holds up the journal's thread as a disk does that does not answer."""

    def __init__(self, journal: SqliteJournal) -> None:
        """From now on, until :meth:`open`."""
        self._open, self._reached = threading.Event(), threading.Event()
        journal._put(self._wait, 10**6)

    async def reached(self) -> None:
        """Until the thread hangs."""
        await eventually(self._reached.is_set, seconds=30)

    def open(self) -> None:
        """The disk answers again."""
        self._open.set()

    def _wait(self, _: Keeper) -> None:
        self._reached.set()
        self._open.wait(60)


async def test_what_was_saved_is_remembered_by_the_next_agent(tmp_path: Path) -> None:
    """Open restarts apart from past ones, each as it was saved last."""
    ended = a_restart("old", wall=WALL - 50, outcome=Outcome.DONE, ended_wall=WALL - 40)
    before = a_restart("older", wall=WALL - 500, outcome=Outcome.DONE)
    async with journal_in(tmp_path) as journal:
        assert await journal.load(0) == Remembered()
        for one in (before, a_restart(), ended, a_restart(stage=Stage.TERMINATE, signalled=True)):
            assert await journal.save(one, an_event(restart=one.id))
        assert journal.trouble is None
    async with journal_in(tmp_path) as journal:
        under_way = a_restart(stage=Stage.TERMINATE, signalled=True)
        assert await journal.load(WALL - 100) == Remembered(open=(under_way,), past=(ended, under_way))


async def test_it_fits_the_port(tmp_path: Path) -> None:
    """As mypy checks."""
    async with journal_in(tmp_path) as made:
        journal: Journal = made
        assert journal.trouble is None


async def test_events_come_back_newest_first(tmp_path: Path) -> None:
    """Those of saves and those that were appended, in the order of the calls; of one process, or of all."""
    async with journal_in(tmp_path) as journal:
        journal.append(an_event("one"))
        assert await journal.save(a_restart(), an_event("two"))
        journal.append(an_event("three", process="other"))
        journal.append(an_event("four"))
        assert [event.what for event in await journal.recent(9)] == ["four", "three", "two", "one"]
        assert [event.what for event in await journal.recent(2, "api")] == ["four", "two"]
        assert await journal.recent(9, "no such") == []


async def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """A folder that it makes, and every file in it, is its user's alone."""
    folder = tmp_path / "deep" / "state"
    async with journal_in(folder) as journal:
        assert await journal.save(a_restart(), an_event())
        assert mode(folder) == 0o700
        names = ("journal.lock", FILE_NAME, f"{FILE_NAME}-shm", f"{FILE_NAME}-wal")
        assert modes(folder) == dict.fromkeys(names, 0o600)


async def test_rights_that_somebody_gave_stay(tmp_path: Path) -> None:
    """A group that may read the journal may read what is written later, too."""
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart(), an_event())
    (tmp_path / FILE_NAME).chmod(0o640)
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart(), an_event())
        assert set(modes(tmp_path).values()) == {0o640, 0o600}
        assert modes(tmp_path)["journal.lock"] == 0o600


async def test_events_that_wait_at_the_end_are_written(tmp_path: Path) -> None:
    """Closing writes first."""
    async with journal_in(tmp_path) as journal:
        for number in range(300):
            journal.append(an_event(str(number)))
    async with journal_in(tmp_path) as journal:
        assert [event.what for event in await journal.recent(1000)] == [str(number) for number in reversed(range(300))]


async def test_after_its_end_nothing_is_taken(tmp_path: Path) -> None:
    """It is counted, and nobody waits."""
    telemetry = FakeTelemetry()
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        await journal.load(0)
    journal.append(an_event())
    assert not await journal.save(a_restart(), an_event())
    assert await journal.recent(5) == []
    assert telemetry.counts["journal",] == 3


async def test_a_journal_that_is_never_used_opens_nothing(tmp_path: Path) -> None:
    """Building and closing one has no effect."""
    async with journal_in(tmp_path / "state"):
        pass
    assert modes(tmp_path) == {}


async def test_a_disk_that_does_not_answer_costs_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on; the save is not safe, is never made later, and the newer one stands."""
    monkeypatch.setattr(journal_module, "SAVE_SECONDS", 0.2)
    telemetry = FakeTelemetry()
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        gate = Gate(journal)
        await gate.reached()
        late = asyncio.create_task(journal.save(a_restart("late"), an_event("late")))
        await asyncio.sleep(0)
        assert not await journal.save(a_restart(stage=Stage.DRAIN), an_event("first"))
        assert not await late
        assert "has not answered for" in (journal.trouble or "")
        assert str(tmp_path / FILE_NAME) in (journal.trouble or "")
        assert telemetry.counts["journal",] == 2
        gate.open()
        monkeypatch.setattr(journal_module, "SAVE_SECONDS", 60.0)
        newer = a_restart(stage=Stage.TERMINATE)
        assert await journal.save(newer, an_event("second"))
        assert journal.trouble is None
        assert (await journal.load(0)).open == (newer,)
        # Events tell what was, and are kept.
        assert [event.what for event in await journal.recent(9)] == ["second", "first", "late"]


async def test_an_end_that_came_too_late_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the restart would be taken up again by the next agent, and the budget would not know of it."""
    ended = a_restart(outcome=Outcome.DONE)
    async with journal_in(tmp_path) as journal:
        assert await journal.save(a_restart(), an_event())
        gate = Gate(journal)
        await gate.reached()
        monkeypatch.setattr(journal_module, "SAVE_SECONDS", 0.1)
        assert not await journal.save(ended, an_event("done"))
        gate.open()
    async with journal_in(tmp_path) as journal:
        assert await journal.load(0) == Remembered(past=(ended,))


async def test_more_events_than_it_takes_are_dropped_and_counted(tmp_path: Path) -> None:
    """Nobody waits, and a save finds its place behind them."""
    telemetry = FakeTelemetry()
    most = journal_module.MOST_WAITING
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        gate = Gate(journal)
        await gate.reached()
        for number in range(most + 7):
            journal.append(an_event(str(number)))
        assert telemetry.counts["journal",] == 7
        saving = asyncio.create_task(journal.save(a_restart(), an_event("saved")))
        await asyncio.sleep(0)
        gate.open()
        assert await saving
        whats = [event.what for event in await journal.recent(2 * most)]
        assert whats == ["saved", *(str(number) for number in reversed(range(most)))]


async def test_saves_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thread that hangs for ever, at some time there is no waiting any more."""
    monkeypatch.setattr(journal_module, "MOST_SAVES_WAITING", 5)
    async with journal_in(tmp_path) as journal:
        gate = Gate(journal)
        await gate.reached()
        saves = [asyncio.create_task(journal.save(a_restart(str(n)), an_event())) for n in range(7)]
        await asyncio.wait(saves, return_when=asyncio.FIRST_COMPLETED)
        assert [save.done() and not save.result() for save in saves] == [False] * 5 + [True] * 2
        gate.open()
        assert await asyncio.gather(*saves[:5]) == [True] * 5


async def test_an_end_that_hangs_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent can end while the disk does not answer."""
    async with journal_in(tmp_path) as journal:
        gate = Gate(journal)
        await gate.reached()
        with monkeypatch.context() as patch:
            patch.setattr(journal_module, "CLOSE_SECONDS", 0.1)
            await journal.close()
        assert journal._thread is not None
        assert journal._thread.is_alive()
        assert journal._thread.daemon
        gate.open()


async def test_what_can_t_be_kept_is_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A record that is none is no trouble of the file, and the next one is kept."""
    telemetry = FakeTelemetry()
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        journal.append(an_event(wall=float("inf")))
        assert not await journal.save(a_restart(wall=float("nan")), an_event("of none"))
        assert await journal.save(a_restart(), an_event("kept"))
        assert journal.trouble is None
        assert [event.what for event in await journal.recent(9)] == ["kept"]
    assert telemetry.counts["journal",] == 2
    assert caplog.text.count("can't be kept") == 2


async def test_its_thread_survives_an_error_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged whole, counted, and the next call is answered."""
    telemetry = FakeTelemetry()

    def broken(_: Keeper) -> None:
        raise RuntimeError("a fault in a job")

    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        journal._put(broken, 5)
        assert await journal.save(a_restart(), an_event())
    assert telemetry.counts["journal",] == 1
    assert "a fault in a job" in caplog.text


async def test_rows_that_can_t_be_read_are_left_out_and_said(tmp_path: Path) -> None:
    """The rest is remembered, and that it is not all."""
    telemetry = FakeTelemetry()
    async with journal_in(tmp_path, telemetry=telemetry) as journal:
        assert await journal.save(a_restart("good"), an_event("good"))
        assert await journal.save(a_restart("bad"), an_event("bad"))

        def spoil(keeper: Keeper) -> None:
            assert keeper._store is not None
            keeper._store._connection.execute("UPDATE restarts SET body = '{}' WHERE id = 'bad'")
            keeper._store._connection.execute("UPDATE events SET kind = 'none' WHERE what = 'bad'")

        journal._put(spoil, 5)
        found = await journal.load(0)
        assert found.open == found.past == (a_restart("good"),)
        assert found.trouble == f"{tmp_path / FILE_NAME}: restarts in it that can't be read and are left out: 1"
        assert [event.what for event in await journal.recent(5)] == ["good"]
        assert journal.trouble is None
    assert telemetry.counts["journal",] == 2


async def test_events_of_every_kind_are_kept(tmp_path: Path) -> None:
    """Not only restarts'."""
    events = [Event(WALL + n, kind, "x", "y") for n, kind in enumerate(EventKind)]
    async with journal_in(tmp_path) as journal:
        for event in events:
            journal.append(event)
        assert list(await journal.recent(99)) == events[::-1]


@pytest.mark.parametrize("writable", [True, False])
async def test_whoever_listens_hears_of_each_event_at_once(tmp_path: Path, writable: bool) -> None:
    """Whether or not it can be kept, and before it is."""
    folder = tmp_path / "state"
    if not writable:
        folder.write_text("no folder")
    heard: list[Event] = []
    async with journal_in(folder) as journal:
        journal.on_event = heard.append
        journal.append(an_event())
        assert len(heard) == 1
        assert await journal.save(a_restart(), an_event("terminate")) is writable
    assert [one.what for one in heard] == ["drain", "terminate"]
