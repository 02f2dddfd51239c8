"""One restart carried out: what each stage does, each step kept in the journal before the next is taken."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heapwarden.domain.errors import ActuationError
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.restart import Hook, Method, Outcome, Restart, Stage
from heapwarden.policy.stages import End, Facts, Move, step
from heapwarden.ports import Actuator, Journal, Reporters, RunHook
from heapwarden.runtime.clearance import Clearance
from heapwarden.runtime.subject import Ground, Subject
from heapwarden.runtime.telling import describe, figures_of, level

if TYPE_CHECKING:
    from heapwarden.domain.place import Place

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""Between two looks at a restart that waits; there is one at a time of each name."""
ASKED = frozenset({Stage.TERMINATE, Stage.KILL, Stage.SUCCESSOR, Stage.AFTER})
"""Stages of a process that was asked to end."""
AWAY_SECONDS = 60.0
"""So much later than a stage should have been over, nobody knows whether the restart is still wanted."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a restart is carried out with."""

    ground: Ground
    journal: Journal
    reporters: Reporters
    actuators: Mapping[Method, Actuator]
    run_hook: RunHook
    clearance: Clearance


class Course:
    """One restart from where it stands to its outcome."""

    def __init__(self, restart: Restart, tools: Tools, on_change: Callable[[], None]) -> None:
        """``on_change`` is called with each step, before it is in the journal."""
        self.restart = restart
        self.drained = False
        """The app has said so."""
        self.cancelled = ""
        """Why somebody does not want it any more."""
        self.asked = restart.stage in ASKED and (restart.signalled or restart.stage is not Stage.TERMINATE)
        """Whether its process was asked to end. One that ended before has ended by itself."""
        self.subject = Subject(restart, tools.ground)
        self.cgroup = ""
        """Of the container that its process is in; empty where that is not known."""
        self.place: Place | None = None
        """Of its process, as it was at the begin."""
        self._tools, self._clock = tools, tools.ground.clock
        self._on_change = on_change
        self._hooks: asyncio.Task[str] | None = None

    async def run(self) -> None:
        """Carry it out; cancelled in the middle, it stays open in the journal for the next agent."""
        if not self.restart.open:
            return
        try:
            await self.subject.found()
            await self._act()
            while self.restart.open:
                facts = await self._facts()
                now = self._clock.monotonic()
                following = step(self.restart, facts, now)
                if following is None:
                    await self._clock.sleep(POLL_SECONDS)
                else:
                    await self._take(following, now)
        finally:
            self.subject.release()
            if self._hooks is not None:
                self._hooks.cancel()

    async def end(self, outcome: Outcome, note: str) -> None:
        """It is over."""
        self.restart = replace(self.restart, outcome=outcome, ended_wall=self._clock.wall(), note=note)
        await self.keep()

    def stale(self) -> bool:
        """Whether its stage should have been over so long ago that nobody can say whether it is still wanted."""
        plan, stage = self.restart.plan, self.restart.stage
        longest = {
            Stage.DRAIN: plan.drain_seconds + sum(hook.timeout_seconds for hook in plan.before),
            Stage.BEFORE: sum(hook.timeout_seconds for hook in plan.before),
            Stage.TERMINATE: plan.grace_seconds,
            Stage.KILL: 0.0,
        }
        left_for = self._clock.monotonic() - self.restart.stage_since
        return stage in longest and left_for > longest[stage] + AWAY_SECONDS

    async def keep(self) -> bool:
        """Bring the restart as it stands into the log, the snapshot and the journal; whether it is safe there."""
        restart = self.restart
        what, text = restart.outcome or restart.stage, describe(restart)
        name = f"{restart.name.process}/{restart.name.worker}"
        extra = {"pid": restart.process.pid, "restart": restart.id, "stage": what}
        log.log(level(restart), "%s: %s", name, text, extra=extra)
        self._on_change()
        event = Event(
            wall=self._clock.wall(),
            kind=EventKind.RESTART,
            what=what,
            text=text,
            process=restart.name.process,
            worker=restart.name.worker,
            pid=restart.process.pid,
            restart=restart.id,
            figures=figures_of(self.subject.watched) or restart.figures,
        )
        return await self._tools.journal.save(restart, event)

    async def _take(self, following: Move | End, now: float) -> None:
        note = "; ".join(part for part in (self.restart.note, following.note, self._hooks_note()) if part)
        match following:
            case Move(stage=stage):
                self.restart = replace(self.restart, stage=stage, stage_since=now, signalled=False, note=note)
                await self.keep()
                await self._act()
            case End(outcome=outcome):
                await self.end(outcome, note)

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
        """A signal that may be out or not is better sent twice than never; what another manager was asked, is not."""
        actuator = self._tools.actuators[self.restart.plan.method]
        killing = self.restart.stage is Stage.KILL
        self.asked = True  # before it is: the end may be seen before the call returns
        if not actuator.kills:
            self.restart = replace(self.restart, signalled=True)
            await self.keep()
        try:
            note = await (actuator.kill if killing else actuator.terminate)(self.restart)
        except ActuationError as error:
            if self._alive():  # else it was faster
                self.asked = killing or error.in_doubt
                await self.end(Outcome.FAILED, f"{error}")
            return
        note = "; ".join(part for part in (self.restart.note, note) if part)
        self.restart = replace(self.restart, signalled=True, stage_since=self._clock.monotonic(), note=note)
        if actuator.kills:
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

    async def _facts(self) -> Facts:
        restart, watched = self.restart, self.subject.watched
        return Facts(
            alive=self._alive(),
            kills=self._tools.actuators[restart.plan.method].kills,
            drained=self.drained,
            cancelled=self.cancelled or self.subject.unwanted() or self._tools.clearance.lost(restart.process),
            hooks_done=self._hooks is None or self._hooks.done(),
            limit_in_seconds=watched.findings.limit_in_seconds if watched is not None else None,
            successor=restart.stage is Stage.SUCCESSOR and await self.subject.served(restart),
        )

    def _alive(self) -> bool:
        return self.subject.alive(asked=self.asked)
