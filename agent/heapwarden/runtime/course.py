"""One restart carried out: what each stage does, each step kept in the journal before the next is taken."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from heapwarden.domain.errors import ActuationError
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.health import HealthState
from heapwarden.domain.restart import Hook, Method, Outcome, Restart, Stage
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.stages import End, Facts, Move, step
from heapwarden.ports import Actuator, Clock, Discovery, Journal, Reporters, RunHook
from heapwarden.runtime.telling import describe, figures_of, level
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""Between two looks at a restart that waits; there is one at a time of each name."""
ASKED = frozenset({Stage.TERMINATE, Stage.KILL, Stage.SUCCESSOR, Stage.AFTER})
"""Stages of a process that was asked to end."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a restart is carried out with."""

    watch: Watch
    discovery: Discovery
    journal: Journal
    reporters: Reporters
    actuators: Mapping[Method, Actuator]
    run_hook: RunHook
    clock: Clock


class Course:
    """One restart from where it stands to its outcome."""

    def __init__(self, restart: Restart, tools: Tools, on_change: Callable[[], None]) -> None:
        """``on_change`` is called after each step, once it is in the journal."""
        self.restart = restart
        self.drained = False
        """The app has said so."""
        self.cancelled = False
        """Somebody has undrained it."""
        self.asked = restart.stage in ASKED and (restart.signalled or restart.stage is not Stage.TERMINATE)
        """Whether its process was asked to end. One that ended before has ended by itself."""
        self._tools = tools
        self._on_change = on_change
        self._hooks: asyncio.Task[str] | None = None

    async def run(self) -> Restart:
        """Carry it out; cancelled in the middle, it stays open in the journal for the next agent."""
        try:
            await self._act()
            while self.restart.open:
                now = self._tools.clock.monotonic()
                following = step(self.restart, self._facts(), now)
                if following is None:
                    await self._tools.clock.sleep(POLL_SECONDS)
                else:
                    await self._take(following, now)
        finally:
            if self._hooks is not None:
                self._hooks.cancel()
        return self.restart

    async def _take(self, following: Move | End, now: float) -> None:
        note = "; ".join(part for part in (self.restart.note, following.note, self._hooks_note()) if part)
        match following:
            case Move(stage=stage):
                self.restart = replace(self.restart, stage=stage, stage_since=now, signalled=False, note=note)
                await self.keep()
                await self._act()
            case End(outcome=outcome):
                await self._end(outcome, note)

    async def _end(self, outcome: Outcome, note: str) -> None:
        self.restart = replace(self.restart, outcome=outcome, ended_wall=self._tools.clock.wall(), note=note)
        await self.keep()

    async def keep(self) -> None:
        """Bring the restart as it stands into the journal, the log and the snapshot."""
        restart, clock = self.restart, self._tools.clock
        what = restart.outcome or restart.stage
        text = describe(restart)
        name = f"{restart.name.process}/{restart.name.worker}"
        extra = {"pid": restart.process.pid, "restart": restart.id, "stage": what}
        log.log(level(restart), "%s: %s", name, text, extra=extra)
        self._on_change()
        event = Event(
            wall=clock.wall(),
            kind=EventKind.RESTART,
            what=what,
            text=text,
            process=restart.name.process,
            worker=restart.name.worker,
            pid=restart.process.pid,
            restart=restart.id,
            figures=figures_of(self._tools.watch.known(restart.process)) or restart.figures,
        )
        await self._tools.journal.save(restart, event)

    async def _act(self) -> None:
        """What the present stage begins with; nothing that was done before an agent's death is done twice."""
        restart = self.restart
        match restart.stage:
            case Stage.DRAIN:
                self._tools.reporters.drain(restart.process, restart.plan.drain_seconds)
            case Stage.BEFORE:
                self._hooks = asyncio.create_task(self._run_hooks(restart.plan.before), name="hooks before")
            case Stage.AFTER:
                self._hooks = asyncio.create_task(self._run_hooks(restart.plan.after), name="hooks after")
            case Stage.TERMINATE | Stage.KILL if not restart.signalled:
                await self._actuate()

    async def _actuate(self) -> None:
        actuator = self._tools.actuators[self.restart.plan.method]
        killing = self.restart.stage is Stage.KILL
        self.asked = True  # before it is: the end may be seen before the call returns
        try:
            await (actuator.kill if killing else actuator.terminate)(self.restart)
        except ActuationError as error:
            if not self._alive():  # it was faster
                return
            self.asked = killing
            await self._end(Outcome.FAILED, f"{error}")
            return
        self.restart = replace(self.restart, signalled=True)
        await self.keep()

    async def _run_hooks(self, hooks: tuple[Hook, ...]) -> str:
        """One after the other; what went wrong, in words."""
        wrong = []
        for hook in hooks:
            result = await self._tools.run_hook(hook, self.restart)
            if not result.ok:
                wrong.append(result.text)
        return "; ".join(wrong)

    def _hooks_note(self) -> str:
        """Told once, when the hooks of a stage are over."""
        hooks, self._hooks = self._hooks, None
        if hooks is None:
            return ""
        if not hooks.done():
            hooks.cancel()
            return "hooks were still running"
        with contextlib.suppress(asyncio.CancelledError):
            return hooks.result()
        return ""

    def _facts(self) -> Facts:
        restart = self.restart
        watched = self._tools.watch.known(restart.process)
        return Facts(
            alive=self._alive(),
            kills=self._tools.actuators[restart.plan.method].kills,
            drained=self.drained,
            cancelled=self.cancelled,
            hooks_done=self._hooks is None or self._hooks.done(),
            limit_in_seconds=watched.findings.limit_in_seconds if watched is not None else None,
            successor=restart.stage is Stage.SUCCESSOR and self._successor(),
        )

    def _alive(self) -> bool:
        process = self.restart.process
        if process.visible:
            return self._tools.discovery.alive(process)
        return self._tools.watch.known(process) is not None

    def _successor(self) -> bool:
        """Whether a process of the same name that began after the decision serves."""
        namesakes = self._tools.watch.snapshot.by_name.get(self.restart.name.process, ())
        return any(
            self._later(other) and other.verdict.serving and other.verdict.state is not HealthState.STARTING
            for other in namesakes
        )

    def _later(self, other: Watched) -> bool:
        """By the kernel's ticks; where a reporter in another PID namespace can't read them, by the clock."""
        if other.process.id.start:
            return other.process.id.start > self.restart.newest_start
        return other.process.id != self.restart.process and other.process.started_at > self.restart.wall
