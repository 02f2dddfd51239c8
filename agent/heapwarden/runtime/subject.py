"""The process of a restart, and who comes after it: what is true of them now."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from heapwarden.domain.health import HealthState, Reason, ReasonCode
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.restart import Restart, Stage
from heapwarden.domain.snapshot import Watched
from heapwarden.ports import Clock, Discovery, Listening, Telemetry
from heapwarden.runtime.fetch import Fetcher
from heapwarden.runtime.record import LINGER_SECONDS, Phase
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)

FOUND_EVERY_SECONDS = 0.1
PORTS_SECONDS = 1.0
PORTS_EVERY_SECONDS = 0.25
"""Between two looks at where a successor listens, each of which costs milliseconds."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Who is asked about processes."""

    watch: Watch
    discovery: Discovery
    clock: Clock
    ports: Callable[[ProcessId], Awaitable[frozenset[int] | None]]
    """Where a process listens; None where that can't be known in time."""


class PortsInTime:
    """Asks in a thread of its own, with a deadline."""

    def __init__(self, listening: Listening, telemetry: Telemetry) -> None:
        """Start the thread."""
        self._listening = listening
        self._fetcher: Fetcher[tuple[ProcessId, frozenset[int] | None]] = Fetcher("listening", telemetry)

    async def __call__(self, process: ProcessId) -> frozenset[int] | None:
        """See :attr:`Ground.ports`. What comes late is an answer about another process."""
        found = await self._fetcher.fetch(lambda: (process, self._listening.ports(process)), PORTS_SECONDS)
        return found[1] if found is not None and found[0] == process else None

    def close(self) -> None:
        """Let the thread end."""
        self._fetcher.close()


class Subject:
    """Of one restart."""

    def __init__(self, restart: Restart, ground: Ground) -> None:
        """Begin to look, at the begin of the restart or when it is taken up."""
        self._restart, self._ground = restart, ground
        self._since = ground.clock.monotonic()
        self._seen = False
        self._look_again_at = 0.0
        self._waiting: dict[ProcessId, Phase] = {}

    @property
    def watched(self) -> Watched | None:
        """The process as it was last judged."""
        known = self._ground.watch.known(self._restart.process)
        self._seen = self._seen or known is not None
        return known

    async def found(self) -> None:
        """Wait for a process that can't be seen until its reporter is there: an agent that takes up is ahead of it."""
        clock = self._ground.clock
        while not self._restart.process.visible and self.watched is None and self.alive(asked=False):
            await clock.sleep(FOUND_EVERY_SECONDS)

    def alive(self, *, asked: bool) -> bool:
        """Whether it still runs; of one that can't be seen its connection tells, once it was ``asked`` to end."""
        process, watched = self._restart.process, self.watched
        if process.visible:
            return self._ground.discovery.alive(process)
        if watched is None:  # taken up again, its reporter may still be on its way
            return not self._seen and self._ground.clock.monotonic() - self._since < LINGER_SECONDS
        heap = watched.sample.heap
        return not asked or (heap is not None and heap.connected)

    def unwanted(self) -> str:
        """Why the settings, which may have changed, don't want this restart any more; empty where they do."""
        if self.watched is None:
            return "" if not self._seen else self._unwatched()
        rules = self._ground.watch.rules_of(self._restart.process)
        return "dry_run was set meanwhile" if rules is not None and rules.dry_run else ""

    def _unwatched(self) -> str:
        """A process that has ended is not watched either."""
        return "it is not watched any more" if self.alive(asked=False) and self._restart.process.visible else ""

    async def served(self, restart: Restart) -> bool:
        """Whether a successor is there and serves; one that does not listen yet is kept out of service."""
        due = self._due()
        for candidate in self._candidates(restart):
            id_, verdict = candidate.process.id, candidate.verdict
            kept_out = id_ in self._waiting
            if not kept_out and (not verdict.serving or verdict.state is HealthState.STARTING):
                continue
            if not restart.ports or (due and await self._listens(id_, restart.ports)):
                self.release()
                return True
            self._keep_out(candidate.process, restart)
        return False

    def _due(self) -> bool:
        now = self._ground.clock.monotonic()
        due = now >= self._look_again_at
        if due:
            self._look_again_at = now + PORTS_EVERY_SECONDS
        return due

    def admitted(self, process: Process, restart: Restart) -> None:
        """A process of this name has just been found: it is not sent to before it listens."""
        if restart.open and restart.stage is Stage.SUCCESSOR and restart.ports and self._later(process, restart):
            self._keep_out(process, restart)

    def release(self) -> None:
        """Let whoever was kept out of service speak for themselves."""
        for id_, phase in self._waiting.items():
            if self._ground.watch.phases.get(id_) is phase:
                del self._ground.watch.phases[id_]
                self._ground.watch.mark(id_)
        self._waiting.clear()

    def _candidates(self, restart: Restart) -> Sequence[Watched]:
        namesakes = self._ground.watch.snapshot.by_name.get(restart.name.process, ())
        return [one for one in namesakes if self._later(one.process, restart)]

    def _later(self, other: Process, restart: Restart) -> bool:
        """By the kernel's ticks; where a reporter in another PID namespace can't read them, by the clock."""
        if other.id.start:
            return other.id.start > restart.newest_start
        return other.id != restart.process and other.started_at > restart.wall

    async def _listens(self, process: ProcessId, ports: tuple[int, ...]) -> bool:
        """On one of the same ports, of which some are opened late or by hand; or on as many where the kernel chooses.

        What can't be known is no objection.
        """
        found = await self._ground.ports(process)
        return found is None or not found.isdisjoint(ports) or len(found) >= len(ports)

    def _keep_out(self, process: Process, restart: Restart) -> None:
        if process.id in self._waiting or process.id in self._ground.watch.phases:
            return
        ports = ", ".join(str(port) for port in restart.ports)
        reason = Reason(ReasonCode.RESTART, f"started anew, and does not listen yet (its predecessor did on {ports})")
        phase = Phase(HealthState.RESTARTING, reason, self._ground.clock.monotonic())
        self._waiting[process.id] = self._ground.watch.phases[process.id] = phase
        self._ground.watch.mark(process.id)
