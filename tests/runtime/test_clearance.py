"""Restarts wait for a word and a place from elsewhere, and never go on without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from fakes.clock import PatientClock
from fakes.figures import MIB
from fakes.restart_world import AT_ONCE, World
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method, Outcome, Plan, Restart, Stage
from heapwarden.policy.coordination import lead_seconds
from heapwarden.policy.matching import Watchlist
from heapwarden.policy.restart import Pauses, RestartRules
from heapwarden.ports import NotYet

pytestmark = pytest.mark.anyio

PLAN = Plan(drain_seconds=5.0, lease="api")
COORDINATED = replace(AT_ONCE, plan=PLAN, pauses=Pauses(0.0, 0.0, 0.0))
TAKEN = NotYet("coordination", "lease api: 1 under way, held by api-2", 3.0)
UNREACHABLE = NotYet("coordination", "lease api: no answer within 10 s", 10.0, sure=False)
OVER_BUDGET = NotYet("disruption_budget", "429 Cannot evict pod", 4.0)


@asynccontextmanager
async def a_world(rules: RestartRules = COORDINATED, apps: int = 1) -> AsyncIterator[World]:
    """One whose processes are at the limit, in which background work waits for the time that it asks for."""
    world = World(rules, apps=apps, clock=PatientClock())
    await world.restarts.start()
    world.tick()
    world.grow_all()
    try:
        yield world
    finally:
        await world.restarts.stop()


async def test_without_a_lease_nobody_is_asked() -> None:
    """Most agents never need it."""
    async with a_world(AT_ONCE) as world:
        await world.until(world.over)
        assert (world.coordinator.taken, world.permission.asked) == ([], [])


async def test_a_dry_run_asks_nobody() -> None:
    """It touches nothing, and keeps no place from others."""
    async with a_world(replace(COORDINATED, dry_run=True, method=Method.EVICT)) as world:
        await world.until(world.over)
        assert world.last().outcome is Outcome.DRY_RUN
        assert (world.coordinator.taken, world.permission.asked) == ([], [])


async def test_a_restart_waits_for_its_place_and_gives_it_back_once_it_serves_again() -> None:
    """Held until it has one, with who has it; renewed meanwhile; left after the successor is there, and once."""
    async with a_world() as world:
        world.coordinator.refuses = TAKEN
        await world.until(lambda: world.held() == "coordination" and "api-2" in str(world.watch.snapshot.processes))
        await world.pass_time(60.0)
        assert world.stages() == []
        assert world.actuator.terminated == []
        world.coordinator.refuses = None
        await world.until(lambda: world.last().stage is Stage.SUCCESSOR if world.journal.saves else False)
        assert world.coordinator.left == []
        await world.until(world.over)
        assert world.last().outcome is Outcome.DONE
        await world.until(lambda: world.coordinator.left)
        await world.pass_time(30.0)
        assert len(world.coordinator.taken) >= 2
        assert len(world.coordinator.left) == 1


async def test_a_place_that_is_not_wanted_any_more_is_given_back() -> None:
    """Memory was freed while it was asked for."""
    async with a_world() as world:
        world.coordinator.refuses = TAKEN
        await world.until(lambda: world.held() == "coordination")
        world.grow(world.apps[0], 80 * MIB)
        await world.until(lambda: world.coordinator.left)
        world.coordinator.refuses = None
        await world.pass_time(30.0)
        assert world.coordinator.taken == []
        assert world.stages() == []


async def test_a_place_that_is_lost_before_the_signal_ends_the_restart() -> None:
    """Somebody else has it now: the process goes on serving."""
    async with a_world(replace(COORDINATED, plan=replace(PLAN, drain_seconds=20.0))) as world:
        await world.until(lambda: world.stages() == ["drain"])
        world.coordinator.refuses = TAKEN
        await world.until(world.over)
        assert world.last().outcome is Outcome.CANCELLED
        assert "held by api-2" in world.last().note
        assert world.actuator.terminated == []


async def test_a_short_outage_of_the_api_is_lived_through() -> None:
    """The place is sure for a while."""
    async with a_world(replace(COORDINATED, plan=replace(PLAN, drain_seconds=40.0))) as world:
        await world.until(lambda: world.stages() == ["drain"])
        world.coordinator.refuses = UNREACHABLE
        await world.pass_time(30.0)
        world.coordinator.refuses = None
        await world.until(world.over)
        assert world.last().outcome is Outcome.DONE


async def test_an_agent_that_was_frozen_in_the_drain_does_not_go_on() -> None:
    """Others may have had its place meanwhile; it looks at the clock before it asks the process to end."""
    async with a_world() as world:
        await world.until(lambda: world.stages() == ["drain"])
        world.coordinator.refuses = UNREACHABLE
        world.clock.advance(lead_seconds(PLAN))
        await world.until(world.over)
        assert world.last().outcome is Outcome.CANCELLED
        assert world.actuator.terminated == []


async def test_after_the_signal_it_goes_on_whatever_becomes_of_its_place() -> None:
    """There is no way back."""
    async with a_world() as world:
        world.successors = False
        await world.until(lambda: "successor" in world.stages())
        world.coordinator.refuses = TAKEN
        await world.until(world.over)
        assert world.last().outcome is Outcome.NO_SUCCESSOR


async def test_where_nobody_comes_back_the_place_is_kept() -> None:
    """One is missing already; whoever waits goes on when the place has ended by itself."""
    async with a_world() as world:
        world.successors = False
        await world.until(world.over)
        assert world.last().outcome is Outcome.NO_SUCCESSOR
        taken = len(world.coordinator.taken)
        await world.pass_time(60.0)
        assert (len(world.coordinator.taken), world.coordinator.left) == (taken, [])


async def test_what_could_not_be_asked_to_end_gives_its_place_back() -> None:
    """It serves on."""
    async with a_world() as world:
        world.actuator.refuses = "not permitted"
        await world.until(world.over)
        assert world.last().outcome is Outcome.FAILED
        await world.until(lambda: world.coordinator.left)


async def test_what_may_have_been_asked_to_end_keeps_its_place() -> None:
    """Nobody knows whether the API has heard of it: the place ends by itself, after the process would have."""
    async with a_world() as world:

        def lost(_restart: Restart) -> None:
            raise ActuationError("no answer", in_doubt=True)

        world.actuator.on_terminate = lost
        await world.until(world.over)
        assert world.last().outcome is Outcome.FAILED
        world.grow(world.apps[0], 80 * MIB)
        await world.pass_time(30.0)
        assert world.coordinator.left == []


async def test_a_place_is_taken_anew_where_the_settings_change() -> None:
    """Longer stages need it for longer."""
    async with a_world() as world:
        world.coordinator.refuses = TAKEN
        await world.until(lambda: world.held() == "coordination")
        longer = replace(COORDINATED, plan=replace(PLAN, grace_seconds=600.0))
        world.watch.apply(Watchlist(default_restart=longer))
        await world.until(lambda: world.coordinator.left)
        world.coordinator.refuses = None
        await world.until(world.over)
        assert world.coordinator.taken[0].plan.grace_seconds == 600.0


async def test_of_one_name_only_the_first_asks() -> None:
    """The others wait for it anyway."""
    async with a_world(apps=3) as world:
        world.coordinator.refuses = TAKEN
        await world.until(lambda: world.held() is not None)
        await world.pass_time(20.0)
        codes = sorted(one.held.code for one in world.watch.snapshot.processes if one.held is not None)
        assert codes == ["coordination", "sibling", "sibling"]


async def test_whoever_carries_it_out_is_asked_first() -> None:
    """While a disruption budget is spent the process serves, and keeps no place from others."""
    async with a_world(replace(COORDINATED, method=Method.EVICT)) as world:
        world.permission.refuses = OVER_BUDGET
        await world.until(lambda: world.held() == "disruption_budget")
        await world.pass_time(30.0)
        assert (world.stages(), world.coordinator.taken) == ([], [])
        assert 5 <= len(world.permission.asked) <= 12
        world.permission.refuses, world.coordinator.refuses = None, TAKEN
        await world.until(lambda: world.held() == "coordination")
        world.coordinator.refuses = None
        await world.until(world.over)
        assert world.last().outcome is Outcome.DONE
        asked = len(world.permission.asked)
        await world.until(lambda: world.coordinator.left)
        assert len(world.permission.asked) == asked


async def test_a_place_is_not_kept_while_a_budget_is_spent_again() -> None:
    """It had one and is not begun, for another reason."""
    async with a_world(replace(COORDINATED, method=Method.EVICT)) as world:
        world.watch.on_published.clear()
        world.tick()
        clearance, restart = world.restarts.clearance, world.restarts.plan(world.watch.wanted()[0])
        assert clearance.refusal(restart) is not None
        await world.until(lambda: clearance.refusal(restart) is None)
        world.permission.refuses = OVER_BUDGET
        await world.until(lambda: world.coordinator.left)
        refused = clearance.refusal(restart)
        assert refused is not None
        assert refused.code == "disruption_budget"


async def test_an_eviction_is_over_though_no_successor_comes_here() -> None:
    """Its pod's owner brings one wherever there is room."""
    async with a_world(replace(COORDINATED, method=Method.EVICT)) as world:
        world.successors = False
        await world.until(world.over)
        assert world.last().outcome is Outcome.DONE
        assert "may be on another node" in world.last().note


async def test_requests_of_people_wait_for_a_place_too(caplog: pytest.LogCaptureFixture) -> None:
    """And it is said why, once."""
    async with a_world() as world:
        world.grow(world.apps[0], 80 * MIB)
        world.tick()
        world.coordinator.refuses = TAKEN
        world.requests.restart("server", None, "a new key")
        await world.pass_time(30.0)
        assert world.stages() == []
        told = [record.message for record in caplog.records if "that was asked for waits" in record.message]
        assert len(told) == 1
        world.coordinator.refuses = None
        await world.until(world.over)
        assert world.last().outcome is Outcome.DONE
        await world.until(lambda: world.coordinator.left)


async def test_a_request_that_is_taken_back_needs_no_place_any_more() -> None:
    """Undrained: whatever it has is given back."""
    async with a_world() as world:
        world.grow(world.apps[0], 80 * MIB)
        world.tick()
        world.coordinator.refuses = TAKEN
        world.requests.restart("server", None, "")
        await world.pass_time(5.0)
        world.requests.undrain("server", None)
        await world.until(lambda: world.coordinator.left)


async def test_at_its_end_an_agent_gives_back_what_it_has_not_begun() -> None:
    """The next would ask anew."""
    async with a_world() as world:
        world.coordinator.refuses = TAKEN
        await world.until(lambda: world.held() == "coordination")
        await world.restarts.stop()
        assert len(world.coordinator.left) == 1


@pytest.mark.parametrize("stage", [Stage.DRAIN, Stage.TERMINATE])
async def test_an_agent_that_ends_in_the_middle_leaves_the_place_to_the_next(stage: Stage) -> None:
    """What has not asked its process to end is called off, and may begin anew; the rest goes on to its end."""
    async with a_world() as world:
        world.actuator.on_terminate = lambda _restart: None
        await world.until(lambda: world.journal.saves and world.last().stage is stage)
        await world.restarts.stop()
        assert world.coordinator.left == []
        first = world.last().id
        world.actuator.on_terminate = world.end
        world.begin(COORDINATED)
        await world.restarts.start()
        if stage is Stage.DRAIN:
            assert world.journal.restarts[first].outcome is Outcome.CANCELLED
            await world.until(lambda: world.coordinator.left)
        else:
            world.end(world.last())
            await world.until(world.over)
            assert world.journal.restarts[first].outcome is Outcome.DONE
            await world.until(lambda: world.coordinator.left)


async def test_an_eviction_that_took_the_agent_along_is_done() -> None:
    """Its state outlived the pod, and came to another machine."""
    async with a_world(replace(COORDINATED, method=Method.EVICT)) as world:
        world.actuator.on_terminate = lambda _restart: None
        await world.until(lambda: world.journal.saves and world.last().signalled)
        await world.restarts.stop()
        restart = world.last()
        world.journal.restarts[restart.id] = replace(restart, boot="another")
        world.begin(COORDINATED)
        await world.restarts.start()
        assert world.last().outcome is Outcome.DONE
        assert world.last().note == "its pod was evicted, and the agent's with it"
