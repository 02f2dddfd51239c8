"""What must be had from elsewhere before a restart begins: a word from who carries it out, and a place among replicas.

Each is asked for in a task of its own, so that decisions only look at the answer that is there. A place is renewed
until its restart is over; one that is not wanted any more is given back.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Method, Outcome, Plan, Restart
from heapwarden.policy.coordination import lead_seconds, place_seconds
from heapwarden.policy.safety import Refusal
from heapwarden.ports import Clock, Coordinator, NotYet, Permission

log = logging.getLogger(__name__)

COORDINATION = "coordination"
"""Code of what waits for a place."""
RENEW_SECONDS = 5.0
"""Between two renewals of a place, and while a restart that is cleared has not begun."""
LEAVE_ATTEMPTS = 3
STOP_SECONDS = 3.0
"""For giving back places when the agent stops."""


@dataclass(slots=True)
class _Claim:
    restart: Restart
    refused: Refusal
    good_until: float = float("-inf")
    """Monotonic. Until then its process may be asked to end."""
    lost: str = ""
    wanted: bool = True
    """Whether anybody has asked about it since the last :meth:`Clearance.sweep`."""
    begun: bool = False
    tried: bool = False
    """Whether it may have a place."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Clearance:
    """Of all restarts of one agent. Lives on the event loop."""

    def __init__(
        self,
        coordinator: Coordinator,
        permissions: Mapping[Method, Permission],
        clock: Clock,
        on_answer: Callable[[ProcessId], None],
    ) -> None:
        """``permissions`` for methods that need one; ``on_answer`` hears whose answer has changed."""
        self._coordinator, self._permissions = coordinator, permissions
        self._clock, self._on_answer = clock, on_answer
        self._claims: dict[ProcessId, _Claim] = {}
        self._leaving: dict[asyncio.Task[None], ProcessId] = {}
        self._stopped = False

    def refusal(self, restart: Restart) -> Refusal | None:
        """Why this restart may not begin now; asked for from the first call on. None: it may, at once."""
        if not self._needed(restart.plan):
            self._drop(restart.process)  # of settings that were
            return None
        if self._stopped:
            return Refusal(COORDINATION, "the agent stops")
        claim = self._claims.get(restart.process)
        if claim is None or _terms(claim.restart) != _terms(restart):
            self._drop(restart.process)
            claim = self._claim(restart, begun=False)
        claim.wanted = True
        return None if self._clock.monotonic() < claim.good_until else claim.refused

    def begun(self, restart: Restart) -> None:
        """It was cleared and begins; or it was under way when the last agent ended, and is gone on with."""
        claim = self._claims.get(restart.process)
        if claim is not None:
            claim.begun = True
        elif restart.plan.lease:
            self._claim(restart, begun=True)

    def lost(self, process: ProcessId) -> str:
        """Why a restart that has begun, and whose process was not asked to end yet, must not go on; empty: it may."""
        claim = self._claims.get(process)
        if claim is None or not claim.restart.plan.lease or self._clock.monotonic() < claim.good_until:
            return ""
        return claim.lost or "its place could not be renewed in time"

    def over(self, restart: Restart, *, asked: bool) -> None:
        """It has come to its outcome, or to the end of this agent. ``asked``: its process was asked to end.

        Its place is given back where a process serves. Else it stays taken until it ends by itself: where no successor
        came, where what was asked to end may still do so, and where the next agent goes on.
        """
        failed = restart.outcome is Outcome.FAILED and asked
        keeps = restart.open or restart.outcome is Outcome.NO_SUCCESSOR or failed
        self._drop(restart.process, leave=not keeps)

    def give_back(self, restart: Restart) -> None:
        """The last agent has left it open, and it is called off."""
        if restart.plan.lease and restart.process not in self._claims:
            self._end(_Claim(restart, Refusal(COORDINATION, "it is called off"), tried=True), leave=True)

    def sweep(self) -> None:
        """Give back what nobody has asked about since the last time."""
        for process, claim in list(self._claims.items()):
            if not (claim.wanted or claim.begun):
                self._drop(process)
            claim.wanted = False

    async def stop(self) -> None:
        """Give back what has not begun, as far as that can be done soon; end all tasks. Nothing is cleared any more."""
        self._stopped = True
        for process, claim in list(self._claims.items()):
            self._drop(process, leave=not claim.begun)
        leaving = list(self._leaving)
        if leaving:
            await asyncio.wait(leaving, timeout=STOP_SECONDS)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    def _needed(self, plan: Plan) -> bool:
        return bool(plan.lease) or plan.method in self._permissions

    def _claim(self, restart: Restart, *, begun: bool) -> _Claim:
        what = f"lease {restart.plan.lease}" if restart.plan.lease else "the Kubernetes API"
        code = COORDINATION if restart.plan.lease else "method"
        claim = _Claim(restart, Refusal(code, f"{what} is being asked"), begun=begun)
        self._claims[restart.process] = claim
        claim.task = asyncio.create_task(self._pursue(claim), name=f"clearance {restart.process.pid}")
        return claim

    def _drop(self, process: ProcessId, *, leave: bool = True) -> None:
        claim = self._claims.pop(process, None)
        if claim is not None:
            self._end(claim, leave=leave)

    def _end(self, claim: _Claim, *, leave: bool) -> None:
        process = claim.restart.process
        task = asyncio.create_task(self._ended(claim, leave=leave), name=f"clearance of {process.pid} ends")
        self._leaving[task] = process
        task.add_done_callback(self._leaving.pop)

    async def _ended(self, claim: _Claim, *, leave: bool) -> None:
        if claim.task is not None:
            claim.task.cancel()
            await asyncio.gather(claim.task, return_exceptions=True)
        for attempt in range(LEAVE_ATTEMPTS if leave and claim.tried else 0):
            if await self._coordinator.leave(claim.restart):
                return
            await self._clock.sleep(1.0 + attempt)

    async def _pursue(self, claim: _Claim) -> None:
        before = [task for task, process in self._leaving.items() if process == claim.restart.process]
        if before:  # what earlier claims give back must not be this one's
            await asyncio.wait(before)
        while True:
            try:
                wait = await self._turn(claim)
            except Exception:  # the edge of the task: no answer is no clearance
                log.exception("clearance of %s/%s failed", claim.restart.name.process, claim.restart.name.worker)
                wait = RENEW_SECONDS
            if claim.begun and not claim.restart.plan.lease:
                return
            await self._clock.sleep(wait)

    async def _turn(self, claim: _Claim) -> float:
        """Ask once for all that is needed; how long to wait before the next time."""
        asked_at, had = self._clock.monotonic(), claim.good_until
        refused = await self._refused(claim)
        if refused is None:
            claim.good_until = asked_at + lead_seconds(claim.restart.plan)
            if self._clock.monotonic() >= had:
                self._on_answer(claim.restart.process)
            return RENEW_SECONDS
        claim.lost, claim.refused = refused.text, Refusal(refused.code, refused.text)
        if refused.sure or not claim.begun:
            claim.good_until = float("-inf")
        return min(refused.again_seconds, RENEW_SECONDS) if claim.begun else refused.again_seconds

    async def _refused(self, claim: _Claim) -> NotYet | None:
        """By whoever carries it out first: a place is not kept from others while that is not possible."""
        plan = claim.restart.plan
        permission = self._permissions.get(plan.method)
        if permission is not None and not claim.begun:
            refused = await permission.ask(claim.restart)
            if refused is not None and not claim.begun:
                claim.good_until = float("-inf")  # at once: it must not begin while its place is given back
                if claim.tried:
                    claim.tried = not await self._coordinator.leave(claim.restart)
                return refused
        if not plan.lease:
            return None
        claim.tried = True
        return await self._coordinator.take(claim.restart, place_seconds(plan))


def _terms(restart: Restart) -> tuple[Name, Plan]:
    """What it was cleared for: its place is under its name, and for as long as its stages may take."""
    return restart.name, restart.plan
