"""Ways to act that only remember what they were asked for, and do to a fake machine what a test says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from heapwarden.domain.errors import ActuationError
from heapwarden.domain.findings import Limit, PressureLevel
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Hook, Restart
from heapwarden.ports import NotYet


@dataclass
class FakeActuator:
    """Remembers; ``on_terminate`` and ``on_kill`` are what becomes of the process."""

    kills: bool = True
    on_terminate: Callable[[Restart], None] = lambda _restart: None
    on_kill: Callable[[Restart], None] = lambda _restart: None
    refuses: str | None = None
    """Why nothing can be done."""
    terminated: list[Restart] = field(default_factory=list)
    killed: list[Restart] = field(default_factory=list)

    async def terminate(self, restart: Restart) -> None:
        """Remember, then act."""
        if self.refuses is not None:
            raise ActuationError(self.refuses)
        self.terminated.append(restart)
        self.on_terminate(restart)

    async def kill(self, restart: Restart) -> None:
        """Remember, then act."""
        self.killed.append(restart)
        self.on_kill(restart)


@dataclass
class FakePermission:
    """Says what it is told to say."""

    refuses: NotYet | None = None
    asked: list[Restart] = field(default_factory=list)

    async def ask(self, restart: Restart) -> NotYet | None:
        """Remember, then answer; others run meanwhile."""
        await asyncio.sleep(0)
        self.asked.append(restart)
        return self.refuses


@dataclass
class FakeCoordinator:
    """Gives everybody a place, unless it is told not to."""

    refuses: NotYet | None = None
    taken: list[Restart] = field(default_factory=list)
    """Every time that a place was taken or renewed."""
    left: list[Restart] = field(default_factory=list)

    async def take(self, restart: Restart, seconds: float) -> NotYet | None:  # noqa: ARG002  the port's
        """Remember, then answer; others run meanwhile."""
        await asyncio.sleep(0)
        if self.refuses is None:
            self.taken.append(restart)
        return self.refuses

    async def leave(self, restart: Restart) -> bool:
        """Remember."""
        await asyncio.sleep(0)
        self.left.append(restart)
        return True


@dataclass
class FakeReporters:
    """Remembers what apps would be told."""

    connected: bool = True
    said: list[tuple[str, ProcessId]] = field(default_factory=list)

    def _say(self, what: str, process: ProcessId) -> bool:
        if self.connected:
            self.said.append((what, process))
        return self.connected

    def pressure(self, process: ProcessId, level: PressureLevel, ratio: float, nearer: Limit) -> bool:  # noqa: ARG002  the port's
        """Remember."""
        return self._say(f"pressure {level}", process)

    def drain(self, process: ProcessId, within_seconds: float) -> bool:  # noqa: ARG002  the port's
        """Remember."""
        return self._say("drain", process)

    def collect(self, process: ProcessId) -> bool:
        """Remember."""
        return self._say("collect", process)

    def raise_signal(self, process: ProcessId, name: str) -> bool:
        """Remember."""
        return self._say(name, process)


@dataclass(frozen=True)
class FakeHookResult:
    """How a hook went."""

    ok: bool
    text: str


@dataclass
class FakeHooks:
    """Runs nothing; ``failing`` are the commands that go wrong."""

    failing: tuple[str, ...] = ()
    ran: list[tuple[str, str]] = field(default_factory=list)
    """Command and the stage it ran in."""

    async def __call__(self, hook: Hook, restart: Restart) -> FakeHookResult:
        """Remember."""
        command = hook.command[0]
        self.ran.append((command, restart.stage))
        return FakeHookResult(command not in self.failing, f"{command}: exit code 1")
