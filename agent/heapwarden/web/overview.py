"""The list of processes for the live page, encoded once for all who look."""

import asyncio
import heapq
from collections.abc import Callable

from heapwarden import __version__
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Restart
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.web import health
from heapwarden.web.options import WebOptions
from heapwarden.web.responses import dumps
from heapwarden.web.views import Json, main_isolate, pid_of

MOST_PROCESSES = 500
PIECE_PROCESSES = 25
"""About a millisecond's work."""
EVERY_PROCESSES = 200
"""For each so many the list comes a tick less often."""


def ticks_between(snapshot: Snapshot) -> int:
    """Two lists of so many processes."""
    return 1 + len(snapshot.processes) // EVERY_PROCESSES


class Overview:
    """The list as JSON, of the snapshot that it is asked for."""

    def __init__(self, options: Callable[[], WebOptions]) -> None:
        """Nothing is encoded before somebody asks."""
        self._options = options
        self._lock = asyncio.Lock()
        self._of: Snapshot | None = None
        self._encoded = b""

    async def of(self, snapshot: Snapshot) -> bytes:
        """Encoded by the first who asks; the others wait for it."""
        async with self._lock:
            if self._of is not snapshot:
                self._encoded = await self._encode(snapshot)
                self._of = snapshot
            return self._encoded

    async def _encode(self, snapshot: Snapshot) -> bytes:
        shown = worst(snapshot)
        restarts = {one.process: one for one in snapshot.restarts}
        head = dumps(self._head(snapshot, len(snapshot.processes) - len(shown)))
        pieces: list[bytes] = []
        for begin in range(0, len(shown), PIECE_PROCESSES):
            some = shown[begin : begin + PIECE_PROCESSES]
            pieces += (dumps(row(watched, snapshot, restarts)) for watched in some)
            await asyncio.sleep(0)
        return head[:-1] + b',"processes":[' + b",".join(pieces) + b"]}"

    def _head(self, snapshot: Snapshot, more: int) -> Json:
        options = self._options()
        return {
            "at": snapshot.wall,
            "version": __version__,
            "interval": options.sample_interval_seconds,
            "pace": options.sample_interval_seconds * ticks_between(snapshot),
            "status": health.of_all(snapshot, options, snapshot.at).body["status"],
            "more": more,
        }


def worst(snapshot: Snapshot) -> list[Watched]:
    """At most :data:`MOST_PROCESSES`, those first that need looking at."""
    return heapq.nlargest(MOST_PROCESSES, snapshot.processes, key=_badness)


def row(watched: Watched, snapshot: Snapshot, restarts: dict[ProcessId, Restart]) -> Json:
    """One process in the list. Bytes are integers, ratios have 1.0 as all of it; unknown is null."""
    sample, verdict, pressure = watched.sample, watched.verdict, watched.findings.pressure
    main, kernel, container = main_isolate(sample.heap), sample.kernel, sample.container
    restart = restarts.get(watched.process.id)
    age, ratio = sample.heap_age_seconds(snapshot.at), pressure.ratio
    return {
        "process": watched.name.process,
        "worker": watched.name.worker,
        "state": verdict.state.label,
        "stateAge": round(snapshot.at - verdict.since, 3),
        "reasons": [reason.text for reason in verdict.reasons],
        "restart": None if restart is None else restart.stage,
        "held": None if watched.held is None else watched.held.text,
        "pressure": None if ratio is None else round(ratio, 4),
        "nearer": pressure.nearer,
        "heapUsed": None if main is None else main.heap_used_bytes,
        "heapLimit": None if main is None else main.effective_limit_bytes,
        "rss": None if kernel is None else kernel.rss_bytes,
        "containerMemory": None if container is None else container.memory_bytes,
        "containerLimit": None if container is None else container.limit_bytes,
        "sampleAge": None if age is None else round(age, 3),
        "startedAt": watched.process.started_at,
        "node": None if sample.heap is None else sample.heap.node_version,
        "pid": pid_of(watched.process.id),
    }


def _badness(watched: Watched) -> tuple[int, float]:
    return health.badness(watched), watched.findings.pressure.ratio or 0.0
