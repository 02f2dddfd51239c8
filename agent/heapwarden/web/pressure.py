"""``/pressure``: the level that the app itself is told, for whoever else wants to shrink or to shed."""

from collections.abc import Callable, Sequence

from heapwarden.domain.findings import PressureLevel
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.web.health import MOST_LISTED, Answer, unknown_name, within_grace
from heapwarden.web.options import WebOptions
from heapwarden.web.views import Json

Level = Callable[[ProcessId], PressureLevel | None]
"""The level of a process with its hysteresis; None where nothing is known of its memory."""

_RANK: dict[PressureLevel | None, int] = {None: -1} | {level: rank for rank, level in enumerate(PressureLevel)}


def of_all(snapshot: Snapshot, level: Level) -> Answer:
    """The worst of all watched processes, and the worst ones of them, worst first."""
    return Answer(200, _body(snapshot.processes, level))


def of_one(name: str, snapshot: Snapshot, options: WebOptions, level: Level, now: float) -> Answer:
    """The same of the processes called ``name``; 404 as for health, where neither settings nor machine know it."""
    found = snapshot.by_name.get(name, ())
    if not (found or name in options.known_names or within_grace(snapshot, options, now)):
        return unknown_name(name, snapshot, options)
    return Answer(200, _body(found, level))


def _body(processes: Sequence[Watched], level: Level) -> Json:
    """The worst one's figures, and a list that has them again, at most :data:`MOST_LISTED` long."""
    entries = [_entry(watched, level(watched.process.id)) for watched in processes]
    entries.sort(key=lambda entry: (_RANK[entry["level"]], entry["ratio"] or 0.0), reverse=True)
    worst = entries[0] if entries else dict.fromkeys(("process", "worker", "level", "ratio", "nearer"))
    return {**worst, "processCount": len(entries), "processes": entries[:MOST_LISTED]}


def _entry(watched: Watched, level: PressureLevel | None) -> Json:
    pressure = watched.findings.pressure
    ratio = pressure.ratio
    return {
        "process": watched.name.process,
        "worker": watched.name.worker,
        "level": level,
        "ratio": None if ratio is None else round(ratio, 4),
        "nearer": pressure.nearer,
    }
