"""What the agent knows of each watched process, and the snapshot made of it.

Two callers feed it: the tick with what was fetched, and the reporters' socket with what arrives between ticks. Both
mark what they changed; :meth:`Watch.judge` judges what is marked, :meth:`Watch.publish` swaps in the snapshot.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from heapwarden.analysis.collections import MajorActivity, MajorMark, activity, remember
from heapwarden.analysis.pressure import heap_ratio, heap_total_ratio, pressure, worst
from heapwarden.domain.findings import Findings
from heapwarden.domain.identity import Name, Process, ProcessId, Role
from heapwarden.domain.sample import ContainerFigures, HeapFigures, KernelFigures, Reading, Sample, TreeFigures
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.policy.health import HealthRules
from heapwarden.policy.judge import HealthMemory, judge
from heapwarden.policy.matching import Watchlist
from heapwarden.ports import Clock, Discovery
from heapwarden.runtime.roster import Roster

log = logging.getLogger(__name__)

LINGER_SECONDS = 10.0
"""How long a process that can't be seen under /proc is kept after its last connection closed: it may reconnect."""


@dataclass(slots=True)
class Record:
    """One watched process as it stands now."""

    process: Process
    name: Name
    rules: HealthRules
    sample: Sample
    memory: HealthMemory
    marks: dict[int, tuple[MajorMark, ...]] = field(default_factory=dict)
    watched: Watched | None = None
    disconnected_at: float | None = None


class Watch:
    """The watched processes. Lives on the event loop; every method takes microseconds a process."""

    def __init__(self, watchlist: Watchlist, *, discovery: Discovery, clock: Clock) -> None:
        """Nothing is watched yet."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when something was marked between ticks and wants judging soon."""
        self.on_admitted: Callable[[Process], None] = lambda _process: None
        """Called for each process that is watched from now on."""
        self.on_ended: Callable[[Watched], None] = lambda _watched: None
        """Called with the last figures of each watched process that has ended, once its slot is free."""
        self.on_published: list[Callable[[Snapshot], None]] = []
        """Called in order with each new snapshot; whoever acts on it does so in a task of its own."""
        self._watchlist = watchlist
        self._discovery = discovery
        self._clock = clock
        self._roster = Roster()
        self._records: dict[ProcessId, Record] = {}
        self._wrappers: dict[ProcessId, Process] = {}
        self._marked: set[ProcessId] = set()
        self._started_at = clock.monotonic()
        self.snapshot = Snapshot(at=self._started_at, wall=clock.wall(), agent_started_at=self._started_at)

    @property
    def processes(self) -> list[Process]:
        """The watched ones."""
        return [record.process for record in self._records.values()]

    def wants(self, process: Process) -> bool:
        """Whether this process is watched."""
        return process.role is Role.APP and self._watchlist.rule_for(process) is not None

    def found(self, processes: Sequence[Process]) -> None:
        """All processes under /proc: new ones are admitted, those that are missing have ended."""
        present = {process.id: process for process in processes}
        self._wrappers = {id_: process for id_, process in present.items() if process.role is Role.WRAPPER}
        now = self._clock.monotonic()
        for id_, record in list(self._records.items()):
            ended = id_ not in present and not self._discovery.alive(id_) if id_.visible else _lingered(record, now)
            if ended:
                self._dismiss(record)
        for process in sorted(processes, key=lambda one: (one.id.start, one.id.pid)):
            self._admit(process)

    def read(self, source: str, asked: Iterable[ProcessId], readings: Mapping[ProcessId, Reading] | None) -> None:
        """What a fetched source answered; None when it did not answer in time, and the last figures stay."""
        for id_ in asked:
            record = self._records.get(id_)
            if record is None:
                continue
            reading = readings.get(id_) if readings is not None else None
            answers = {**record.sample.sources, source: reading is not None}
            record.sample = replace(record.sample, sources=answers, **_field(reading))
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
            record.rules = rule.health
            wanted[id_] = rule.name or record.process.script
        for id_, name in self._roster.rename_all(wanted).items():
            self._records[id_].name = name
        self.mark_all()
        self.on_change()

    def mark_all(self) -> None:
        """Judge everything next time: durations pass without any news."""
        self._marked.update(self._records)

    def judge(self, most: int | None = None) -> bool:
        """Judge what is marked, at most so many; True when some are left. Nothing is published."""
        now = self._clock.monotonic()
        for _ in range(len(self._marked) if most is None else min(most, len(self._marked))):
            record = self._records.get(self._marked.pop())
            if record is not None:
                _judge(record, now)
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

    def _admit(self, process: Process) -> Record | None:
        record = self._records.get(process.id)
        if record is not None:
            return record
        rule = self._watchlist.rule_for(process) if process.role is Role.APP else None
        if rule is None:
            return None
        name = self._roster.admit(process, rule.name or process.script)
        if name is None:
            log.warning(
                "pid %d is not watched: %d processes are, and no more can be", process.id.pid, len(self._roster)
            )
            return None
        now = self._clock.monotonic()
        record = Record(process, name, rule.health, Sample(process.id, at=now), HealthMemory(watched_since=now))
        self._records[process.id] = record
        self._marked.add(process.id)
        log.info("watching %s/%s", name.process, name.worker, extra={"pid": process.id.pid})
        self.on_admitted(process)
        return record

    def _bury_unconnected(self) -> None:
        """Free the slots of the dead: a successor is often faster than a scan. Who has a connection lives."""
        for record in list(self._records.values()):
            heap = record.sample.heap
            if (heap is None or not heap.connected) and not self._discovery.alive(record.process.id):
                self._dismiss(record)

    def _forget(self, record: Record) -> None:
        del self._records[record.process.id]
        self._roster.dismiss(record.process.id)

    def _dismiss(self, record: Record) -> None:
        self._forget(record)
        name = record.name
        log.info("%s/%s is gone", name.process, name.worker, extra={"pid": record.process.id.pid})
        if record.watched is not None:
            self.on_ended(replace(record.watched, sample=record.sample))


def _lingered(record: Record, now: float) -> bool:
    return record.disconnected_at is not None and now - record.disconnected_at > LINGER_SECONDS


def _field(reading: Reading | None) -> dict[str, Any]:
    match reading:
        case KernelFigures():
            return {"kernel": reading}
        case ContainerFigures():
            return {"container": reading}
        case TreeFigures():
            return {"tree": reading}
    return {}


def _judge(record: Record, now: float) -> None:
    record.sample = replace(record.sample, at=now)
    findings = _findings(record, now)
    before = record.memory.verdict
    verdict, record.memory = judge(record.rules, record.sample, findings, record.memory, now)
    record.watched = Watched(record.process, record.name, record.sample, findings, verdict)
    if before is None or before.state is not verdict.state:
        level = logging.WARNING if not verdict.serving else logging.INFO
        reasons = "; ".join(reason.text for reason in verdict.reasons)
        name = f"{record.name.process}/{record.name.worker}"
        log.log(level, "%s is %s%s", name, verdict.state.label, f": {reasons}" if reasons else "")


def _findings(record: Record, now: float) -> Findings:
    """Where some figures are fresh, only those count: a worker thread that fell silent is not known to be full."""
    known = record.sample.heap.isolates if record.sample.heap else ()
    isolates = [one for one in known if now - one.taken_at <= record.rules.stale_after_seconds] or known
    fullest = max(isolates, key=heap_ratio, default=None)
    majors = activity(record.marks.get(fullest.thread, ())) if fullest else MajorActivity()
    return Findings(
        pressure=pressure(isolates, record.sample.container),
        heap_total_ratio=worst(heap_total_ratio(isolate) for isolate in isolates),
        mark_compacts=majors.count,
        mark_compact_share=majors.share,
    )
