"""The tick: discover, read, judge, publish; again and again, on time."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import Reading
from heapwarden.ports import Clock, Discovery, Source, Telemetry
from heapwarden.runtime.fetch import Fetcher
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)

DEADLINE_SHARE = 0.5
"""Of the interval, for all sources together; they are read side by side."""
LONGEST_SLEEP_SECONDS = 1.0
"""Then the interval is looked at again: a reload may have made it shorter."""
JUDGED_AT_ONCE = 50
"""Processes judged before the event loop turns, so that a health check never waits longer than for these."""


class Ticker:
    """Runs the tick every ``interval_seconds``; owns one thread a source."""

    def __init__(
        self,
        watch: Watch,
        discovery: Discovery,
        sources: Sequence[Source],
        *,
        clock: Clock,
        telemetry: Telemetry,
        interval_seconds: float,
    ) -> None:
        """Start the threads; nothing is read before :meth:`turn`."""
        self.interval_seconds = interval_seconds
        self._watch, self._discovery = watch, discovery
        self._clock, self._telemetry = clock, telemetry
        self._scanner: Fetcher[Sequence[Process]] = Fetcher("discovery", telemetry)
        self._readers: list[tuple[Source, Fetcher[Mapping[ProcessId, Reading]]]]
        self._readers = [(source, Fetcher(source.name, telemetry)) for source in sources]

    async def run(self) -> None:
        """Tick until cancelled. A tick that overruns makes the next ones late, never two at once."""
        due = self._clock.monotonic()
        try:
            while True:
                late = self._clock.monotonic() - due
                if late >= self.interval_seconds:
                    self._telemetry.tick_late()
                    due += late - late % self.interval_seconds
                await self._guarded_turn()
                while (left := due + self.interval_seconds - self._clock.monotonic()) > 0:
                    await self._clock.sleep(min(left, LONGEST_SLEEP_SECONDS))
                due += self.interval_seconds
        finally:
            self._scanner.close()
            for _, fetcher in self._readers:
                fetcher.close()

    async def _guarded_turn(self) -> None:
        try:
            await self.turn()
        except Exception:  # the edge of the task: a fault in one tick must not be the end of all watching
            self._telemetry.source_error("tick", "error")
            log.exception("a tick failed; the next one comes")

    async def turn(self) -> None:
        """One tick."""
        began = self._clock.monotonic()
        deadline = self.interval_seconds * DEADLINE_SHARE
        found = await self._scanner.fetch(self._discovery.scan, deadline)
        if found is not None:
            self._watch.found(found)
        processes = self._watch.processes
        await asyncio.gather(*(self._read(source, fetcher, processes, deadline) for source, fetcher in self._readers))
        self._watch.mark_all()
        while self._watch.judge(JUDGED_AT_ONCE):
            await self._clock.sleep(0)
        self._watch.publish(tick_ended=True)
        self._telemetry.processes(len(self._watch.snapshot.processes))
        self._telemetry.tick_done(self._clock.monotonic() - began)

    async def _read(
        self,
        source: Source,
        fetcher: Fetcher[Mapping[ProcessId, Reading]],
        processes: Sequence[Process],
        deadline_seconds: float,
    ) -> None:
        now = self._clock.monotonic()
        asked = [process for process in processes if source.concerns(process.id)]
        readings = await fetcher.fetch(lambda: source.read(asked, now), deadline_seconds)
        self._watch.read(source.name, [process.id for process in asked], readings)
