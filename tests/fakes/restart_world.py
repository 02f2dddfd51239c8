"""A fake machine with a real watch and real restarts on it, whose time passes only when a test lets it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from fakes import figures
from fakes.acting import FakeActuator, FakeCoordinator, FakeHooks, FakePermission, FakeReporters
from fakes.clock import FakeClock
from fakes.discovery import FakeDiscovery
from fakes.figures import MIB
from fakes.journal import FakeJournal
from heapwarden.domain.event import EventKind
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.restart import Method, Plan, Restart
from heapwarden.domain.sample import KernelFigures
from heapwarden.policy.matching import Watchlist
from heapwarden.policy.restart import MemoryRule, RestartRules
from heapwarden.runtime.clearance import Clearance
from heapwarden.runtime.course import Tools
from heapwarden.runtime.decisions import Decisions
from heapwarden.runtime.requests import Requests
from heapwarden.runtime.restarts import Restarts
from heapwarden.runtime.subject import Ground
from heapwarden.runtime.watch import Watch

LIMIT = 200 * MIB
AT_ONCE = RestartRules(max_memory=MemoryRule(LIMIT, 0.0), min_uptime_seconds=0.0, plan=Plan(drain_seconds=5.0))
BOOT = "a-boot"
METHODS = (Method.SIGNAL, Method.SUPERVISE, Method.NONE, Method.REPORTER, Method.EVICT)


class World:
    """A machine, a watch, and restarts that act on that machine."""

    def __init__(
        self,
        rules: RestartRules = AT_ONCE,
        journal: FakeJournal | None = None,
        apps: int = 1,
        clock: FakeClock | None = None,
    ) -> None:
        """``apps`` processes of one name, that end when they are asked to and have a successor at once."""
        self.clock: FakeClock = clock or FakeClock()
        self.journal = journal or FakeJournal()
        self.started = 0
        self.apps = [self.an_app(pid=100 + n) for n in range(apps)]
        self.discovery = FakeDiscovery(*self.apps)
        self.reporters, self.hooks = FakeReporters(), FakeHooks()
        self.actuator = FakeActuator(on_terminate=self.end, on_kill=self.end)
        self.coordinator, self.permission = FakeCoordinator(), FakePermission()
        self.successors = True
        self.step = 0.5
        self.ports: dict[ProcessId, frozenset[int]] = {}
        self.rss: dict[Process, int] = {}
        self.begin(rules)

    def begin(self, rules: RestartRules) -> None:
        """A new agent on the same machine, with the same journal."""
        self.watch = Watch(Watchlist(default_restart=rules), discovery=self.discovery, clock=self.clock)
        ground = Ground(self.watch, self.discovery, self.clock, self.listens)
        tools = Tools(
            ground,
            self.journal,
            self.reporters,
            dict.fromkeys(METHODS, self.actuator),
            self.hooks,
            Clearance(self.coordinator, {Method.EVICT: self.permission}, self.clock, self.watch.mark),
        )
        self.restarts = Restarts(tools, default_method=Method.SIGNAL, boot=BOOT)
        Decisions(self.restarts, self.watch, reporters=self.reporters, journal=self.journal, clock=self.clock)
        self.requests = Requests(self.restarts, self.watch, self.clock)
        self.watch.on_admitted = self.restarts.admitted

    async def listens(self, process: ProcessId) -> frozenset[int] | None:
        """Where this process listens."""
        return self.ports.get(process)

    def an_app(self, pid: int) -> Process:
        """One that starts now, after all others."""
        self.started += 1
        return replace(figures.process(pid=pid, start=self.started), started_at=self.clock.wall())

    def end(self, restart: Restart) -> None:
        """The process ends, and whoever is in charge brings a new one."""
        process = self.discovery.running.pop(restart.process)
        if self.successors:
            successor = self.an_app(process.id.pid + 1_000)
            self.discovery.running[successor.id] = successor

    def grow(self, process: Process, rss: int = LIMIT) -> None:
        """So much resident memory from now on."""
        self.rss[process] = rss

    def tick(self) -> None:
        """One turn of the tick."""
        now = self.clock.monotonic()
        self.watch.found(self.discovery.scan())
        kernel = {p.id: KernelFigures(now, self.rss.get(p, 80 * MIB), 0, 1, 1, 11) for p in self.watch.processes}
        self.watch.read("procfs", kernel, kernel)
        for process in self.watch.processes:
            self.watch.heap_figures(process, figures.heap(figures.isolate(taken_at=now)))
        self.watch.mark_all()
        self.watch.judge()
        self.watch.publish(tick_ended=True)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let time pass tick by tick; restarts that wait make it pass too."""
        for _ in range(3_000):
            if condition():
                return
            self.tick()
            self.clock.advance(0.1)
            for _ in range(5):
                await asyncio.sleep(0)
        raise AssertionError(f"it did not come true; the journal has {self.stages()}")

    def stages(self) -> list[str]:
        """What the journal has of restarts, in order, each once."""
        told = [event.what for event in self.journal.events if event.kind is EventKind.RESTART]
        return [what for place, what in enumerate(told) if place == 0 or told[place - 1] != what]

    def held(self) -> str | None:
        """Why the first process's restart is held."""
        (first, *_) = self.watch.snapshot.processes
        return None if first.held is None else first.held.code

    def state(self, process: Process) -> HealthState | None:
        """How it is."""
        known = self.watch.known(process.id)
        return None if known is None else known.verdict.state

    def last(self) -> Restart:
        """The restart that was saved last."""
        return self.journal.saves[-1]

    def over(self) -> bool:
        """Whether a restart has come to its outcome."""
        return bool(self.journal.saves) and not self.last().open

    def grow_all(self) -> None:
        """Everybody is at the limit from now on."""
        for process in self.watch.processes:
            self.grow(process)

    async def pass_time(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """So long, a tick each :attr:`step`, with ``each`` before it."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            each()
            self.tick()
            self.clock.advance(self.step)
            for _ in range(5):
                await asyncio.sleep(0)
