"""One watched process as it stands now: its figures, what is remembered of them, and what was made of them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from heapwarden.analysis.collections import MajorActivity, MajorMark, activity
from heapwarden.analysis.pressure import heap_ratio, heap_total_ratio, pressure, worst
from heapwarden.analysis.trend import Point, extend, seconds_to_limit
from heapwarden.domain.checkup import Checkup
from heapwarden.domain.findings import Findings
from heapwarden.domain.health import HealthState, Reason, Verdict
from heapwarden.domain.identity import Name, Process
from heapwarden.domain.place import Place
from heapwarden.domain.restart import Restart, Trigger
from heapwarden.domain.sample import ContainerFigures, KernelFigures, Reading, Sample, TreeFigures
from heapwarden.domain.snapshot import Held, Watched
from heapwarden.policy.judge import HealthMemory, judge
from heapwarden.policy.matching import ProcessRule
from heapwarden.policy.restart import RestartRules
from heapwarden.policy.wanted import RestartMemory, wanted

log = logging.getLogger(__name__)

UnderWay = Callable[[], tuple[Restart, ...]]
"""Gives the restarts that are under way."""

LINGER_SECONDS = 10.0
"""How long a process that can't be seen under /proc is kept after its last connection closed: it may reconnect."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What a restart, or somebody by hand, makes of a process's health, whatever its figures say."""

    state: HealthState
    reason: Reason
    since: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A process that one of its rules wants restarted."""

    watched: Watched
    rules: RestartRules
    trigger: Trigger
    uptime_seconds: float


@dataclass(slots=True)
class Record:
    """One watched process as it stands now."""

    process: Process
    name: Name
    rule: ProcessRule
    sample: Sample
    memory: HealthMemory
    age_seconds: float = 0.0
    """How old it was when it was first seen."""
    restart_memory: RestartMemory = field(default_factory=RestartMemory)
    trigger: Trigger | None = None
    points: tuple[Point, ...] = ()
    marks: dict[int, tuple[MajorMark, ...]] = field(default_factory=dict)
    watched: Watched | None = None
    disconnected_at: float | None = None
    place: Place | None = None

    def uptime_seconds(self, now: float) -> float:
        """Since its start, whatever the wall clock did since it was first seen."""
        return self.age_seconds + now - self.memory.watched_since

    def take(self, reading: Reading | None, sources: dict[str, bool]) -> None:
        """What a fetched source gave, and which sources answer now. Without a reading the last figures stay."""
        match reading:
            case KernelFigures():
                self.sample = replace(self.sample, kernel=reading, sources=sources)
            case ContainerFigures():
                self.sample = replace(self.sample, container=reading, sources=sources)
            case TreeFigures():
                self.sample = replace(self.sample, tree=reading, sources=sources)
            case None:
                self.sample = replace(self.sample, sources=sources)

    def follow(self, rule: ProcessRule) -> None:
        """From now on judge by ``rule``; figures that only the old one had taken go, and what it wanted."""
        self.rule = rule
        self.trigger, self.restart_memory = None, RestartMemory()
        if not rule.restart.tree and self.sample.tree is not None:
            sources = {source: up for source, up in self.sample.sources.items() if source != "tree"}
            self.sample = replace(self.sample, tree=None, sources=sources)

    def lingered(self, now: float) -> bool:
        """Whether it has been without a connection for too long to come back."""
        return self.disconnected_at is not None and now - self.disconnected_at > LINGER_SECONDS

    def judge(self, now: float, phase: Phase | None, held: Held | None, checkup: Checkup) -> None:
        """Judge what is known at ``now``: its health, and whether a rule wants it restarted."""
        self.sample = replace(self.sample, at=now)
        findings = self._findings(now)
        before = self.watched.verdict if self.watched else None
        verdict, self.memory = judge(self.rule.health, self.sample, findings, self.memory, now)
        watched = Watched(self.process, self.name, self.sample, findings, verdict)
        stale = self.rule.health.stale_after_seconds
        self.trigger, self.restart_memory = wanted(self.rule.restart, watched, stale, self.restart_memory, now)
        if phase is not None:
            reasons = (phase.reason, *verdict.reasons)
            verdict = Verdict(phase.state, serving=False, reasons=reasons, since=phase.since)
        self.watched = replace(watched, verdict=verdict, held=held, checkup=checkup, place=self.place)
        if before is None or before.state is not verdict.state:
            _tell(self.name, verdict)

    def _findings(self, now: float) -> Findings:
        """Where some figures are fresh, only those count: a worker thread that fell silent is not known to be full."""
        known = self.sample.heap.isolates if self.sample.heap else ()
        isolates = [one for one in known if now - one.taken_at <= self.rule.health.stale_after_seconds] or known
        fullest = max(isolates, key=heap_ratio, default=None)
        majors = activity(self.marks.get(fullest.thread, ())) if fullest else MajorActivity()
        container = self.sample.container
        self.points = extend(self.points, fullest, container, now) if self.rule.restart.any else ()
        return Findings(
            pressure=pressure(isolates, container),
            heap_total_ratio=worst(heap_total_ratio(isolate) for isolate in isolates),
            mark_compacts=majors.count,
            mark_compact_share=majors.share,
            limit_in_seconds=seconds_to_limit(self.points, fullest, container),
        )


def _tell(name: Name, verdict: Verdict) -> None:
    level = logging.WARNING if not verdict.serving else logging.INFO
    reasons = "; ".join(reason.text for reason in verdict.reasons)
    label = verdict.state.label
    log.log(level, "%s/%s is %s%s", name.process, name.worker, label, f": {reasons}" if reasons else "")
