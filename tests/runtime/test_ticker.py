"""The tick, with time and sources in the test's hand."""

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest

from fakes import figures
from fakes.clock import FakeClock
from fakes.discovery import FakeDiscovery
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import KernelFigures, Reading
from heapwarden.policy.matching import Watchlist
from heapwarden.runtime.ticker import Ticker
from heapwarden.runtime.watch import Watch

pytestmark = pytest.mark.anyio


class FakeSource:
    """Kernel figures for everything, until told to hang or to fail."""

    name = "procfs"

    def __init__(self) -> None:
        """Answers."""
        self.hold: threading.Event | None = None
        self.broken = False

    def concerns(self, process: ProcessId) -> bool:
        """All that can be seen, but pid 13."""
        return process.visible and process.pid != 13

    def read(self, processes: Sequence[Process], now: float) -> Mapping[ProcessId, Reading]:
        """80 MiB each."""
        if self.hold is not None:
            self.hold.wait(30)
        if self.broken:
            raise OSError("broken")
        return {process.id: KernelFigures(now, 80 * figures.MIB, 0, 0, 0, 1) for process in processes}


class World:
    """A ticker and all that it touches."""

    def __init__(self, *processes: Process) -> None:
        """With these running."""
        self.clock, self.telemetry, self.source = FakeClock(), FakeTelemetry(), FakeSource()
        self.discovery = FakeDiscovery(*processes)
        self.watch = Watch(Watchlist(), discovery=self.discovery, clock=self.clock)
        self.ticker = Ticker(
            self.watch,
            self.discovery,
            (self.source,),
            clock=self.clock,
            telemetry=self.telemetry,
            interval_seconds=1.0,
        )


async def test_a_turn_measures_judges_and_publishes() -> None:
    """One tick, from nothing to a snapshot."""
    world = World(figures.process())
    await world.ticker.turn()
    (watched,) = world.watch.snapshot.processes
    assert watched.sample.kernel is not None
    assert watched.sample.kernel.rss_bytes == 80 * figures.MIB
    assert watched.verdict.state is HealthState.STARTING
    assert world.watch.snapshot.last_tick_at == world.clock.now
    assert (world.telemetry.watched, len(world.telemetry.tick_seconds)) == (1, 1)


async def test_a_source_is_asked_only_about_what_concerns_it() -> None:
    """Of others it does not read as down."""
    world = World(figures.process(pid=12, start=1), figures.process(pid=13, start=2))
    await world.ticker.turn()
    assert [one.sample.sources for one in world.watch.snapshot.processes] == [{"procfs": True}, {}]


async def test_a_source_that_hangs_costs_no_tick() -> None:
    """The tick ends, the last figures stay, the source reads as down, and it comes back."""
    world = World(figures.process())
    await world.ticker.turn()
    world.source.hold = threading.Event()
    world.ticker.interval_seconds = 0.02
    await world.ticker.turn()
    (watched,) = world.watch.snapshot.processes
    assert watched.sample.kernel is not None, "the last figures stay"
    assert watched.sample.sources == {"procfs": False}
    assert world.telemetry.counts["source", "procfs", "timeout"] == 1
    assert len(world.telemetry.tick_seconds) == 2
    world.source.hold.set()
    world.source.hold = None
    world.ticker.interval_seconds = 20
    await world.ticker.turn()
    assert world.watch.snapshot.processes[0].sample.sources == {"procfs": True}


async def test_a_source_that_fails_costs_no_tick() -> None:
    """Counted, and that is all."""
    world = World(figures.process())
    world.source.broken = True
    await world.ticker.turn()
    assert world.telemetry.counts["source", "procfs", "error"] == 1
    assert len(world.watch.snapshot.processes) == 1


async def test_late_ticks_are_counted_and_not_caught_up() -> None:
    """After a standstill of 3.5 intervals one tick is late, and the next is due on the old grid."""
    world = World()
    slept = world.clock.slept

    async def stall(seconds: float) -> None:
        slept.append(seconds)
        world.clock.now += seconds + (3.5 if len(slept) == 2 else 0.0)
        if len(slept) == 4:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    world.clock.sleep = stall  # type: ignore[method-assign]  time is the test's
    world.watch.judge = lambda _most=None: False  # type: ignore[method-assign]  no turn of the loop within a tick
    with pytest.raises(asyncio.CancelledError):
        await world.ticker.run()
    assert slept == [1.0, 1.0, 0.5, 1.0]
    assert world.telemetry.counts["late",] == 1
    assert len(world.telemetry.tick_seconds) == 4


async def test_a_shorter_interval_holds_at_once() -> None:
    """Reloaded from a minute to a second in the middle of a pause: the next tick does not wait for the minute."""
    world = World()
    world.ticker.interval_seconds = 60.0
    sleep = world.clock.sleep

    async def reload_after_three(seconds: float) -> None:
        await sleep(seconds)
        if len(world.clock.slept) == 3:
            world.ticker.interval_seconds = 1.0
        if len(world.telemetry.tick_seconds) == 3:
            raise asyncio.CancelledError

    world.clock.sleep = reload_after_three  # type: ignore[method-assign]  time is the test's
    began = world.clock.now
    with pytest.raises(asyncio.CancelledError):
        await world.ticker.run()
    assert world.clock.now - began < 10


async def test_a_tick_that_breaks_is_not_the_last() -> None:
    """A fault in judging one tick is logged and counted; the next tick comes."""
    world = World(figures.process())
    turns = 0

    def broken() -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            raise asyncio.CancelledError
        raise RuntimeError("a fault")

    world.watch.mark_all = broken  # type: ignore[method-assign]  a fault that can't be made otherwise
    with pytest.raises(asyncio.CancelledError):
        await world.ticker.run()
    assert world.telemetry.counts["source", "tick", "error"] == 2
