"""``/processes``: everything in the snapshot, for ``heapwarden top`` and for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.web.responses import dumps
from heapwarden.web.views import Json, full, restart, wrapper

PIECE_PROCESSES = 8
"""About a millisecond's work."""


@dataclass(frozen=True, slots=True)
class JsonPage:
    """A page of JSON; see :class:`heapwarden.web.options.Page`."""

    pieces: Iterator[bytes]
    content_type: str = "application/json"


def listing(snapshot: Snapshot, processes: Sequence[Watched], now: float) -> JsonPage:
    """The agent's state, restarts under way, ``processes``, and the wrappers."""
    return JsonPage(_pieces(snapshot, processes, now))


def _pieces(snapshot: Snapshot, processes: Sequence[Watched], now: float) -> Iterator[bytes]:
    yield dumps(_head(snapshot, now))[:-1] + b',"processes":['
    for begin in range(0, len(processes), PIECE_PROCESSES):
        batch = (dumps(full(watched, snapshot, now)) for watched in processes[begin : begin + PIECE_PROCESSES])
        yield (b"," if begin else b"") + b",".join(batch)
    wrappers = b",".join(dumps(wrapper(process)) for process in snapshot.wrappers)
    yield b'],"wrappers":[' + wrappers + b"]}"


def _head(snapshot: Snapshot, now: float) -> Json:
    last = snapshot.last_tick_at
    return {
        "at": snapshot.wall,
        "snapshotAge": round(now - snapshot.at, 3),
        "agent": {
            "uptime": round(now - snapshot.agent_started_at, 3),
            "lastTickAge": None if last is None else round(now - last, 3),
        },
        "restarts": [restart(one, now) for one in snapshot.restarts],
    }
