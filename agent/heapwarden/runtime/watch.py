"""What the agent knows of each watched process, and the snapshot made of it.

Two callers feed it: the tick with what was fetched, and the reporters' socket with what arrives between ticks. Both
mark what they changed; :meth:`Watch.judge` judges what is marked, :meth:`Watch.publish` swaps in the snapshot.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from heapwarden.analysis.collections import remember
from heapwarden.domain.checkup import NOT_LOOKED_AT, Checkup
from heapwarden.domain.identity import Name, Process, ProcessId, Role
from heapwarden.domain.sample import HeapFigures, Reading, Sample
from heapwarden.domain.snapshot import Held, Ledger, Snapshot, Watched
from heapwarden.policy.judge import HealthMemory
from heapwarden.policy.matching import ProcessRule, Watchlist
from heapwarden.policy.restart import RestartRules
from heapwarden.ports import Clock, Discovery
from heapwarden.runtime.record import Phase, Record, UnderWay, Wanted
from heapwarden.runtime.roster import Roster

if TYPE_CHECKING:
    from heapwarden.domain.place import Place

log = logging.getLogger(__name__)


ENDS_KEPT_SECONDS = 120.0
"""Longer than any figures of a container take to be read anew."""


class Watch:
    """The watched processes. Lives on the event loop; every method takes microseconds a process."""

    def __init__(self, watchlist: Watchlist, *, discovery: Discovery, clock: Clock) -> None:
        """Nothing is watched yet."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when something was marked between ticks and wants judging soon."""
        self.ignores: Callable[[Process], bool] = lambda _process: False
        """Whether a process is none of the apps, whatever it looks like: a Node program that the agent itself runs."""
        self.on_admitted: Callable[[Process], None] = lambda _process: None
        """Called for each process that is watched from now on."""
        self.on_ended: Callable[[Watched], None] = lambda _watched: None
        """Called with the last figures of each watched process that has ended, once its slot is free."""
        self.on_drained: Callable[[ProcessId], None] = lambda _process: None
        """Called when an app says that it has no more requests under way."""
        self.on_published: list[Callable[[Snapshot], None]] = []
        """Called in order with each new snapshot; whoever acts on it does so in a task of its own."""
        self.restarts: UnderWay = tuple
        """Those under way, for the snapshot."""
        self.ledger: Callable[[], Ledger] = Ledger
        """Restarts and exits so far, for the snapshot."""
        self.place_of: Callable[[ProcessId], Place | None] = lambda _process: None
        """Where in Kubernetes a process is; None where that is not known now, or not asked for. Takes a microsecond."""
        self.phases: dict[ProcessId, Phase] = {}
        """Of processes that are being drained or restarted."""
        self.held: Mapping[ProcessId, Held] = {}
        """Of processes whose restart is wanted and not made."""
        self.checkups: Mapping[ProcessId, Checkup] = {}
        """What the last look at their set-up has found."""
        self._watchlist = watchlist
        self._discovery = discovery
        self._clock = clock
        self._roster = Roster()
        self._records: dict[ProcessId, Record] = {}
        self._wrappers: dict[ProcessId, Process] = {}
        self._marked: set[ProcessId] = set()
        self._wanting: set[ProcessId] = set()
        self._ends: dict[str, float] = {}
        self._started_at = clock.monotonic()
        self.snapshot = Snapshot(at=self._started_at, wall=clock.wall(), agent_started_at=self._started_at)

    @property
    def processes(self) -> list[Process]:
        """The watched ones."""
        return [record.process for record in self._records.values()]

    def wants(self, process: Process) -> bool:
        """Whether this process is watched."""
        return self._rule_for(process) is not None

    def found(self, processes: Sequence[Process]) -> None:
        """All processes under /proc: new ones are admitted, those that are missing have ended.

        The scan was made a moment ago: what has ended since, and was dismissed, must not come back by it.
        """
        present = {process.id: process for process in processes}
        self._wrappers = {id_: process for id_, process in present.items() if process.role is Role.WRAPPER}
        now = self._clock.monotonic()
        for id_, record in list(self._records.items()):
            ended = id_ not in present and not self._discovery.alive(id_) if id_.visible else record.lingered(now)
            if ended:
                self._dismiss(record)
        for process in sorted(processes, key=lambda one: (one.id.start, one.id.pid)):
            if process.id in self._records or self._discovery.alive(process.id):
                self._admit(process)

    def read(self, source: str, asked: Iterable[ProcessId], readings: Mapping[ProcessId, Reading] | None) -> None:
        """What a fetched source answered; None when it did not answer in time, and the last figures stay."""
        for id_ in asked:
            record = self._records.get(id_)
            if record is None:
                continue
            reading = readings.get(id_) if readings is not None else None
            answers = {**record.sample.sources, source: reading is not None}
            record.take(reading, sources=answers)
            self._marked.add(id_)

    def heap_figures(self, process: Process, figures: HeapFigures) -> None:
        """Newest heap figures, whenever they come. What a child sends in the name of an ended process is not heard."""
        if process.id not in self._records and self.wants(process):
            self._bury_unconnected()
            if not self._discovery.alive(process.id):
                return
        record = self._admit(process)
        if record is None:
            return
        now = self._clock.monotonic()
        answers = {**record.sample.sources, figures.source: figures.connected}
        record.sample = replace(record.sample, heap=figures, sources=answers)
        record.disconnected_at = None if figures.connected else now
        record.marks = {one.thread: remember(record.marks.get(one.thread, ()), one) for one in figures.isolates}
        if not figures.connected and process.id.visible and not self._discovery.alive(process.id):
            self._dismiss(record)
        self._marked.add(process.id)
        self.on_change()

    def apply(self, watchlist: Watchlist) -> None:
        """Take new rules: names may change, and who is watched; what is remembered of health stays."""
        self._watchlist = watchlist
        wanted = {}
        for id_, record in list(self._records.items()):
            rule = watchlist.rule_for(record.process)
            if rule is None:
                self._forget(record)
                continue
            record.follow(rule)
            wanted[id_] = rule.name or record.process.script
        for id_, name in self._roster.rename_all(wanted).items():
            self._records[id_].name = name
        self.mark_all()
        self.on_change()

    def mark(self, process: ProcessId) -> None:
        """Judge this one soon: what is made of it has changed."""
        self._marked.add(process)
        self.on_change()

    def wanted(self) -> list[Wanted]:
        """The watched processes that a rule wants restarted, as they were last judged."""
        now = self._clock.monotonic()
        return [
            Wanted(record.watched, record.rule.restart, record.trigger, record.uptime_seconds(now))
            for record in map(self._records.__getitem__, self._wanting)
            if record.trigger is not None and record.watched is not None
        ]

    def known(self, process: ProcessId) -> Watched | None:
        """This very process as it was last judged; None when it is not watched, or was not judged yet."""
        record = self._records.get(process)
        return None if record is None else record.watched

    def name_of(self, process: ProcessId) -> Name | None:
        """What this very process is called; None when it is not watched."""
        record = self._records.get(process)
        return None if record is None else record.name

    def rules_of(self, process: ProcessId) -> RestartRules | None:
        """The restart rules of this very process; None when it is not watched."""
        record = self._records.get(process)
        return None if record is None else record.rule.restart

    def restart_rules_for(self, process: Process) -> RestartRules | None:
        """Those that would hold for this process; None when it would not be watched."""
        rule = self._rule_for(process)
        return None if rule is None else rule.restart

    def last_end_in(self, cgroup: str) -> float:
        """When the last watched process of this cgroup ended; long ago where none has."""
        return self._ends.get(cgroup, float("-inf"))

    def mark_all(self) -> None:
        """Judge everything next time: durations pass without any news."""
        self._marked.update(self._records)

    def judge(self, most: int | None = None) -> bool:
        """Judge what is marked, at most so many; True when some are left. Nothing is published."""
        now = self._clock.monotonic()
        for _ in range(len(self._marked) if most is None else min(most, len(self._marked))):
            record = self._records.get(self._marked.pop())
            if record is not None:
                id_ = record.process.id
                checkup = self.checkups.get(id_, NOT_LOOKED_AT)
                self._locate(record)
                record.judge(now, self.phases.get(id_), self.held.get(id_), checkup)
                (self._wanting.add if record.trigger is not None else self._wanting.discard)(id_)
        return bool(self._marked)

    def publish(self, *, tick_ended: bool = False) -> None:
        """Swap in a new snapshot of all verdicts."""
        now = self._clock.monotonic()
        watched = [record.watched for record in self._records.values() if record.watched is not None]
        self.snapshot = Snapshot(
            at=now,
            wall=self._clock.wall(),
            processes=tuple(sorted(watched, key=lambda one: (one.name.process, int(one.name.worker)))),
            wrappers=tuple(self._wrappers.values()),
            agent_started_at=self._started_at,
            last_tick_at=now if tick_ended else self.snapshot.last_tick_at,
            restarts=self.restarts(),
            ledger=self.ledger(),
        )
        for tell in self.on_published:
            tell(self.snapshot)

    def ended(self, process: ProcessId) -> None:
        """The kernel says that this process has ended."""
        record = self._records.get(process)
        if record is not None:
            self._dismiss(record)
            self.on_change()

    def drained(self, process: Process) -> None:
        """The app says that it has no more requests under way."""
        self.on_drained(process.id)

    def _admit(self, process: Process) -> Record | None:
        record = self._records.get(process.id)
        if record is not None:
            return record
        rule = self._rule_for(process)
        if rule is None:
            return None
        name = self._roster.admit(process, rule.name or process.script)
        if name is None:
            log.warning(
                "pid %d is not watched: %d processes are, and no more can be", process.id.pid, len(self._roster)
            )
            return None
        now = self._clock.monotonic()
        age = max(0.0, self._clock.wall() - process.started_at)
        record = Record(process, name, rule, Sample(process.id, at=now), HealthMemory(watched_since=now), age)
        self._records[process.id] = record
        self._marked.add(process.id)
        log.info("watching %s/%s", name.process, name.worker, extra={"pid": process.id.pid})
        self.on_admitted(process)
        return record

    def _rule_for(self, process: Process) -> ProcessRule | None:
        if process.role is not Role.APP or self.ignores(process):
            return None
        return self._watchlist.rule_for(process)

    def _bury_unconnected(self) -> None:
        """Free the slots of the dead: a successor is often faster than a scan. Who has a connection lives."""
        for record in list(self._records.values()):
            heap = record.sample.heap
            if (heap is None or not heap.connected) and not self._discovery.alive(record.process.id):
                self._dismiss(record)

    def _locate(self, record: Record) -> None:
        """What is known of its place is not forgotten for knowing nothing now."""
        place = self.place_of(record.process.id)
        if place is not None and (place.uid or record.place is None):
            record.place = place

    def _forget(self, record: Record) -> None:
        del self._records[record.process.id]
        self._wanting.discard(record.process.id)
        self.phases.pop(record.process.id, None)
        self._roster.dismiss(record.process.id)

    def _dismiss(self, record: Record) -> None:
        self._forget(record)
        name = record.name
        log.info("%s/%s is gone", name.process, name.worker, extra={"pid": record.process.id.pid})
        if record.sample.container is not None:
            now = self._clock.monotonic()
            self._ends = {cgroup: at for cgroup, at in self._ends.items() if now - at < ENDS_KEPT_SECONDS}
            self._ends[record.sample.container.cgroup] = now
        if record.watched is not None:
            self.on_ended(replace(record.watched, sample=record.sample))
