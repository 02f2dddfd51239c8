"""Restarts that rules want: held back or made, one at a time within a name.

Listens to published snapshots; each restart is a task of its own (:mod:`heapwarden.runtime.course`), and nothing here
waits for a process.
"""

import asyncio
import logging
import random
import uuid
from dataclasses import replace

from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.exit import ExitReason
from heapwarden.domain.health import HealthState, Reason, ReasonCode
from heapwarden.domain.identity import Name, Process, ProcessId
from heapwarden.domain.restart import Method, Outcome, Restart, RestartReason, Stage
from heapwarden.domain.snapshot import Held, Snapshot, Watched
from heapwarden.policy.safety import Refusal, Standing, refusal
from heapwarden.runtime.confirmation import Confirmation
from heapwarden.runtime.course import ASKED, Course, Tools
from heapwarden.runtime.past import REMEMBERED_SECONDS, Past
from heapwarden.runtime.record import Phase, Wanted
from heapwarden.runtime.telling import figures_of

log = logging.getLogger(__name__)

Counts = dict[tuple[Name, RestartReason, bool], int]


class Restarts:
    """The dispatcher. Lives on the event loop, from :meth:`start` to :meth:`stop`."""

    def __init__(self, tools: Tools, *, default_method: Method, boot: str) -> None:
        """``default_method`` is for rules that name none; ``boot`` is the kernel's boot id."""
        self.counts: Counts = {}
        """By name, reason and dry run; a new dict with each restart, so that snapshots can hold it."""
        self._tools = tools
        self._watch, self._clock = tools.watch, tools.clock
        self._default_method, self._boot = default_method, boot
        self._past = Past()
        self._past_incomplete: str | None = None
        self._started_wall = tools.clock.wall()
        self._courses: dict[ProcessId, Course] = {}
        self._tasks: dict[ProcessId, asyncio.Task[None]] = {}
        self._families: dict[ProcessId, Process] = {}
        self._held: dict[ProcessId, Held] = {}
        self._not_before: dict[ProcessId, float] = {}
        self._confirmation = Confirmation(tools.reporters, tools.clock)

    async def start(self) -> None:
        """Take up what the last agent left open, and begin to listen."""
        journal = self._tools.journal
        remembered = await journal.load(self._clock.wall() - REMEMBERED_SECONDS)
        self._past_incomplete = remembered.trouble
        for restart in remembered.past:
            if not restart.open:
                self._past.add(restart)
        for restart in remembered.open:
            await self._take_up(restart)
        self._watch.restarts = lambda: tuple(course.restart for course in self._courses.values())
        self._watch.on_published.append(self._consider_all)

    async def stop(self) -> None:
        """Stop; what is under way stays open in the journal."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def of(self, process: ProcessId) -> Restart | None:
        """The restart that is ending this process, or has ended it; None where it was not asked to end."""
        course = self._courses.get(process)
        return course.restart if course is not None and course.asked else None

    def ending(self, pid: int) -> bool:
        """Whether a process is being restarted that is ``pid`` or below it, and was asked to end."""
        return any(
            course.asked and course.restart.stage in ASKED and self._below(id_, pid)
            for id_, course in self._courses.items()
        )

    def course(self, process: ProcessId) -> Course | None:
        """What is under way for this process."""
        return self._courses.get(process)

    def drained(self, process: ProcessId) -> None:
        """The app says that no request is under way any more."""
        course = self._courses.get(process)
        if course is not None:
            course.drained = True

    # --------------------------------------------------------------------------------------------- what is wanted

    def _consider_all(self, snapshot: Snapshot) -> None:
        found = [one for one in self._watch.wanted() if one.watched.process.id not in self._courses]
        if not (found or self._held):
            return
        now = self._clock.monotonic()
        still = {one.watched.process.id for one in found}
        for id_ in [id_ for id_ in self._held if id_ not in still]:
            del self._held[id_]
        self._not_before = {id_: at for id_, at in self._not_before.items() if id_ in still}
        for wanted in sorted(found, key=_urgency):
            self._consider(wanted, now)
        self._confirmation.forget_but({watched.process.id for watched in snapshot.processes})
        self._watch.held = self._held

    def _consider(self, wanted: Wanted, now: float) -> None:
        refused = (
            self.unable(wanted)
            or self._refused(wanted)
            or self._jittered(wanted, now)
            or self._confirmation.refusal(wanted, now)
        )
        if refused is not None:
            self._hold(wanted, refused)
            return
        self._held.pop(wanted.watched.process.id, None)
        restart = self.plan(wanted)
        if wanted.rules.dry_run:
            self._dry_run(restart)
        else:
            self.begin(wanted.watched, restart)

    def unable(self, wanted: Wanted) -> Refusal | None:
        """Why its method can't be used here, whoever asks for it."""
        if self._method(wanted) is Method.SUPERVISE is not self._default_method:
            return Refusal("method", "method supervise needs `heapwarden run`, which starts the command again")
        return None

    def _refused(self, wanted: Wanted) -> Refusal | None:
        watched, rules = wanted.watched, wanted.rules
        name = watched.name
        standing = Standing(
            name=name,
            uptime_seconds=self._clock.wall() - watched.process.started_at,
            past=self._past.of(name.process),
            busy=self.busy(name.process),
            agent_started_wall=self._started_wall,
            namesakes=len(self._watch.snapshot.by_name.get(name.process, ())),
            journal_trouble=self._tools.journal.trouble,
            past_incomplete=self._past_incomplete,
        )
        return refusal(rules, standing, self._clock.wall())

    def _jittered(self, wanted: Wanted, now: float) -> Refusal | None:
        """Once it may be made, a wait by chance; none where the limit is near."""
        most, left = wanted.rules.pauses.jitter_seconds, wanted.watched.findings.limit_in_seconds
        if not most or (left is not None and left <= most + wanted.rules.notice_seconds):
            return None
        until = self._not_before.setdefault(wanted.watched.process.id, now + random.uniform(0, most))  # noqa: S311
        return Refusal("jitter", f"{until - now:.1f} s of jitter to go") if now < until else None

    def _hold(self, wanted: Wanted, refused: Refusal) -> None:
        watched = wanted.watched
        before = self._held.get(watched.process.id)
        self._held[watched.process.id] = Held(wanted.trigger, refused.code, refused.text)
        if before is not None and before.code == refused.code:
            return
        text = f"a restart is wanted ({wanted.trigger.text}) and not made: {refused.text}"
        log.warning("%s/%s: %s", watched.name.process, watched.name.worker, text, extra={"code": refused.code})
        self._tools.journal.append(self._event(EventKind.HELD, refused.code, text, watched))
        self._watch.mark(watched.process.id)

    # ---------------------------------------------------------------------------------------------- what is made

    def plan(self, wanted: Wanted) -> Restart:
        """The restart that would be made now."""
        watched, rules = wanted.watched, wanted.rules
        return Restart(
            id=uuid.uuid4().hex,
            process=watched.process.id,
            name=watched.name,
            boot=self._boot,
            trigger=wanted.trigger,
            plan=replace(rules.plan, method=self._method(wanted)),
            wall=self._clock.wall(),
            stage=Stage.DRAIN,
            stage_since=self._clock.monotonic(),
            figures=figures_of(watched),
            newest_start=self.newest_start(watched.name.process),
            dry_run=rules.dry_run,
        )

    def newest_start(self, name: str) -> int:
        """The start of the youngest process of this name, in clock ticks since boot."""
        return max((one.process.id.start for one in self._watch.snapshot.by_name.get(name, ())), default=0)

    def _method(self, wanted: Wanted) -> Method:
        visible = wanted.watched.process.id.visible
        return wanted.rules.method or (self._default_method if visible else Method.REPORTER)

    def _dry_run(self, restart: Restart) -> None:
        over = replace(restart, outcome=Outcome.DRY_RUN, ended_wall=restart.wall)
        self._past.add(over)
        self._count(over)
        course = Course(over, self._tools, lambda: None)
        task = asyncio.create_task(course.keep(), name=f"dry run {restart.id}")
        self._tasks[restart.process] = task
        task.add_done_callback(lambda _: self._tasks.pop(restart.process, None))

    def begin(self, watched: Watched, restart: Restart) -> None:
        """Make it: nothing else of its name is under way."""
        self._families[restart.process] = watched.process
        self._carry_out(restart, first=True)

    def _carry_out(self, restart: Restart, *, first: bool) -> None:
        id_ = restart.process
        course = self._courses[id_] = Course(restart, self._tools, lambda: self._phase(id_))
        self._tasks[id_] = asyncio.create_task(self._run(course, first=first), name=f"restart {restart.id}")
        self._phase(id_)

    async def _run(self, course: Course, *, first: bool) -> None:
        id_ = course.restart.process
        try:
            if first:
                await course.keep()
            await course.run()
        except Exception:  # the edge of the task: said, and the process goes on serving
            log.exception("restart %s failed", course.restart.id)
            course.restart = replace(course.restart, outcome=Outcome.FAILED, ended_wall=self._clock.wall())
        if course.restart.outcome in (Outcome.DONE, Outcome.NO_SUCCESSOR):
            self._count(course.restart)
        self._past.add(course.restart)
        del self._courses[id_], self._tasks[id_]
        self._families.pop(id_, None)
        self._phase(id_)

    async def _take_up(self, restart: Restart) -> None:
        """What an agent left open that died, or was stopped, in the middle."""
        name = f"{restart.name.process}/{restart.name.worker}"
        if restart.boot != self._boot:
            note = "the machine was started anew in the middle of it"
            over = replace(restart, outcome=Outcome.FAILED, ended_wall=self._clock.wall(), note=note)
            await Course(over, self._tools, lambda: None).keep()
            self._past.add(over)
            return
        log.warning("%s: a restart that was under way is taken up again at %s", name, restart.stage)
        if restart.process.visible and not self._tools.discovery.alive(restart.process):
            asked = restart.stage in ASKED
            reason = ExitReason.MEMORY_RESTART if asked else ExitReason.UNKNOWN
            text = f"ended while no agent was there, at stage {restart.stage} of its restart"
            event = Event(self._clock.wall(), EventKind.EXIT, reason, text, *_names(restart), restart.process.pid)
            if restart.stage not in (Stage.SUCCESSOR, Stage.AFTER):
                self._tools.journal.append(replace(event, restart=restart.id))
        elif (process := self._tools.discovery.identify(restart.process.pid)) and process.id == restart.process:
            self._families[restart.process] = process
        self._carry_out(restart, first=False)

    def _phase(self, process: ProcessId) -> None:
        """Let health say what is being done with this process."""
        course = self._courses.get(process)
        if course is not None and course.restart.open:
            restart = course.restart
            state = HealthState.RESTARTING if restart.stage in ASKED else HealthState.DRAINING
            reason = Reason(ReasonCode.RESTART, f"restart, stage {restart.stage}: {restart.trigger.text}")
            self._watch.phases[process] = Phase(state, reason, restart.stage_since)
        else:
            self._watch.phases.pop(process, None)
        self._watch.mark(process)

    def _count(self, restart: Restart) -> None:
        key = (restart.name, restart.trigger.reason, restart.dry_run)
        self.counts = {**self.counts, key: self.counts.get(key, 0) + 1}

    def busy(self, name: str) -> str | None:
        """Which process of this name is being restarted. One is until its outcome is kept and counts in the budget."""
        names = (course.restart.name for course in self._courses.values())
        return next((f"{one.process}/{one.worker}" for one in names if one.process == name), None)

    def _below(self, process: ProcessId, pid: int) -> bool:
        family = self._families.get(process)
        above = [ancestor.pid for ancestor in family.ancestors] if family else []
        return pid == process.pid or pid in above

    def _event(self, kind: EventKind, what: str, text: str, watched: Watched) -> Event:
        name = watched.name
        pid, figures = watched.process.id.pid, figures_of(watched)
        return Event(self._clock.wall(), kind, what, text, name.process, name.worker, pid, figures=figures)


def _urgency(wanted: Wanted) -> tuple[float, float]:
    """Whoever dies first comes first."""
    findings = wanted.watched.findings
    left = findings.limit_in_seconds
    return (float("inf") if left is None else left, -(findings.pressure.ratio or 0.0))


def _names(restart: Restart) -> tuple[str, str]:
    return restart.name.process, restart.name.worker
