"""Places while they are given back, while the agent stops, and while settings change: none is lost or kept in vain."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from fakes.acting import FakeCoordinator, FakePermission
from fakes.clock import PatientClock
from fakes.figures import MIB
from fakes.restart_world import AT_ONCE, World
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Method, Outcome, Plan, Restart, Stage
from heapwarden.policy.matching import Watchlist
from heapwarden.policy.restart import Pauses, RestartRules
from heapwarden.ports import NotYet

pytestmark = pytest.mark.anyio

PLAN = Plan(drain_seconds=5.0, lease="api")
COORDINATED = replace(AT_ONCE, plan=PLAN, pauses=Pauses(0.0, 0.0, 0.0))
TAKEN = NotYet("coordination", "lease api: 1 under way, held by api-2", 3.0)
OVER_BUDGET = NotYet("disruption_budget", "429 Cannot evict pod", 4.0)


@dataclass
class SlowCoordinator(FakeCoordinator):
    """Gives back only when it may."""

    may_leave: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: int = 0

    async def leave(self, restart: Restart) -> bool:
        """Wait, then remember."""
        self.leaving += 1
        await self.may_leave.wait()
        return await super().leave(restart)


@asynccontextmanager
async def a_world(
    rules: RestartRules = COORDINATED, apps: int = 1, *, undecided: bool = False, full: bool = True
) -> AsyncIterator[World]:
    """Processes at the limit where ``full``; the coordinator is slow. ``undecided``: nobody acts by rules."""
    world = World(rules, apps=apps, clock=PatientClock())
    world.coordinator = SlowCoordinator()
    world.begin(rules)
    await world.restarts.start()
    if undecided:
        world.watch.on_published.clear()
    world.tick()
    if full:
        world.grow_all()
        world.tick()
    try:
        yield world
    finally:
        slow(world).may_leave.set()
        await world.restarts.stop()


def slow(world: World) -> SlowCoordinator:
    """The world's, by its own type."""
    assert isinstance(world.coordinator, SlowCoordinator)
    return world.coordinator


def wanted(world: World) -> Restart:
    """The restart that the rules want now."""
    return world.restarts.plan(world.watch.wanted()[0])


async def settled() -> None:
    """All that can go on without time has gone on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_nothing_begins_while_its_place_is_given_back() -> None:
    """It had one, the budget is spent meanwhile: from the no on it is not cleared, however long giving back takes."""
    async with a_world(replace(COORDINATED, method=Method.EVICT), undecided=True) as world:
        clearance, restart = world.restarts.clearance, wanted(world)
        assert clearance.refusal(restart) is not None
        await world.until(lambda: clearance.refusal(restart) is None)
        world.permission.refuses = OVER_BUDGET
        await world.until(lambda: slow(world).leaving)
        assert clearance.refusal(restart) is not None


async def test_a_place_is_taken_only_after_all_earlier_ones_are_given_back() -> None:
    """What the first claim still gives back would else be the third's."""
    async with a_world(undecided=True) as world:
        clearance, restart = world.restarts.clearance, wanted(world)
        for grace in (1.0, 2.0, 3.0):
            clearance.refusal(replace(restart, plan=replace(PLAN, grace_seconds=grace)))
            await settled()
        assert [one.plan.grace_seconds for one in world.coordinator.taken] == [1.0]
        slow(world).may_leave.set()
        await world.until(lambda: len(world.coordinator.taken) == 2)
        assert [one.plan.grace_seconds for one in world.coordinator.left] == [1.0]
        assert world.coordinator.taken[1].plan.grace_seconds == 3.0


async def test_an_agent_that_stops_takes_no_place_any_more() -> None:
    """Snapshots go on while it gives back what it has."""
    async with a_world() as world:
        world.coordinator.refuses = TAKEN
        await world.until(lambda: world.held() == "coordination")
        stop = asyncio.create_task(world.restarts.stop())
        await world.until(lambda: slow(world).leaving)
        world.coordinator.refuses = None
        world.tick()
        slow(world).may_leave.set()
        await stop
        world.tick()
        await settled()
        assert world.coordinator.taken == []
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("clearance")]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda plan: replace(plan, lease=""), id="no lease any more"),
        pytest.param(lambda plan: replace(plan, lease="other"), id="another lease"),
    ],
)
async def test_a_request_that_waits_goes_by_the_newest_settings(change: Callable[[Plan], Plan]) -> None:
    """Whoever sees it wait for ever turns the lease off: that must help, and a rule must not fight it over terms."""
    async with a_world(full=False) as world:
        slow(world).may_leave.set()
        world.coordinator.refuses = TAKEN
        world.requests.restart("server", None, "a new key")
        await world.pass_time(10.0)
        newest = replace(COORDINATED, plan=change(PLAN))
        world.watch.apply(Watchlist(default_restart=newest))
        world.coordinator.refuses = None if newest.plan.lease else TAKEN
        await world.until(world.over)
        assert world.last().outcome is Outcome.DONE
        assert world.last().plan.lease == newest.plan.lease


async def test_of_requests_for_one_name_only_the_first_asks() -> None:
    """The others wait for it anyway, and must not keep places from other replicas."""
    async with a_world(apps=3, full=False) as world:
        world.requests.restart("server", None, "a new key")
        await settled()
        assert len({one.process for one in world.coordinator.taken}) == 1


async def test_what_may_have_been_signalled_by_an_agent_that_died_counts() -> None:
    """Nobody knows whether the signal is out: it is not sent without a place, and is not forgotten by the budget."""
    async with a_world() as world:
        world.actuator.on_terminate = lambda _restart: None
        await world.until(lambda: world.journal.saves and world.last().stage is Stage.TERMINATE)
        await world.restarts.stop()
        restart = replace(world.last(), signalled=False)
        world.journal.restarts[restart.id] = restart
        world.begin(COORDINATED)
        await world.restarts.start()
        assert world.journal.restarts[restart.id].outcome is Outcome.FAILED
        await settled()
        assert slow(world).leaving == 0


@dataclass
class OnePodsBudget(FakePermission):
    """Does not let go the pod of one process."""

    spent_for: ProcessId | None = None

    async def ask(self, restart: Restart) -> NotYet | None:
        """By process."""
        return OVER_BUDGET if restart.process == self.spent_for else await super().ask(restart)


@pytest.mark.parametrize("lease", ["", "api"])
@pytest.mark.parametrize("by_request", [False, True])
async def test_one_that_may_not_be_evicted_stands_in_nobodys_way(lease: str, by_request: bool) -> None:
    """An agent of a node sees several pods of a name, perhaps of several workloads: each has a budget of its own."""
    rules = replace(COORDINATED, method=Method.EVICT, plan=replace(PLAN, lease=lease))
    async with a_world(rules, apps=2, full=False) as world:
        world.permission = OnePodsBudget()
        world.begin(rules)
        await world.restarts.start()
        slow(world).may_leave.set()
        first, other = world.apps
        world.permission.spent_for = first.id
        world.tick()
        if by_request:
            world.requests.restart("server", None, "a new key")
        else:
            world.grow(other, 201 * MIB)
            world.grow(first, 300 * MIB)
        await world.until(world.over)
        assert world.last().process == other.id
