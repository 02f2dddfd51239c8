"""What people ask for by the name of a process: restart, drain, undrain. See :class:`heapwarden.ports.Operator`."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from heapwarden.domain.errors import RequestRefusedError
from heapwarden.domain.health import HealthState, Reason, ReasonCode
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Restart, RestartReason, Trigger
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.policy.safety import Refusal
from heapwarden.ports import Clock
from heapwarden.runtime.clearance import COORDINATION
from heapwarden.runtime.course import ASKED
from heapwarden.runtime.record import Phase, Wanted
from heapwarden.runtime.restarts import Restarts
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)


class Requests:
    """An Operator. Neither budget nor uptime binds people; one at a time within a name does."""

    def __init__(self, restarts: Restarts, watch: Watch, clock: Clock) -> None:
        """Listen to snapshots: those that wait for their turn get it when the one before is over."""
        self._restarts, self._watch, self._clock = restarts, watch, clock
        self._queue: list[tuple[Wanted, Restart]] = []
        self._waits_for: dict[str, str] = {}
        watch.on_published.append(self._go_on)

    def restart(self, name: str, worker: str | None, reason: str) -> Sequence[Restart]:
        """Restart each, one at a time."""
        accepted = []
        for watched in self._free(name, worker):
            rules = self._watch.rules_of(watched.process.id)
            if rules is None or rules.dry_run:
                raise RequestRefusedError("not_possible", f"dry_run is set for {name}: nothing is restarted")
            wanted = Wanted(watched, rules, Trigger(RestartReason.REQUESTED, reason or "requested"), 0.0)
            unable = self._restarts.unable(wanted)
            if unable is not None:
                raise RequestRefusedError("not_possible", unable.text)
            if self._restarts.nobody_brings_back(wanted):
                raise RequestRefusedError("not_possible", f"nobody has brought back the last {name} that was restarted")
            accepted.append((wanted, self._restarts.plan(wanted)))
        self._queue += accepted
        self._begin()
        return [restart for _, restart in accepted]

    def drain(self, name: str, worker: str | None, reason: str) -> Sequence[Name]:
        """Take each out of service, and restart nothing."""
        free = [watched for watched in self._free(name, worker) if not self._is_drained(watched.process.id)]
        if not free:
            raise RequestRefusedError("busy", f"{name} is drained already")
        why = Reason(ReasonCode.DRAINED, f"drained by request{f': {reason}' if reason else ''}")
        for watched in free:
            id_ = watched.process.id
            self._watch.phases[id_] = Phase(HealthState.DRAINING, why, self._clock.monotonic())
            self._watch.mark(id_)
        return [watched.name for watched in free]

    def undrain(self, name: str, worker: str | None) -> Sequence[Name]:
        """Put each back into service."""
        named = self._named(name, worker)
        put_back = [watched.name for watched in named if self._put_back(watched.process.id)]
        if not put_back:
            raise RequestRefusedError("not_possible", f"{name} is not drained")
        return put_back

    def _put_back(self, process: ProcessId) -> bool:
        """Whether there was something to undo."""
        course = self._restarts.course(process)
        if course is not None and course.restart.stage not in ASKED:
            course.cancelled = "undrained by request"
            self._restarts.forget_drain(process)
            return True
        queued = len(self._queue)
        self._queue = [entry for entry in self._queue if entry[1].process != process]
        drained = self._is_drained(process)
        if drained:
            del self._watch.phases[process]
            self._watch.mark(process)
        return drained or len(self._queue) < queued

    def _is_drained(self, process: ProcessId) -> bool:
        phase = self._watch.phases.get(process)
        return phase is not None and phase.reason.code is ReasonCode.DRAINED

    def _go_on(self, _snapshot: Snapshot) -> None:
        if self._queue:
            self._begin()

    def _begin(self) -> None:
        waiting = []
        ahead: set[str] = set()
        """Names of which one waits for a place: the others would wait for it anyway."""
        for queued, planned in self._queue:
            rules = self._watch.rules_of(planned.process)
            if rules is None or rules.dry_run or self._restarts.course(planned.process) is not None:
                continue
            wanted = replace(queued, rules=rules)  # by the newest settings, until it begins
            restart, name = replace(planned, plan=self._restarts.plan(wanted).plan), planned.name.process
            if self._restarts.busy(name) is not None or name in ahead:
                waiting.append((wanted, restart))
            elif (unable := self._restarts.unable(wanted)) is not None:
                log.warning("%s: a restart that was asked for is dropped: %s", name, unable.text)
            elif self._restarts.nobody_brings_back(wanted):
                log.warning("%s: the restarts that were asked for are dropped, nobody brought the last back", name)
            elif (refused := self._restarts.clearance.refusal(restart)) is not None:
                self._tell(restart, refused)
                ahead.update({name} if refused.code == COORDINATION else ())
                waiting.append((wanted, restart))
            else:
                now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._restarts.newest_start(name)
                begun = replace(restart, stage_since=now, began=now, wall=wall, newest_start=newest)
                self._restarts.begin(wanted, begun)
        self._queue = waiting

    def _tell(self, restart: Restart, refused: Refusal) -> None:
        """Once for each cause."""
        known = self._waits_for.get(restart.id)
        self._waits_for = {entry.id: self._waits_for.get(entry.id, "") for _, entry in self._queue}
        self._waits_for[restart.id] = refused.code
        if known != refused.code:
            name = restart.name
            log.warning("%s/%s: the restart that was asked for waits: %s", name.process, name.worker, refused.text)

    def _named(self, name: str, worker: str | None) -> list[Watched]:
        found = self._watch.snapshot.by_name.get(name, ())
        named = [watched for watched in found if worker in (None, watched.name.worker)]
        if not named:
            what = f"no process is called {name!r}" if not found else f"{name} has no worker {worker!r}"
            raise RequestRefusedError("unknown", what)
        return named

    def _free(self, name: str, worker: str | None) -> list[Watched]:
        """Those that are neither being restarted nor waiting for it."""
        waiting = {restart.process for _, restart in self._queue}
        named = self._named(name, worker)
        free = [w for w in named if w.process.id not in waiting and self._restarts.course(w.process.id) is None]
        if not free:
            raise RequestRefusedError("busy", f"{name} is being restarted already")
        return free
