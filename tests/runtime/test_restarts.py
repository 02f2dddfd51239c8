"""Restarts that rules want and people ask for: held back, made stage by stage, taken up again."""

import asyncio
from dataclasses import replace

import pytest

from fakes import figures
from fakes.figures import MIB
from fakes.journal import FakeJournal
from fakes.restart_world import AT_ONCE, LIMIT, World
from heapwarden.domain.errors import RequestRefusedError
from heapwarden.domain.event import EventKind
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Process
from heapwarden.domain.restart import Hook, Outcome, Plan, RestartReason, Stage
from heapwarden.domain.sample import ContainerFigures
from heapwarden.policy.restart import Budget, Pauses, RestartRules, ShareRule

pytestmark = pytest.mark.anyio


async def test_a_restart_goes_through_its_stages_and_health_says_so() -> None:
    """Drain, signal, successor; 503 from the decision to the end; counted once."""
    world = World()
    await world.restarts.start()
    (app,) = world.apps
    world.grow(app)
    await world.until(lambda: world.state(app) is HealthState.DRAINING)
    assert not world.actuator.terminated
    assert world.reporters.said == [("drain", app.id)]
    await world.until(world.over)
    assert world.stages() == ["drain", "terminate", "successor", "done"]
    assert [restart.process for restart in world.actuator.terminated] == [app.id]
    assert world.last().figures["rss"] == LIMIT
    assert list(world.restarts.counts.values()) == [1]
    await world.restarts.stop()


async def test_the_drain_lasts_as_long_as_it_should_and_ends_when_the_app_is_done() -> None:
    """Five seconds by the clock; less when the app says that no request is left."""
    for says, least, most in ((False, 4.5, 6.5), (True, 0.0, 2.0)):
        world = World()
        await world.restarts.start()
        world.grow(world.apps[0])
        await world.until(lambda world=world: world.restarts.counts or world.reporters.said)  # type: ignore[misc]
        begun = world.clock.now
        if says:
            world.restarts.drained(world.apps[0].id)
        await world.until(lambda world=world: world.actuator.terminated)  # type: ignore[misc]
        assert least <= world.clock.now - begun <= most
        await world.restarts.stop()


async def test_a_process_that_stays_is_killed_after_its_grace_and_one_that_stays_then_serves_on() -> None:
    """SIGTERM is ignored: SIGKILL. Not even that ends it: the restart has failed and health is its own again."""
    world = World(replace(AT_ONCE, plan=Plan(drain_seconds=0, grace_seconds=10)))
    world.actuator.on_terminate = lambda _restart: None
    await world.restarts.start()
    (app,) = world.apps
    world.grow(app)
    await world.until(world.over)
    assert world.stages() == ["drain", "terminate", "kill", "successor", "done"]
    assert "grace of 10 s" in world.last().note
    await world.restarts.stop()

    world = World(replace(AT_ONCE, plan=Plan(drain_seconds=0, grace_seconds=1)))
    world.actuator.on_terminate = world.actuator.on_kill = lambda _restart: None
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(world.over)
    assert world.last().outcome is Outcome.FAILED
    await world.until(lambda: world.state(world.apps[0]) is HealthState.HEALTHY)
    await world.restarts.stop()


async def test_what_can_not_be_signalled_serves_on_and_the_reason_is_kept() -> None:
    """The actuator refuses: nothing was done, and the history says why."""
    world = World()
    world.actuator.refuses = "pid 100 belongs to uid 33: run the agent as the same user"
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(world.over)
    assert world.last().outcome is Outcome.FAILED
    assert "uid 33" in world.last().note
    assert not world.actuator.terminated
    await world.restarts.stop()


async def test_one_that_ends_by_itself_while_it_is_drained_is_not_signalled() -> None:
    """And the end is not put down to the restart."""
    world = World()
    await world.restarts.start()
    (app,) = world.apps
    world.grow(app)
    await world.until(lambda: world.state(app) is HealthState.DRAINING)
    assert world.restarts.of(app.id) is None
    world.end(world.last())
    await world.until(world.over)
    assert not world.actuator.terminated
    assert "by itself" in world.last().note
    await world.restarts.stop()


async def test_a_drain_ends_early_when_the_limit_comes_first() -> None:
    """100 MiB a second towards a container's limit: the signal goes out before it is hit, not after the drain."""
    rules = replace(AT_ONCE, plan=Plan(drain_seconds=60.0, grace_seconds=30.0))
    world = World(rules)
    await world.restarts.start()
    (app,) = world.apps

    def grows() -> bool:
        now = world.clock.monotonic()
        used = int((now - 1_000) * 100 * MIB)
        world.grow(app, used)
        container = {app.id: ContainerFigures(now, used, 2_000 * MIB)}
        if world.watch.known(app.id):
            world.watch.read("cgroup", container, container)
        return bool(world.actuator.terminated)

    await world.until(grows)
    assert world.clock.now < 1_020, "the limit of 2,000 MiB is hit 20 s after the start"
    assert "drain ended after" in world.actuator.terminated[0].note
    await world.restarts.stop()


async def test_workers_are_restarted_one_at_a_time() -> None:
    """Four at once over their limit: never two of them under way, and each of them in the end."""
    world = World(apps=4)
    await world.restarts.start()
    for app in world.apps:
        world.grow(app)
    most = []

    def all_over() -> bool:
        most.append(len(world.watch.snapshot.restarts))
        return len(world.actuator.terminated) == 4 and world.over()

    await world.until(all_over)
    assert max(most) == 1
    assert {restart.process for restart in world.actuator.terminated} == {app.id for app in world.apps}
    await world.restarts.stop()


async def test_the_budget_holds_and_says_so() -> None:
    """Every successor is over the limit at once: three restarts an hour, then none, and the journal has the reason."""
    rules = replace(AT_ONCE, pauses=Pauses(0, 0), budget=Budget(3, 3_600), plan=Plan(drain_seconds=0))
    world = World(rules)
    await world.restarts.start()

    def leaks() -> bool:
        for process in world.watch.processes:
            world.grow(process)
        return bool(world.watch.snapshot.processes) and world.held() == "budget"

    await world.until(leaks)
    assert len(world.actuator.terminated) == 3
    assert any(event.kind is EventKind.HELD and "3 allowed" in event.text for event in world.journal.events)
    await world.restarts.stop()


async def test_a_new_agent_knows_the_budget_of_the_last_and_none_that_forgets_restarts_at_once() -> None:
    """Agents that come and go one after another make no more restarts than the budget, with or without a journal."""
    rules = replace(AT_ONCE, pauses=Pauses(0, 0), budget=Budget(2, 3_600), plan=Plan(drain_seconds=0))
    for forgets in (False, True):
        world = World(rules, FakeJournal())
        if forgets:
            world.journal.fail()
        for _ in range(6):
            world.begin(rules)
            await world.restarts.start()
            before = len(world.actuator.terminated)
            for _ in range(30):
                for process in world.watch.processes:
                    world.grow(process)
                world.tick()
                world.clock.advance(0.5)
                await asyncio.sleep(0)
                if len(world.actuator.terminated) > before and not world.watch.snapshot.restarts:
                    break
            await world.restarts.stop()
        assert len(world.actuator.terminated) == (0 if forgets else 2)


async def test_a_dry_run_is_counted_and_touches_nothing() -> None:
    """Decided, in the journal, in the counts as a dry run; no 503, no signal."""
    world = World(replace(AT_ONCE, dry_run=True))
    await world.restarts.start()
    (app,) = world.apps
    world.grow(app)
    await world.until(world.over)
    assert world.last().outcome is Outcome.DRY_RUN
    assert list(world.restarts.counts) == [(world.last().name, RestartReason.MAX_MEMORY, True)]
    assert not world.actuator.terminated
    await world.until(lambda: world.held() == "cooldown")
    assert world.state(app) is HealthState.HEALTHY
    await world.restarts.stop()


async def test_hooks_run_before_and_after_and_a_failing_one_is_noted() -> None:
    """In their stages, once each; the restart goes on."""
    plan = Plan(drain_seconds=0, before=(Hook(("dump",)), Hook(("page",))), after=(Hook(("tell",)),))
    world = World(replace(AT_ONCE, plan=plan))
    world.hooks.failing = ("dump",)
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(world.over)
    assert world.hooks.ran == [("dump", "before"), ("page", "before"), ("tell", "after")]
    assert world.last().outcome is Outcome.DONE
    assert "dump: exit code 1" in world.last().note
    await world.restarts.stop()


async def test_without_a_successor_it_is_said() -> None:
    """Nobody brings a new one: over, and loud."""
    world = World()
    world.successors = False
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(world.over)
    assert world.last().outcome is Outcome.NO_SUCCESSOR
    await world.restarts.stop()


@pytest.mark.parametrize(
    "stage", [Stage.DRAIN, Stage.BEFORE, Stage.TERMINATE, Stage.KILL, Stage.SUCCESSOR, Stage.AFTER]
)
@pytest.mark.parametrize("signalled", [False, True])
async def test_another_agent_goes_on_where_one_died(stage: Stage, signalled: bool) -> None:
    """Taken up at each stage: what is out is not sent again, what is not is, and the restart comes to its end."""
    plan = Plan(drain_seconds=5, grace_seconds=10, before=(Hook(("dump",)),), after=(Hook(("tell",)),))
    world = World(replace(AT_ONCE, plan=plan))
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(lambda: world.journal.saves)
    await world.restarts.stop()
    begun = world.journal.saves[0]
    ended = stage in (Stage.SUCCESSOR, Stage.AFTER)
    signals = signalled and stage in (Stage.TERMINATE, Stage.KILL)
    left = replace(begun, stage=stage, stage_since=world.clock.now, signalled=signals)
    world.journal = FakeJournal([left])
    world.begin(replace(AT_ONCE, plan=plan))
    if ended:
        world.end(left)
    if signals and stage is Stage.TERMINATE:
        world.clock.advance(1)
        world.discovery.running.pop(left.process)
        successor = world.an_app(2_000)
        world.discovery.running[successor.id] = successor
    await world.restarts.start()
    if signals and stage is Stage.KILL:
        world.end(left)
    await world.until(world.over)
    assert world.last().outcome is Outcome.DONE
    sent = len(world.actuator.terminated) + len(world.actuator.killed)
    assert sent == (0 if ended or signals else 1)
    await world.restarts.stop()


async def test_another_boot_makes_an_open_restart_void() -> None:
    """Neither pid nor times mean anything any more: nothing is signalled."""
    world = World()
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(lambda: world.journal.saves)
    await world.restarts.stop()
    world.journal = FakeJournal([replace(world.journal.saves[0], boot="another")])
    world.begin(RestartRules())
    await world.restarts.start()
    assert world.last().outcome is Outcome.FAILED
    assert not world.actuator.terminated
    await world.restarts.stop()


async def test_the_heap_is_collected_before_a_restart_for_it() -> None:
    """Asked once; a heap that was garbage is no reason any more, one that stays full is."""
    rules = RestartRules(
        heap_usage=ShareRule(0.9, 0.0), min_uptime_seconds=0, confirm_with_gc=True, plan=Plan(drain_seconds=0)
    )
    for garbage in (True, False):
        world = World(rules)
        await world.restarts.start()
        (app,) = world.apps

        def fills(world: World = world, app: Process = app, garbage: bool = garbage) -> None:
            asked = ("collect", app.id) in world.reporters.said
            used = 300 if asked and garbage else 950
            heap = figures.isolate(used, gc=figures.majors(1 + asked, 0.1), taken_at=world.clock.now)
            world.watch.heap_figures(app, figures.heap(heap))
            world.watch.judge()
            world.watch.publish()

        world.watch.found(world.discovery.scan())
        for _ in range(40):
            if world.watch.known(app.id) or not world.journal.events:
                fills()
            world.clock.advance(0.1)
            for _ in range(5):
                await asyncio.sleep(0)
        assert world.reporters.said.count(("collect", app.id)) == 1
        assert bool(world.actuator.terminated) is not garbage
        await world.restarts.stop()


async def test_people_may_ask_for_what_rules_would_not_do() -> None:
    """Beyond budget and uptime, but one at a time; who is under way already is refused."""
    world = World(RestartRules(plan=Plan(drain_seconds=1)), apps=2)
    await world.restarts.start()
    world.tick()
    accepted = world.requests.restart("server", None, "deploy")
    assert [restart.trigger.reason for restart in accepted] == [RestartReason.REQUESTED] * 2
    with pytest.raises(RequestRefusedError) as refused:
        world.requests.restart("server", "0", "again")
    assert refused.value.code == "busy"
    with pytest.raises(RequestRefusedError) as refused:
        world.requests.restart("web", None, "")
    assert refused.value.code == "unknown"
    await world.until(lambda: len(world.actuator.terminated) == 2 and world.over())
    await world.restarts.stop()


async def test_drained_by_hand_until_undrained() -> None:
    """503 and no restart; undrain puts it back, and cancels a restart that has not signalled."""
    world = World(apps=1)
    await world.restarts.start()
    (app,) = world.apps
    world.tick()
    world.requests.drain("server", None, "maintenance")
    await world.until(lambda: world.state(app) is HealthState.DRAINING)
    world.requests.undrain("server", None)
    await world.until(lambda: world.state(app) is HealthState.HEALTHY)
    with pytest.raises(RequestRefusedError):
        world.requests.undrain("server", None)
    world.grow(app)
    await world.until(lambda: world.state(app) is HealthState.DRAINING)
    world.requests.undrain("server", None)
    await world.until(world.over)
    assert world.last().outcome is Outcome.CANCELLED
    assert not world.restarts.counts
    await world.restarts.stop()
