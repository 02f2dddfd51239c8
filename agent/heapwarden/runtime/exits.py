"""Each end of a watched process: named by its evidence, counted, told; loudly where memory ran out in spite of us."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.exit import ExitName, ExitReason
from heapwarden.domain.identity import Name, Process, ProcessId
from heapwarden.domain.place import PlacedName, placed
from heapwarden.domain.restart import Figure, Restart
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.exits import Evidence, advice, name
from heapwarden.policy.restart import RestartRules
from heapwarden.ports import Clock, ExitStatuses, Journal, OomKills, Terminations
from heapwarden.runtime.telling import figures_of

log = logging.getLogger(__name__)

STATUS_SECONDS = 2.0
"""How long an exit status is waited for: the kernel tells it once the parent has reaped the process."""
TOLD_SECONDS = 10.0
"""How long the kubelet's word is waited for where the kernel leaves open how it was. The kubelet looks at containers
once a second, and tells the API a moment later."""
POLL_SECONDS = 0.05
MOST_WAITING = 1_000
"""Ends that wait for their status at one time; further ones are named without."""
MOST_NAMES = 5_000
"""Names that exits are counted for; the one that was counted longest ago makes room."""
MOST_PLACES = 500
"""The same with their pods, which come and go for ever."""

Counts = Mapping[tuple[Name, ExitReason], int]


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who is asked about an end."""

    statuses: ExitStatuses
    oom_kills: OomKills
    restart_of: Callable[[ProcessId], Restart | None]
    """The restart under way that has asked this process to end."""
    rules_of: Callable[[Process], RestartRules | None]
    terminations: Terminations | None = None
    """None: nobody tells of containers."""


class Exits:
    """Names ends. Lives on the event loop; what waits is one task of its own."""

    def __init__(self, witnesses: Witnesses, journal: Journal, clock: Clock) -> None:
        """Nothing has ended yet."""
        self.counts: Counts = {}
        """By name and reason; a new mapping with each end, so that snapshots can hold it."""
        self._by_name: dict[Name, dict[ExitReason, int]] = {}
        self._witnesses, self._journal, self._clock = witnesses, journal, clock
        self._waiting: dict[ProcessId, Evidence] = {}
        self._task: asyncio.Task[None] | None = None

    def ended(self, watched: Watched) -> None:
        """A process has ended; what vanishes soon is read at once. Before anybody makes use of the end otherwise."""
        ask, id_ = self._witnesses, watched.process.id
        evidence = Evidence(
            watched=watched,
            at=self._clock.monotonic(),
            restart=ask.restart_of(id_),
            status=ask.statuses.status(id_),
            oom_kills=ask.oom_kills.lately(id_),
        )
        if not id_.visible or len(self._waiting) >= MOST_WAITING or not self._waits(evidence, evidence.at):
            self._settle(evidence)
            return
        self._waiting[id_] = evidence
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._wait(), name="exit statuses")

    async def stop(self) -> None:
        """Wait no longer: what is left is named by what is known now."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._look(self._clock.monotonic() + TOLD_SECONDS)

    async def _wait(self) -> None:
        """Until nobody waits any more."""
        while self._waiting:
            await self._clock.sleep(POLL_SECONDS)
            try:
                self._look(self._clock.monotonic())
            except Exception:  # the edge of the task: one end without a name must not be the last with one
                log.exception("ends were left without names")
                self._waiting.clear()

    def _look(self, now: float) -> None:
        """Name those of whom enough is known, and those who have waited long enough."""
        told = self._witnesses.terminations
        for id_, before in list(self._waiting.items()):
            status = before.status or self._witnesses.statuses.status(id_)
            termination = told.of(before.watched.place) if told is not None else None
            evidence = replace(before, status=status, termination=termination)
            if not self._waits(evidence, now):
                del self._waiting[id_]
                self._settle(evidence)
            else:
                self._waiting[id_] = evidence

    def _waits(self, evidence: Evidence, now: float) -> bool:
        """Whether more may still be told that would make a difference."""
        if not evidence.open:
            return False
        told, waited = self._witnesses.terminations, now - evidence.at
        expected = told is not None and evidence.said is None and told.expected(evidence.watched.place)
        return waited < (TOLD_SECONDS if expected else STATUS_SECONDS) and (expected or evidence.status is None)

    def _settle(self, evidence: Evidence) -> None:
        named = name(evidence)
        watched = evidence.watched
        if named.reason is ExitReason.CGROUP_OOM:
            self._witnesses.oom_kills.claim(watched.process.id)
        self._count(placed(watched.name, watched.place), named.reason)
        self._tell(evidence, named)

    def _count(self, name_: Name, reason: ExitReason) -> None:
        own = self._by_name.pop(name_, {})
        self._by_name[name_] = {**own, reason: own.get(reason, 0) + 1}
        if len(self._by_name) > (MOST_PLACES if isinstance(name_, PlacedName) else MOST_NAMES):
            del self._by_name[next(iter(self._by_name))]
        self.counts = {(known, why): n for known, of in self._by_name.items() for why, n in of.items()}

    def _tell(self, evidence: Evidence, named: ExitName) -> None:
        watched, restart = evidence.watched, evidence.restart
        text = f"ended, {named.reason}: {'; '.join(named.evidence)}"
        if named.reason.out_of_memory:
            rules = self._witnesses.rules_of(watched.process)
            text = f"{text}. In spite of Heapwarden: {advice(watched, named.reason, rules)}"
        id_, figures = watched.process.id, _figures(evidence)
        level = logging.ERROR if named.reason.out_of_memory else logging.INFO
        level = logging.WARNING if named.reason is ExitReason.CRASH else level
        extra = {"pid": id_.pid, "exit": named.reason, "figures": figures}
        log.log(level, "%s/%s %s", watched.name.process, watched.name.worker, text, extra=extra)
        event = Event(
            wall=self._clock.wall(),
            kind=EventKind.EXIT,
            what=named.reason,
            text=text,
            process=watched.name.process,
            worker=watched.name.worker,
            pid=id_.pid,
            restart=restart.id if restart is not None else "",
            figures=figures,
        )
        self._journal.append(event)


def _figures(evidence: Evidence) -> dict[str, Figure]:
    """The last figures, and how it ended."""
    figures = figures_of(evidence.watched)
    findings, status = evidence.watched.findings, evidence.status
    more: dict[str, Figure] = {
        "heap_ratio": findings.pressure.heap_ratio,
        "container_ratio": findings.pressure.container_ratio,
        "oom_kills": evidence.oom_kills,
        "exit_code": status.code if status is not None else evidence.code,
        "signal": status.signal if status is not None else None,
    }
    return figures | {key: figure for key, figure in more.items() if figure is not None}
