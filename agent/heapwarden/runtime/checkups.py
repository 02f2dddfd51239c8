"""Looks at how processes are set up, every few seconds, in a task of its own: the tick never waits for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from heapwarden.domain.checkup import NOT_LOOKED_AT, Checkup, Launch, ProblemCode
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.policy.checkup import households, look, measure
from heapwarden.policy.facts import Case, Standing
from heapwarden.ports import Clock, Launches, Telemetry
from heapwarden.runtime.fetch import Fetcher
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
NEW_SECONDS = 1.0
"""After the last look, where there is a process that was never looked at, or not with its heap."""
AGAIN_SECONDS = 3_600.0
"""So seldom the log tells of one problem of one process."""
DEADLINE_SECONDS = 5.0
READ_AT_ONCE = 200
"""Launches in one call, so that a fleet's come in several."""
LOOKED_AT_ONCE = 25
"""Processes between two turns of the event loop: a millisecond or so."""

Read = tuple[Process, Launch]
T = TypeVar("T")


class Checkups:
    """Listens to snapshots, and leaves what it finds with the watch. What a process was started with is read once."""

    def __init__(
        self,
        watch: Watch,
        launches: Launches,
        *,
        clock: Clock,
        telemetry: Telemetry,
        machine_bytes: int,
        agent_version: str,
        interval: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """Listen to ``watch``. ``interval`` gives the seconds between samples."""
        self._watch, self._launches, self._clock = watch, launches, clock
        self._telemetry = telemetry
        self._machine_bytes, self._version, self._interval = machine_bytes, agent_version, interval
        self._fetcher: Fetcher[list[Read]] = Fetcher("launch", telemetry)
        self._known: dict[ProcessId, Launch] = {}
        """Who was read the longest time ago comes first."""
        self._told: dict[tuple[ProcessId, ProblemCode], float] = {}
        self._began = float("-inf")
        self._task: asyncio.Task[None] | None = None
        watch.on_published.append(self.published)

    def published(self, snapshot: Snapshot) -> None:
        """Begin a look when one is due and none is under way."""
        now = self._clock.monotonic()
        if now < self._began + NEW_SECONDS or (self._task is not None and not self._task.done()):
            return
        new = any(self._new(watched) for watched in snapshot.processes)
        if now < self._began + EVERY_SECONDS and not new:
            return
        self._began = now
        self._task = asyncio.get_running_loop().create_task(self._guarded(snapshot), name="checkups")

    def _new(self, watched: Watched) -> bool:
        """Whether there is more to be said of it than at the last look."""
        before = self._watch.checkups.get(watched.process.id)
        heap = watched.sample.heap
        return before is None or (not before.heap_known and heap is not None and bool(heap.isolates))

    async def stop(self) -> None:
        """End the look that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fetcher.close()

    async def _guarded(self, snapshot: Snapshot) -> None:
        try:
            await self.look(snapshot)
        except Exception:  # the edge of the task: the next look comes
            self._telemetry.source_error("launch", "error")
            log.exception("a look at the set-up of processes failed; the next one comes")

    async def look(self, snapshot: Snapshot) -> None:
        """One look at all of them."""
        await self._read(snapshot.processes)
        cases = [_case(watched, self._known) for watched in snapshot.processes]
        now, wall = self._clock.monotonic(), self._clock.wall()
        standing = Standing(now, wall, self._machine_bytes, self._version, self._interval())
        measured = [measure(case, standing) async for case in self._in_turns(cases)]
        homes = households(measured)
        found = {one.case.process.id: look(one, homes, standing) async for one in self._in_turns(measured)}
        self._tell(snapshot.processes, found)
        self._watch.checkups = found

    async def _in_turns(self, many: Sequence[T]) -> AsyncIterator[T]:
        """Each, with turns of the event loop in between."""
        for place, one in enumerate(many):
            if place and place % LOOKED_AT_ONCE == 0:
                await self._clock.sleep(0)
            yield one

    async def _read(self, processes: Sequence[Watched]) -> None:
        """How those were started of whom it is not known yet; a reporter that is silent may get its socket later."""
        present = {watched.process.id: watched for watched in processes}
        self._known = {id_: launch for id_, launch in self._known.items() if id_ in present}
        unknown = [watched for id_, watched in present.items() if id_ not in self._known]
        silent = (present[id_] for id_ in self._known if _silent(present[id_]))
        wanted = [*unknown, *silent][:READ_AT_ONCE]
        if wanted:
            read = await self._fetcher.fetch(lambda: _read(self._launches, wanted), DEADLINE_SECONDS)
            for process, launch in read or ():
                self._known.pop(process.id, None)
                self._known[process.id] = launch

    def _tell(self, processes: Sequence[Watched], found: Mapping[ProcessId, Checkup]) -> None:
        """Each problem once, in the log, when it is new."""
        now = self._clock.monotonic()
        self._told = {key: at for key, at in self._told.items() if key[0] in found and now < at + AGAIN_SECONDS}
        for watched in processes:
            id_, name = watched.process.id, watched.name
            before = {problem.code for problem in self._watch.checkups.get(id_, NOT_LOOKED_AT).problems}
            for problem in found[id_].problems:
                if problem.code not in before and (id_, problem.code) not in self._told:
                    self._told[id_, problem.code] = now
                    extra = {"code": problem.code}
                    log.warning("%s/%s: %s; %s", name.process, name.worker, problem.text, problem.remedy, extra=extra)


def _read(launches: Launches, unknown: Sequence[Watched]) -> list[Read]:
    found = ((watched.process, launches.read(watched.process, _cgroup(watched))) for watched in unknown)
    return [(process, launch) for process, launch in found if launch is not None]


def _silent(watched: Watched) -> bool:
    return any(problem.code is ProblemCode.REPORTER_SILENT for problem in watched.checkup.problems)


def _cgroup(watched: Watched) -> str:
    container = watched.sample.container
    return "" if container is None else container.cgroup


def _case(watched: Watched, launches: Mapping[ProcessId, Launch]) -> Case:
    return Case(watched.process, watched.sample, launches.get(watched.process.id))
