"""Keeps one command running: starts it again when it has ended, as the policy says, until it is asked to stop."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from heapwarden.actuators.supervise import shell_code
from heapwarden.domain.errors import CommandNotStartedError
from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import ProcessId
from heapwarden.ports import Clock

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 1.0, 30.0
LIVED_WELL_SECONDS = 60.0
"""After so long a life the wait begins anew."""
GONE_SECONDS = 10.0
"""So long what the command left behind may take to end: it may hold the port that the next one needs."""

STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
"""Signals by which somebody asks the command to end, so that it is not started again."""


class RestartPolicy(StrEnum):
    """After which ends the command is started again; after a restart that Heapwarden makes it always is."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    """After an exit code other than 0, or a signal."""
    ALWAYS = "always"

    def wants(self, code: int) -> bool:
        """Whether it is to be started again after an end with ``code``, a shell's."""
        return self is RestartPolicy.ALWAYS or (self is RestartPolicy.ON_FAILURE and code != 0)


class Backoff:
    """How long to wait before the next start: doubled each time, and forgotten after a long life."""

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self._next_seconds = FIRST_WAIT_SECONDS

    def wait_seconds(self, lived_seconds: float) -> float:
        """After an end that came ``lived_seconds`` after the start."""
        if lived_seconds >= LIVED_WELL_SECONDS:
            self._next_seconds = FIRST_WAIT_SECONDS
        wait = self._next_seconds
        self._next_seconds = min(2 * wait, MOST_WAIT_SECONDS)
        return wait


class Running(Protocol):
    """A started command; see :class:`~heapwarden.actuators.supervise.Child`."""

    @property
    def id(self) -> ProcessId:
        """Who it is."""

    @property
    def ended(self) -> bool:
        """Whether :meth:`wait` has seen its end."""

    def signal(self, number: int) -> None:
        """Hand a signal on."""

    async def wait(self) -> ExitStatus:
        """Wait for its end."""

    def reap_others(self) -> None:
        """Bury orphans that have ended."""


class Overseer(Protocol):
    """Who knows of restarts: the agent."""

    def restarting(self, pid_of_child: int) -> bool:
        """Whether the end of this child belongs to a restart that Heapwarden makes."""

    def child_ended(self, process: ProcessId, status: ExitStatus) -> None:
        """Hear how it ended."""


class Remains(Protocol):
    """What a command has left behind; see :class:`~heapwarden.actuators.orphans.Orphans`."""

    def left(self) -> list[int]:
        """Pids of processes that still run."""

    async def gone(self) -> None:
        """Wait until none is left."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of the command."""

    code: int
    """As a shell gives it."""
    text: str
    lived_seconds: float = 0.0
    ours: bool = False
    """Heapwarden ended it, to start it again."""


class Keeper:
    """Keeps one command. Lives on the event loop; signals come in by :meth:`hear`."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Running],
        *,
        policy: RestartPolicy,
        overseer: Overseer,
        remains: Remains,
        clock: Clock,
    ) -> None:
        """``start`` starts the command, which logs call ``name``, or raises CommandNotStartedError."""
        self._name = name
        self._start = start
        self._policy = policy
        self._overseer = overseer
        self._remains = remains
        self._clock = clock
        self._backoff = Backoff()
        self._child: Running | None = None
        self._starts = 0
        self._began = 0.0
        self._asked: tuple[int, float] | None = None
        self._stop = asyncio.Event()

    async def keep(self, started: Callable[[], None] = lambda: None) -> int:
        """Start it, tell that by ``started``, and go on until it has ended and is not to be started again.

        The exit code is that of its last end, or 128 + N where signal N asked it to stop while it did not run.
        Raises CommandNotStartedError: the first start failed.
        """
        child = self._begin()
        log.info("started %s", self._name, extra={"pid": child.id.pid})
        started()
        end = await self._live(child)
        while self._again(end):
            if not await self._pause(end):
                return shell_code(ExitStatus(signal=self._asked[0])) if self._asked else end.code
            end = await self._next(end)
        return end.code

    def hear(self, number: int, from_terminal: bool) -> None:
        """A signal came. One from the terminal has reached the command already (see ``cli.signals``)."""
        child = self._child
        if child is None:
            return
        if number == signal.SIGCHLD:
            child.reap_others()
            return
        if number in STOPS and (self._asked is None or self._asked[0] == signal.SIGHUP):
            self._asked = (number, self._clock.monotonic())
        if child.ended:
            log.debug("signal %d came while %s did not run", number, self._name)
            if number in STOPS:
                self._stop.set()
        elif not from_terminal:
            child.signal(number)

    def _begin(self) -> Running:
        self._began = self._clock.monotonic()
        self._child = self._start()
        self._starts += 1
        return self._child

    async def _live(self, child: Running) -> End:
        """From its start to its end."""
        status = await child.wait()
        code = shell_code(status)
        self._overseer.child_ended(child.id, status)
        ours = self._overseer.restarting(child.id.pid)
        what = {"pid": child.id.pid, "exit_code": code}
        log.info("%s ended with exit code %d%s", self._name, code, ", to be restarted" if ours else "", extra=what)
        text = "its restart by Heapwarden" if ours else f"exit code {code}"
        return End(code, text, self._clock.monotonic() - self._began, ours)

    def _again(self, end: End) -> bool:
        return not self._asked_to_stop() and (end.ours or self._policy.wants(end.code))

    def _asked_to_stop(self) -> bool:
        """Whether it was. An app that lives on after SIGHUP has taken it for "read your settings again"."""
        if self._asked is None:
            return False
        number, at = self._asked
        return number != signal.SIGHUP or self._clock.monotonic() - at < LIVED_WELL_SECONDS

    async def _pause(self, end: End) -> bool:
        """Wait as long as is due before the next start; False: a stop was asked for."""
        if not end.ours:
            wait = self._backoff.wait_seconds(end.lived_seconds)
            log.warning("starting %s again in %g s", self._name, wait, extra={"wait_seconds": wait})
            if not await self._unless_stopped(self._clock.sleep(wait)):
                return False
        return not self._remains.left() or await self._wait_for_remains()

    async def _wait_for_remains(self) -> bool:
        log.info("waiting for what %s has left behind: pid %s", self._name, _listed(self._remains.left()))
        if not await self._unless_stopped(self._remains.gone(), self._clock.sleep(GONE_SECONDS)):
            return False
        if left := self._remains.left():
            text = "%s is started again though it has left processes behind: its port may still be taken by pid %s"
            log.warning(text, self._name, _listed(left), extra={"pids": left})
        return True

    async def _next(self, before: End) -> End:
        """Start it again, and wait for its end. Not to start is an end, too."""
        try:
            child = self._begin()
        except CommandNotStartedError as error:
            log.error("%s", error)  # noqa: TRY400  the text is whole
            return End(error.exit_code, f"exit code {error.exit_code}")
        what = {"pid": child.id.pid, "starts": self._starts}
        log.info("started %s again (%s time) after %s", self._name, _ordinal(self._starts), before.text, extra=what)
        return await self._live(child)

    async def _unless_stopped(self, *work: Coroutine[Any, Any, None]) -> bool:
        """Wait for the first of ``work``; False at once when a stop is asked for."""
        tasks = [asyncio.create_task(one) for one in (self._stopped(), *work)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return not self._stop.is_set()

    async def _stopped(self) -> None:
        await self._stop.wait()


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _listed(pids: list[int]) -> str:
    shown = ", ".join(map(str, pids[:10]))
    return f"{shown} and {len(pids) - 10} more" if len(pids) > 10 else shown  # noqa: PLR2004  a line's worth
