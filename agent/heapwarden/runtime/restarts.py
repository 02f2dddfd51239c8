"""Restarts that are made: begun, taken up from the agent before, and remembered for the next decision.

Each is a task of its own (:mod:`heapwarden.runtime.course`); whether one is made is decided elsewhere.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace

from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.exit import ExitReason
from heapwarden.domain.health import HealthState, Reason, ReasonCode
from heapwarden.domain.identity import Name, Process, ProcessId
from heapwarden.domain.place import Place, placed
from heapwarden.domain.restart import Method, Outcome, Restart, RestartReason, Stage
from heapwarden.policy.safety import Refusal, Standing, abandoned, refusal
from heapwarden.runtime.course import ASKED, Course, Tools
from heapwarden.runtime.past import MOST_NAMES, REMEMBERED_SECONDS, Past
from heapwarden.runtime.record import Phase, Wanted
from heapwarden.runtime.telling import figures_of

log = logging.getLogger(__name__)

Counts = Mapping[tuple[Name, RestartReason, bool], int]


class Restarts:
    """All of one agent. Lives on the event loop, from :meth:`start` to :meth:`stop`."""

    def __init__(self, tools: Tools, *, default_method: Method, boot: str) -> None:
        """``default_method`` is for rules that name none; ``boot`` is the kernel's boot id."""
        self.counts: Counts = {}
        """By name, reason and dry run; a new mapping with each restart, so that snapshots can hold it."""
        self._tools, self._ground = tools, tools.ground
        self.clearance = tools.clearance
        self._watch, self._clock = tools.ground.watch, tools.ground.clock
        self._default_method, self._boot = default_method, boot
        self._past = Past(self._clock, boot)
        self._past_incomplete: str | None = None
        self._incomplete_until: float | None = None
        self._started_wall = self._clock.wall()
        self._courses: dict[ProcessId, Course] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._families: dict[ProcessId, Process] = {}
        self._started = False
        self._by_hand: dict[ProcessId, Phase] = {}

    async def start(self) -> None:
        """Take up what the last agent left open."""
        journal = self._tools.journal
        remembered = await journal.load(self._clock.wall() - REMEMBERED_SECONDS)
        self._past_incomplete, self._incomplete_until = remembered.trouble, remembered.incomplete_since
        self._past.add(*(restart for restart in remembered.past if not restart.open))
        for restart in remembered.open:
            await self._take_up(restart)
        self._started = True
        self._watch.restarts = lambda: tuple(course.restart for course in self._courses.values())

    async def stop(self) -> None:
        """Stop, for good; what is under way stays open in the journal."""
        self._started = False
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.clearance.stop()

    def of(self, process: ProcessId) -> Restart | None:
        """The restart that is ending this process, or has ended it; None where it was not asked to end."""
        course = self._courses.get(process)
        return course.restart if course is not None and course.asked else None

    def ending(self, pid: int) -> bool:
        """Whether a process is being restarted that is ``pid`` or below it: its end is part of that."""
        return any(self._below(process, pid) for process in self._courses)

    def course(self, process: ProcessId) -> Course | None:
        """What is under way for this process."""
        return self._courses.get(process)

    def drained(self, process: ProcessId) -> None:
        """The app says that no request is under way any more."""
        course = self._courses.get(process)
        if course is not None:
            course.drained = True

    def admitted(self, process: Process) -> None:
        """A process is watched from now on: it may be the one that is awaited, or the one of a restart under way."""
        known = self._watch.name_of(process.id)
        for id_, course in self._courses.items():
            if id_ == process.id:
                self._phase(id_)
            elif known is not None and course.restart.name.process == known.process:
                course.subject.admitted(process, course.restart)

    def unable(self, wanted: Wanted) -> Refusal | None:
        """Why its method can't be used here, whoever asks for it."""
        if self._method(wanted) is Method.SUPERVISE is not self._default_method:
            return Refusal("method", "method supervise needs `heapwarden run`, which starts the command again")
        return None

    def nobody_brings_back(self, wanted: Wanted) -> bool:
        """Whether the last of its name that was restarted has no successor, so that the next would only be lost too."""
        return abandoned(wanted.rules, self.standing(wanted), self._clock.wall()) is not None

    def standing(self, wanted: Wanted) -> Standing:
        """What bears on a restart of this process now."""
        name = wanted.watched.name
        return Standing(
            name=name,
            uptime_seconds=wanted.uptime_seconds,
            past=self._past.of(name.process),
            busy=self.busy(name.process),
            agent_started_wall=self._started_wall,
            namesakes=len(self._watch.snapshot.by_name.get(name.process, ())),
            newest_start=self.newest_start(name.process),
            journal_trouble=self._tools.journal.trouble,
            past_incomplete=self._past_incomplete,
            incomplete_until_wall=self._incomplete_until,
        )

    def plan(self, wanted: Wanted) -> Restart:
        """The restart that would be made now."""
        watched, rules = wanted.watched, wanted.rules
        now = self._clock.monotonic()
        return Restart(
            id=uuid.uuid4().hex,
            process=watched.process.id,
            name=watched.name,
            boot=self._boot,
            trigger=wanted.trigger,
            plan=replace(rules.plan, method=self._method(wanted)),
            wall=self._clock.wall(),
            stage=Stage.DRAIN,
            stage_since=now,
            figures=figures_of(watched),
            began=now,
            newest_start=self.newest_start(watched.name.process),
            dry_run=rules.dry_run,
        )

    def newest_start(self, name: str) -> int:
        """The start of the youngest process of this name, in clock ticks since boot."""
        return max((one.process.id.start for one in self._watch.snapshot.by_name.get(name, ())), default=0)

    def _method(self, wanted: Wanted) -> Method:
        visible = wanted.watched.process.id.visible
        return wanted.rules.method or (self._default_method if visible else Method.REPORTER)

    def dry_run(self, restart: Restart) -> None:
        """Count and keep it, and touch nothing."""
        over = replace(restart, outcome=Outcome.DRY_RUN, ended_wall=restart.wall)
        self._past.add(over)
        self._count(over, self._watch.place_of(over.process))

        async def keep() -> None:
            await Course(over, self._tools, lambda: None).keep()

        self._own(restart.id, asyncio.create_task(keep(), name=f"dry run {restart.id}"))

    def begin(self, wanted: Wanted, restart: Restart) -> None:
        """Make it: nothing else of its name is under way. Only between start and stop."""
        if not self._started:
            return
        id_ = restart.process
        phase = self._watch.phases.get(id_)
        if phase is not None and phase.reason.code is ReasonCode.DRAINED:
            self._by_hand[id_] = phase
        self._families[id_] = wanted.watched.process
        self._carry_out(restart, wanted)

    def _carry_out(self, restart: Restart, wanted: Wanted | None) -> None:
        """``wanted`` is what a new restart was decided by; None for one that is taken up."""
        id_ = restart.process
        self.clearance.begun(restart)
        course = self._courses[id_] = Course(restart, self._tools, lambda: self._phase(id_))
        container = wanted.watched.sample.container if wanted is not None else None
        course.cgroup = "" if container is None else container.cgroup
        course.place = self._watch.place_of(id_)
        self._own(restart.id, asyncio.create_task(self._run(course, wanted), name=f"restart {restart.id}"))
        self._phase(id_)

    def _own(self, key: str, task: asyncio.Task[None]) -> None:
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _run(self, course: Course, wanted: Wanted | None) -> None:
        try:
            if wanted is not None:
                await self._note_ports(course)
                if not await course.keep() and self._forgettable(wanted):
                    await course.end(Outcome.CANCELLED, f"it could not be written down: {self._tools.journal.trouble}")
            await course.run()
        except Exception:  # the edge of the task: said, and the process goes on serving
            log.exception("restart %s failed", course.restart.id)
            await course.end(Outcome.FAILED, "a fault in the agent; see its log")
        finally:
            self._over(course)

    def _over(self, course: Course) -> None:
        """It is under way until here, and counts from here on; a task that was cancelled leaves it open."""
        restart, id_ = course.restart, course.restart.process
        course.subject.release()
        self.clearance.over(restart, asked=course.asked)
        if self._courses.get(id_) is course:
            del self._courses[id_]
        self._families.pop(id_, None)
        if not restart.open:
            self._past.add(restart)
            if restart.outcome in (Outcome.DONE, Outcome.NO_SUCCESSOR):
                self._count(restart, course.place)
        self._phase(id_)

    async def _note_ports(self, course: Course) -> None:
        ports = await self._ground.ports(course.restart.process)
        course.restart = replace(course.restart, ports=tuple(sorted(ports or ())))

    def _forgettable(self, wanted: Wanted) -> bool:
        """Whether a restart that is not written down is one too many. People may ask for it all the same."""
        if wanted.trigger.reason is RestartReason.REQUESTED:
            return False
        standing = replace(self.standing(wanted), busy=None)
        return refusal(wanted.rules, standing, self._clock.wall()) is not None

    async def _take_up(self, restart: Restart) -> None:
        """What an agent left open that died, or was stopped, in the middle."""
        name = f"{restart.name.process}/{restart.name.worker}"
        over = self._called_off(restart)
        if over is not None:
            await Course(over, self._tools, lambda: None).keep()
            self._past.add(over)
            if not (over.outcome is Outcome.FAILED and _in_doubt(restart) and restart.boot == self._boot):
                self.clearance.give_back(over)
            return
        log.warning("%s: a restart that was under way is taken up again at %s", name, restart.stage)
        if restart.process.visible and not self._ground.discovery.alive(restart.process):
            self._tell_of_an_end_unseen(restart)
        if restart.stage is Stage.SUCCESSOR:
            restart = replace(restart, stage_since=self._clock.monotonic())  # nobody has looked for it meanwhile
        self._carry_out(restart, None)

    def _called_off(self, restart: Restart) -> Restart | None:
        """The restart at its end, where it can't be gone on with, or the settings don't want it any more."""
        over = replace(restart, ended_wall=self._clock.wall())
        if restart.boot != self._boot:
            return _after_another_boot(over)
        if restart.process in self._courses:
            return replace(over, outcome=Outcome.FAILED, note="there is another of the same process")
        visible = restart.process.visible
        process = self._ground.discovery.identify(restart.process.pid) if visible else None
        if visible and (process is None or process.id != restart.process):
            return None  # it has ended: whoever follows it is awaited
        course = Course(restart, self._tools, lambda: None)
        if course.stale():
            return replace(over, outcome=Outcome.CANCELLED, note="no agent was there for too long")
        why = self._unwanted(course, process)
        if why and _in_doubt(restart):
            return replace(over, outcome=Outcome.FAILED, note=f"{why}; whether it was asked to end is not known")
        return replace(over, outcome=Outcome.CANCELLED, note=why) if why else None

    def _unwanted(self, course: Course, process: Process | None) -> str:
        """Why a restart whose process runs is not gone on with; empty: it is."""
        if process is not None:
            self._families[process.id] = process
            rules = self._watch.restart_rules_for(process)
            if not course.asked and (rules is None or rules.dry_run):
                return "the settings do not want it any more"
        return "" if course.asked or not course.restart.plan.lease else "others may have had its place meanwhile"

    def _tell_of_an_end_unseen(self, restart: Restart) -> None:
        if restart.stage in (Stage.SUCCESSOR, Stage.AFTER):
            return
        reason = ExitReason.MEMORY_RESTART if restart.stage in ASKED else ExitReason.UNKNOWN
        text = f"ended while no agent was there, at stage {restart.stage} of its restart"
        name, pid = restart.name, restart.process.pid
        event = Event(self._clock.wall(), EventKind.EXIT, reason, text, name.process, name.worker, pid, restart.id)
        self._tools.journal.append(event)

    def _phase(self, process: ProcessId) -> None:
        """Let health say what is being done with this process."""
        course = self._courses.get(process)
        phases = self._watch.phases
        if course is not None and course.restart.open:
            restart = course.restart
            state = HealthState.RESTARTING if restart.stage in ASKED else HealthState.DRAINING
            reason = Reason(ReasonCode.RESTART, f"restart, stage {restart.stage}: {restart.trigger.text}")
            phases[process] = Phase(state, reason, restart.stage_since)
        elif process in phases and phases[process].reason.code is ReasonCode.RESTART:
            del phases[process]
        if course is None and (by_hand := self._by_hand.pop(process, None)) and self._watch.known(process):
            phases[process] = by_hand
        self._watch.mark(process)

    def _count(self, restart: Restart, place: Place | None) -> None:
        key = (placed(restart.name, place), restart.trigger.reason, restart.dry_run)
        counts = {**self.counts, key: self.counts.get(key, 0) + 1}
        if len(counts) > MOST_NAMES:
            del counts[next(iter(counts))]
        self.counts = counts

    def busy(self, name: str) -> str | None:
        """Which process of this name is being restarted. One is until its outcome is kept and counts in the budget."""
        names = (course.restart.name for course in self._courses.values())
        return next((f"{one.process}/{one.worker}" for one in names if one.process == name), None)

    def busy_in(self, cgroup: str) -> bool:
        """Whether a process of this cgroup is being restarted."""
        return any(course.cgroup == cgroup for course in self._courses.values())

    def forget_drain(self, process: ProcessId) -> None:
        """It is not to be drained again when its restart has come to nothing."""
        self._by_hand.pop(process, None)

    def _below(self, process: ProcessId, pid: int) -> bool:
        family = self._families.get(process)
        above = [ancestor.pid for ancestor in family.ancestors] if family else []
        return pid == process.pid or pid in above


def _in_doubt(restart: Restart) -> bool:
    """Whether its agent died just as it asked the process to end: it counts in the budget as if it had been asked."""
    return restart.stage is Stage.TERMINATE and not restart.signalled


def _after_another_boot(over: Restart) -> Restart:
    """Neither its process nor its times mean anything now. A pod that was evicted has left its node, as it should."""
    if over.plan.method is Method.EVICT and over.signalled:
        return replace(over, outcome=Outcome.DONE, note="its pod was evicted, and the agent's with it")
    return replace(over, outcome=Outcome.FAILED, note="the machine was started anew in the middle of it")
