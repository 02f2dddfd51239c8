"""Which of the restarts that rules want are made: each is held back, and that is said, while one thing is against it.

Listens to published snapshots, and waits for nothing.
"""

import logging
import random
from collections.abc import Container

from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.health import ReasonCode
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Restart, RestartReason
from heapwarden.domain.snapshot import Held, Snapshot, Watched
from heapwarden.policy.safety import Refusal, refusal
from heapwarden.ports import Clock, Journal, Reporters
from heapwarden.runtime.clearance import COORDINATION
from heapwarden.runtime.confirmation import Confirmation
from heapwarden.runtime.record import Wanted
from heapwarden.runtime.restarts import Restarts
from heapwarden.runtime.telling import figures_of
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)


class Decisions:
    """One at each snapshot about each process that a rule wants restarted."""

    def __init__(
        self, restarts: Restarts, watch: Watch, *, reporters: Reporters, journal: Journal, clock: Clock
    ) -> None:
        """Listen to ``watch``."""
        self._restarts, self._watch = restarts, watch
        self._journal, self._clock = journal, clock
        self._held: dict[ProcessId, Held] = {}
        self._not_before: dict[ProcessId, float] = {}
        self._confirmation = Confirmation(reporters, clock)
        watch.on_published.append(self.consider)

    def consider(self, snapshot: Snapshot) -> None:
        """Look at all that is wanted by this snapshot."""
        self._restarts.clearance.sweep()
        found = [one for one in self._watch.wanted() if self._restarts.course(one.watched.process.id) is None]
        if not (found or self._held):
            return
        now = self._clock.monotonic()
        still = {one.watched.process.id for one in found}
        self._forget_but(still)
        first: dict[str, Name] = {}
        for wanted in sorted(found, key=_urgency):
            self._consider(wanted, snapshot, now, first)
        self._confirmation.settle(still, {watched.process.id for watched in snapshot.processes})

    def _forget_but(self, still: Container[ProcessId]) -> None:
        """Nothing stands against a restart that is not wanted any more."""
        self._held = {id_: held for id_, held in self._held.items() if id_ in still}
        self._not_before = {id_: at for id_, at in self._not_before.items() if id_ in still}
        self._watch.held = self._held

    def _consider(self, wanted: Wanted, snapshot: Snapshot, now: float, first: dict[str, Name]) -> None:
        restart = self._restarts.plan(wanted)
        refused = (
            self._restarts.unable(wanted)
            or self._drained_by_hand(wanted)
            or self._not_the_largest(wanted, snapshot)
            or self._refused(wanted)
            or self._jittered(wanted, now)
            or self._confirmation.refusal(wanted, now)
            or self._uncleared(wanted, restart, first)
        )
        if refused is not None:
            self._hold(wanted, refused)
            return
        self._held.pop(wanted.watched.process.id, None)
        if wanted.rules.dry_run:
            self._restarts.dry_run(restart)
        else:
            self._restarts.begin(wanted, restart)

    def _drained_by_hand(self, wanted: Wanted) -> Refusal | None:
        phase = self._watch.phases.get(wanted.watched.process.id)
        if phase is None or phase.reason.code is not ReasonCode.DRAINED:
            return None
        return Refusal("drained", "somebody has drained it; undrain it, or ask for the restart")

    def _not_the_largest(self, wanted: Wanted, snapshot: Snapshot) -> Refusal | None:
        """A full container is no fault of each process in it: the largest goes, and then it is looked at again."""
        container = wanted.watched.sample.container
        if not _of_the_container(wanted) or container is None or not container.cgroup:
            return None
        if self._restarts.busy_in(container.cgroup):
            return Refusal("sibling", "another process of its container is being restarted")
        if container.taken_at <= self._watch.last_end_in(container.cgroup):
            return Refusal("sibling", "a process of its container has just ended, its memory is read anew first")
        within = [one for one in snapshot.processes if _cgroup(one) == container.cgroup]
        largest = max(within, key=_resident_bytes, default=wanted.watched)
        if _resident_bytes(largest) > _resident_bytes(wanted.watched):
            name = f"{largest.name.process}/{largest.name.worker}"
            return Refusal("sibling", f"its container is full, and {name} takes more of it")
        return None

    def _refused(self, wanted: Wanted) -> Refusal | None:
        return refusal(wanted.rules, self._restarts.standing(wanted), self._clock.wall())

    def _jittered(self, wanted: Wanted, now: float) -> Refusal | None:
        """Once it may be made, a wait by chance; none where the limit is near."""
        most, left = wanted.rules.pauses.jitter_seconds, wanted.watched.findings.limit_in_seconds
        if not most or (left is not None and left <= most + wanted.rules.notice_seconds):
            return None
        until = self._not_before.setdefault(wanted.watched.process.id, now + random.uniform(0, most))  # noqa: S311
        return Refusal("jitter", f"{until - now:.1f} s of jitter to go") if now < until else None

    def _uncleared(self, wanted: Wanted, restart: Restart, first: dict[str, Name]) -> Refusal | None:
        """Of each name, only the ``first`` waits for a place: the others would have to wait for it anyway.

        Where its own pod may not be evicted, which says nothing about others', the next one asks.
        """
        name = restart.name
        if wanted.rules.dry_run:
            return None
        if name.process in first:
            ahead = first[name.process]
            return Refusal("sibling", f"{ahead.process}/{ahead.worker} is to be restarted first")
        refused = self._restarts.clearance.refusal(restart)
        if refused is not None and refused.code == COORDINATION:
            first[name.process] = name
        return refused

    def _hold(self, wanted: Wanted, refused: Refusal) -> None:
        watched = wanted.watched
        before = self._held.get(watched.process.id)
        self._held[watched.process.id] = Held(wanted.trigger, refused.code, refused.text)
        if before is not None and before.code == refused.code:
            return
        text = f"a restart is wanted ({wanted.trigger.text}) and not made: {refused.text}"
        log.warning("%s/%s: %s", watched.name.process, watched.name.worker, text, extra={"code": refused.code})
        self._journal.append(self._event(refused.code, text, watched))
        self._watch.mark(watched.process.id)

    def _event(self, what: str, text: str, watched: Watched) -> Event:
        name, pid, figures = watched.name, watched.process.id.pid, figures_of(watched)
        return Event(self._clock.wall(), EventKind.HELD, what, text, name.process, name.worker, pid, figures=figures)


def _of_the_container(wanted: Wanted) -> bool:
    """Whether the container is full, and not this process's own heap."""
    if wanted.trigger.reason is RestartReason.CONTAINER_USAGE:
        return True
    codes = {reason.code for reason in wanted.watched.verdict.reasons}
    own = {ReasonCode.HEAP_USAGE, ReasonCode.GC_THRASHING}
    unhealthy = wanted.trigger.reason is RestartReason.UNHEALTHY
    return unhealthy and ReasonCode.CONTAINER_USAGE in codes and not codes & own


def _urgency(wanted: Wanted) -> tuple[float, float, int]:
    """Whoever dies first comes first, then whoever takes most."""
    findings = wanted.watched.findings
    left = findings.limit_in_seconds
    ratio = findings.pressure.ratio or 0.0
    return (float("inf") if left is None else left, -ratio, -_resident_bytes(wanted.watched))


def _resident_bytes(watched: Watched) -> int:
    kernel = watched.sample.kernel
    return 0 if kernel is None else kernel.rss_bytes


def _cgroup(watched: Watched) -> str:
    container = watched.sample.container
    return "" if container is None else container.cgroup
