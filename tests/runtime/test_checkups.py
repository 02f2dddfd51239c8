"""When processes are looked at, what is read of them, and what is left with the watch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from fakes.clock import FakeClock
from fakes.conditions import eventually
from fakes.discovery import FakeDiscovery
from fakes.snapshots import MIB, snapshot, watched
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.checkup import Launch, ProblemCode, SocketTrouble
from heapwarden.domain.identity import Process
from heapwarden.domain.sample import ContainerFigures
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.matching import Watchlist
from heapwarden.runtime.checkups import AGAIN_SECONDS, EVERY_SECONDS, Checkups
from heapwarden.runtime.watch import Watch

pytestmark = pytest.mark.anyio
WELL = Launch(1000, 1000, "--require /heapwarden.cjs", "/run/agent.sock")
SILENT = replace(WELL, socket_trouble=SocketTrouble.MISSING)
GIB = 1024 * MIB


@dataclass
class FakeLaunches:
    """Gives each process the same, and keeps who was asked about."""

    launch: Launch | None = WELL
    asked: list[tuple[int, str]] = field(default_factory=list)
    broken: bool = False

    def read(self, process: Process, cgroup: str) -> Launch | None:
        """Keep, and answer."""
        if self.broken:
            raise OSError("no more descriptors")
        self.asked.append((process.id.pid, cgroup))
        return self.launch


@dataclass
class World:
    """A watch that is looked after, in a time that the test owns."""

    launches: FakeLaunches
    clock: FakeClock
    telemetry: FakeTelemetry
    watch: Watch
    checkups: Checkups

    async def look(self, *processes: Watched) -> None:
        """Publish these, and let a look that was begun end."""
        self.checkups.published(snapshot(*processes))
        task = self.checkups._task
        await eventually(lambda: task is None or task.done())

    def problems(self, pid: int = 4711) -> list[ProblemCode]:
        """What was found of one."""
        found = {id_.pid: checkup for id_, checkup in self.watch.checkups.items()}
        return [problem.code for problem in found[pid].problems]


@asynccontextmanager
async def world(launch: Launch | None = WELL) -> AsyncIterator[World]:
    """Ends what it has started."""
    clock, telemetry, launches = FakeClock(), FakeTelemetry(), FakeLaunches(launch)
    watch = Watch(Watchlist(), discovery=FakeDiscovery(), clock=clock)
    checkups = Checkups(
        watch, launches, clock=clock, telemetry=telemetry, machine_bytes=64 * GIB, agent_version="1.2.3"
    )
    try:
        yield World(launches, clock, telemetry, watch, checkups)
    finally:
        await checkups.stop()


def one(pid: int = 4711, limit_mib: int = 2048, cgroup: str = "/cgroup/a") -> Watched:
    """A process with 1 GiB of heap in a container; its reporter is as new as the agent."""
    known = watched(pid=pid)
    assert known.sample.heap is not None
    heap = replace(known.sample.heap, reporter_version="1.2.3")
    container = ContainerFigures(known.sample.at, 200 * MIB, limit_mib * MIB, cgroup=cgroup)
    long_ago = replace(known.process, started_at=FakeClock().wall() - 3_600)
    return replace(known, process=long_ago, sample=replace(known.sample, heap=heap, container=container))


async def test_what_is_found_is_left_with_the_watch() -> None:
    """From the first snapshot on."""
    async with world() as here:
        await here.look(one(), one(pid=4712, limit_mib=512, cgroup="/cgroup/b"))
        assert here.problems(4711) == [ProblemCode.HEAP_LIMIT_BELOW_CONTAINER]
        assert here.problems(4712) == [ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
        assert here.launches.asked == [(4711, "/cgroup/a"), (4712, "/cgroup/b")]


async def test_a_look_is_due_every_few_seconds_and_reads_nobody_twice() -> None:
    """How a process was started never changes; what it uses does."""
    async with world() as here:
        await here.look(one())
        await here.look(one(limit_mib=512))
        assert here.problems() == [ProblemCode.HEAP_LIMIT_BELOW_CONTAINER]
        here.clock.advance(EVERY_SECONDS)
        await here.look(one(limit_mib=512))
        assert here.problems() == [ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
        assert len(here.launches.asked) == 1


async def test_a_new_process_is_looked_at_sooner() -> None:
    """A second after the last look."""
    async with world() as here:
        await here.look(one())
        here.clock.advance(1.0)
        await here.look(one(), one(pid=4712))
        assert [pid for pid, _ in here.launches.asked] == [4711, 4712]


async def test_a_process_is_looked_at_again_once_its_heap_is_known() -> None:
    """The first figures come a moment after it is found."""
    async with world() as here:
        early = one(limit_mib=512)
        await here.look(replace(early, sample=replace(early.sample, heap=None)))
        here.clock.advance(1.0)
        await here.look(one(limit_mib=512))
        assert here.problems() == [ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
        assert here.launches.asked == [(4711, "/cgroup/a")]


async def test_who_is_gone_is_forgotten() -> None:
    """And read anew if its like comes again."""
    async with world() as here:
        for processes in ((one(),), (), (one(),)):
            await here.look(*processes)
            assert len(here.watch.checkups) == len(processes)
            here.clock.advance(EVERY_SECONDS)
        assert len(here.launches.asked) == 2


async def test_who_is_not_ready_is_asked_about_again() -> None:
    """In the middle of exec nothing is known of its environment."""
    async with world(None) as here:
        await here.look(one())
        here.launches.launch = WELL
        here.clock.advance(EVERY_SECONDS)
        await here.look(one())
        assert len(here.launches.asked) == 2


async def test_a_socket_that_comes_later_is_seen() -> None:
    """Of a reporter that is silent all is read again."""
    async with world(SILENT) as here:
        mute = one()
        mute = replace(mute, sample=replace(mute.sample, heap=None))
        await here.look(mute)
        assert here.problems() == [ProblemCode.REPORTER_SILENT]
        mute = replace(mute, checkup=next(iter(here.watch.checkups.values())))
        here.launches.launch = WELL
        here.clock.advance(EVERY_SECONDS)
        await here.look(mute)
        assert len(here.launches.asked) == 2


async def test_a_fleet_without_a_socket_hides_nobody() -> None:
    """So many are read at once; who was never read comes first, and then who was not for the longest time."""
    async with world(SILENT) as here:
        looks: list[set[int]] = []
        fleet: list[Watched] = []
        for many in (250, 250, 260):
            fleet = [mute(pid, fleet) for pid in range(1, many + 1)]
            here.launches.asked.clear()
            await here.look(*fleet)
            looks.append({pid for pid, _ in here.launches.asked})
            fleet = [replace(each, checkup=here.watch.checkups[each.process.id]) for each in fleet]
            here.clock.advance(EVERY_SECONDS)
        assert looks[1] >= set(range(201, 251))
        assert looks[2] >= set(range(251, 261))
        assert looks[1] | looks[2] >= set(range(1, 251))
        assert all(here.problems(pid) == [ProblemCode.REPORTER_SILENT] for pid in range(1, 261))


def mute(pid: int, before: Sequence[Watched] = ()) -> Watched:
    """A process whose reporter is not heard, as it was found ``before``."""
    known = next((each for each in before if each.process.id.pid == pid), None) or one(pid=pid)
    return replace(known, sample=replace(known.sample, heap=None))


async def test_each_problem_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With its remedy; and again only when it had gone, and not each time that a figure trembles about its mark."""
    async with world() as here:
        for limit, seconds in ((512, 5.0), (512, 5.0), (1300, 5.0), (512, 5.0), (1300, AGAIN_SECONDS), (512, 0.0)):
            await here.look(one(limit_mib=limit))
            here.clock.advance(seconds)
    lines = [record.message for record in caplog.records if "V8 gives up" in record.message]
    assert len(lines) == 2
    assert "--max-old-space-size=" in lines[0]


async def test_a_reading_that_fails_is_counted_and_costs_only_itself() -> None:
    """Figures speak without it."""
    async with world() as here:
        here.launches.broken = True
        await here.look(one(limit_mib=512))
        assert here.problems() == [ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
        assert here.telemetry.counts["source", "launch", "error"] == 1


async def test_a_fleet_is_looked_at_in_pieces() -> None:
    """The loop turns in between."""
    async with world() as here:
        fleet: Sequence[Watched] = [one(pid=pid, cgroup=f"/cgroup/{pid}") for pid in range(1, 101)]
        await here.look(*fleet)
        assert len(here.watch.checkups) == 100
        assert here.clock.slept.count(0) == 6


async def test_the_end_does_not_wait_for_a_look() -> None:
    """It is cancelled."""
    async with world() as here:
        here.checkups.published(snapshot(one()))
        task = here.checkups._task
        assert task is not None
        await here.checkups.stop()
        assert task.cancelled()
        await asyncio.sleep(0)
        assert here.watch.checkups == {}
