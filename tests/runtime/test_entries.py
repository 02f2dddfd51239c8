"""The newest entries in memory."""

from heapwarden.domain.event import Event, EventKind
from heapwarden.runtime.entries import Entries


def entry(wall: float, process: str = "api") -> Event:
    """An event of this process then."""
    return Event(wall, EventKind.HEALTH, "healthy", "is healthy", process=process, worker="0")


def walls(found: list[Event]) -> list[float]:
    """When they were."""
    return [one.wall for one in found]


def test_the_newest_are_kept() -> None:
    """And whoever has seen some gets the others, however many there were since."""
    entries = Entries(3)
    for wall in range(5):
        entries.add(entry(float(wall)))
    assert walls(entries.after(0, 10)) == [2.0, 3.0, 4.0]
    assert walls(entries.after(entries.newest - 1, 10)) == [4.0]
    assert walls(entries.after(entries.newest, 10)) == []
    assert walls(entries.after(0, 2)) == [3.0, 4.0]


def test_those_of_one_name_can_be_asked_for() -> None:
    """Others' don't count towards the most."""
    entries = Entries()
    for wall in range(6):
        entries.add(entry(float(wall), "api" if wall % 3 else "web"))
    assert walls(entries.after(0, 2, "web")) == [0.0, 3.0]
    assert walls(entries.after(1, 2, "web")) == [3.0]


def test_the_journal_comes_before_what_is_new() -> None:
    """It tells the newest first; what does not fit is its oldest, and from there on all is here."""
    entries = Entries(3)
    entries.add(entry(10.0))
    entries.seed([entry(9.0), entry(8.0), entry(7.0)])
    assert walls(entries.after(0, 10)) == [8.0, 9.0, 10.0]
    assert entries.all_since == 8.0
    assert Entries(3).all_since == float("-inf")


def test_whoever_listens_is_called_with_each() -> None:
    """Not with what is seeded."""
    entries, called = Entries(), []
    entries.on_new = lambda: called.append(entries.newest)
    entries.seed([entry(1.0)])
    entries.add(entry(2.0))
    assert called == [2]
