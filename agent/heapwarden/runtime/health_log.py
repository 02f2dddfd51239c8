"""Changes of health, for the journal."""

from collections.abc import Iterable

from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.health import HealthState
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.ports import Journal
from heapwarden.runtime.telling import figures_of

MOST_CHANGES = 100
"""Told of one snapshot. When more change at once, it is the machine and not one of them; the first tell that."""


class HealthLog:
    """Listens to snapshots; tells a journal of each process whose state has changed since the last one."""

    def __init__(self, journal: Journal) -> None:
        """Nothing was seen yet."""
        self._journal = journal
        self._before: tuple[Watched, ...] = ()

    def published(self, snapshot: Snapshot) -> None:
        """Compare. Takes a microsecond for ten processes that were not judged anew."""
        changes = list(_changes(self._before, snapshot.processes))
        self._before = snapshot.processes
        for before, after in changes[:MOST_CHANGES]:
            self._journal.append(_event(before, after, snapshot.wall))
        if len(changes) > MOST_CHANGES:
            text = f"{len(changes) - MOST_CHANGES} more processes changed their health at this moment"
            self._journal.append(Event(snapshot.wall, EventKind.HEALTH, "many", text))


def _changes(before: tuple[Watched, ...], after: tuple[Watched, ...]) -> Iterable[tuple[HealthState | None, Watched]]:
    """The state before, and the process since; a process that has just been found and is starting is no news."""
    same = len(before) == len(after) and all(old.process is new.process for old, new in zip(before, after, strict=True))
    if same:
        pairs: Iterable[tuple[Watched | None, Watched]] = zip(before, after, strict=True)
    else:
        known = {old.process.id: old for old in before}
        pairs = ((known.get(new.process.id), new) for new in after)
    for old, new in pairs:
        if old is new:
            continue
        state = old.verdict.state if old is not None else None
        if state is not new.verdict.state and (state, new.verdict.state) != (None, HealthState.STARTING):
            yield state, new


def _event(before: HealthState | None, after: Watched, wall: float) -> Event:
    verdict, name = after.verdict, after.name
    reasons = "; ".join(reason.text for reason in verdict.reasons)
    was = f", was {before.label}" if before is not None else ""
    return Event(
        wall=wall,
        kind=EventKind.HEALTH,
        what=verdict.state.label,
        text=f"{verdict.state.label}{was}{f': {reasons}' if reasons else ''}",
        process=name.process,
        worker=name.worker,
        pid=after.process.id.pid,
        figures=figures_of(after),
    )
