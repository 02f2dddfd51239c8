"""Restarts when things go wrong around them: nothing healthy is ended, nothing twice, nothing kept out for ever."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from fakes import figures
from fakes.figures import MIB
from fakes.journal import FakeJournal
from fakes.restart_world import AT_ONCE, LIMIT, World
from heapwarden.domain.errors import ActuationError, RequestRefusedError
from heapwarden.domain.event import Event
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.restart import Outcome, Plan, Restart, Stage
from heapwarden.domain.sample import ContainerFigures
from heapwarden.policy.matching import Watchlist
from heapwarden.policy.restart import Budget, MemoryRule, Pauses, RestartRules, ShareRule
from heapwarden.ports import Remembered

pytestmark = pytest.mark.anyio

NO_DRAIN = replace(AT_ONCE, plan=Plan(drain_seconds=0))
CONTAINER = RestartRules(container_usage=ShareRule(0.9, 0.0), min_uptime_seconds=0, plan=Plan(drain_seconds=0))


async def test_a_rolling_reload_finds_no_second_budget() -> None:
    """The successor starts before its predecessor goes, in another slot: three in the hour, as the budget says."""
    rules = replace(NO_DRAIN, pauses=Pauses(60, 900), budget=Budget(3, 3_600))
    world = World(rules)

    def reload(restart: Restart) -> None:
        successor = world.an_app(restart.process.pid + 1_000)
        world.discovery.running[successor.id] = successor
        world.watch.found(world.discovery.scan())
        world.discovery.running.pop(restart.process)

    world.actuator.on_terminate = reload
    await world.restarts.start()
    await world.pass_time(3_500, world.grow_all)
    assert len(world.actuator.terminated) == 3
    await world.restarts.stop()


@pytest.mark.parametrize("asked_for", [False, True], ids=["by rule", "by request"])
async def test_where_nobody_brings_one_back_the_siblings_are_left_alone(asked_for: bool) -> None:
    """Four workers and no supervisor: one is lost, and it is said; not all four, one a minute."""
    world = World(RestartRules(plan=Plan(drain_seconds=0)) if asked_for else NO_DRAIN, apps=4)
    world.successors = False
    await world.restarts.start()
    world.tick()
    if asked_for:
        world.requests.restart("server", None, "deploy")
    await world.pass_time(600, (lambda: None) if asked_for else world.grow_all)
    assert len(world.actuator.terminated) == 1
    if not asked_for:
        assert world.held() == "no_successor"
    await world.restarts.stop()


async def _taken_up(world: World, left: Restart, rules: RestartRules) -> None:
    world.journal = FakeJournal([left])
    world.begin(rules)
    await world.restarts.start()


async def _begun(world: World) -> Restart:
    """A restart that an agent has left in its drain."""
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(lambda: world.journal.saves)
    await world.restarts.stop()
    return world.journal.saves[0]


async def test_grace_begins_with_the_signal() -> None:
    """The agent died before it sent it, a minute ago: SIGTERM now, and SIGKILL not before the whole grace is over."""
    world = World()
    left = replace(await _begun(world), stage=Stage.TERMINATE, stage_since=world.clock.now)
    world.clock.advance(60)
    at: dict[str, float] = {}
    world.actuator.on_terminate = lambda _restart: at.update(term=world.clock.now)

    def kill(restart: Restart) -> None:
        at["kill"] = world.clock.now
        world.end(restart)

    world.actuator.on_kill = kill
    await _taken_up(world, left, AT_ONCE)
    await world.until(world.over)
    assert at["kill"] - at["term"] >= left.plan.grace_seconds
    await world.restarts.stop()


async def test_a_fault_in_the_agent_ends_the_restart_in_the_journal_too() -> None:
    """Otherwise the next agent would go on with it, whenever that comes."""
    world = World(NO_DRAIN)

    def fault(_restart: Restart) -> None:
        raise RuntimeError("odd")

    world.actuator.on_terminate = fault
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(world.over)
    assert world.last().outcome is Outcome.FAILED
    await world.until(lambda: world.state(world.apps[0]) is HealthState.HEALTHY)
    await world.restarts.stop()


@pytest.mark.parametrize(
    ("away", "rules"),
    [
        pytest.param(86_400.0, AT_ONCE, id="too long ago"),
        pytest.param(1.0, replace(AT_ONCE, dry_run=True), id="a dry run now"),
    ],
)
async def test_what_nobody_wants_any_more_is_not_gone_on_with(away: float, rules: RestartRules) -> None:
    """An agent comes back to a restart that had not asked its process to end."""
    world = World()
    left = await _begun(world)
    world.rss.clear()
    world.clock.advance(away)
    await _taken_up(world, left, rules)
    await world.pass_time(60)
    assert world.last().outcome is Outcome.CANCELLED
    assert not world.actuator.terminated
    assert world.state(world.apps[0]) is HealthState.HEALTHY
    await world.restarts.stop()


def _hide(world: World) -> Process:
    """The first app lives in a PID namespace that can't be seen into, and reports."""
    hidden = replace(world.apps[0], id=ProcessId(0, 1, "pid:[1]/7@0"))
    world.apps[0] = hidden
    world.discovery.running = {}
    return hidden


def _only_reports(world: World, reporting: dict[ProcessId, tuple[Process, int]]) -> Callable[[], None]:
    def tick() -> None:
        now = world.clock.monotonic()
        world.watch.found(())
        for process, rss in reporting.values():
            heap = figures.heap(replace(figures.isolate(taken_at=now), process_rss_bytes=rss))
            world.watch.heap_figures(process, heap)
        world.watch.mark_all()
        world.watch.judge()
        world.watch.publish(tick_ended=True)

    return tick


async def test_a_hidden_process_is_not_dead_because_its_reporter_is_on_its_way() -> None:
    """Taken up by a new agent, to which it has not connected yet."""
    world = World()
    hidden = _hide(world)
    reporting = {hidden.id: (hidden, LIMIT)}
    world.tick = _only_reports(world, reporting)  # type: ignore[method-assign]  another machine
    await world.restarts.start()
    await world.until(lambda: world.journal.saves)
    await world.restarts.stop()
    world.begin(AT_ONCE)
    world.actuator.on_terminate = lambda _restart: reporting.clear()
    await world.restarts.start()
    for _ in range(5):
        await asyncio.sleep(0)
    await world.until(lambda: world.actuator.terminated)
    await world.restarts.stop()


async def test_a_hidden_process_has_ended_when_its_connection_closes_after_it_was_asked() -> None:
    """Not ten seconds later, when its grace is over and nobody is left to be killed."""
    world = World(replace(AT_ONCE, plan=Plan(drain_seconds=0, grace_seconds=8)))
    hidden = _hide(world)
    successor = replace(world.an_app(5), id=ProcessId(0, 99, "pid:[1]/8@0"))
    reporting = {hidden.id: (hidden, LIMIT)}
    world.tick = _only_reports(world, reporting)  # type: ignore[method-assign]  another machine

    def terminate(_restart: Restart) -> None:
        del reporting[hidden.id]
        world.watch.heap_figures(hidden, figures.heap(figures.isolate(taken_at=world.clock.now), connected=False))
        reporting[successor.id] = (successor, 50 * MIB)

    def kill(_restart: Restart) -> None:
        raise ActuationError("no reporter of it is connected")

    world.actuator.on_terminate, world.actuator.on_kill = terminate, kill
    await world.restarts.start()
    await world.until(world.over)
    assert world.last().outcome is Outcome.DONE
    await world.restarts.stop()


async def test_garbage_again_is_no_reason_either() -> None:
    """Collected, garbage; full again twenty seconds later: not collected so soon, and not restarted."""
    rules = RestartRules(heap_usage=ShareRule(0.9, 0.0), min_uptime_seconds=0, confirm_with_gc=True)
    world = World(rules)
    await world.restarts.start()
    (app,) = world.apps
    world.watch.found(world.discovery.scan())

    async def report(used: float, mark_compacts: int) -> None:
        heap = figures.isolate(used, gc=figures.majors(mark_compacts, 0.1), taken_at=world.clock.now)
        world.watch.heap_figures(app, figures.heap(heap))
        world.watch.judge()
        world.watch.publish()
        world.clock.advance(1)
        for _ in range(5):
            await asyncio.sleep(0)

    await report(950, 1)
    for used in (300, *[500] * 20, 950, 950):
        await report(used, 2)
    assert world.reporters.said.count(("collect", app.id)) == 1
    assert not world.journal.saves
    await world.restarts.stop()


@pytest.mark.parametrize("largest", [0, 1])
async def test_of_a_full_container_the_largest_process_goes_and_no_other(largest: int) -> None:
    """Two names in one container of 2,000 MiB: 1,900 and 60."""
    world = World(CONTAINER, apps=2)
    other = world.apps[1 - largest]
    cron = replace(other, script="cron", argv=("node", "/app/cron.js"))
    world.discovery.running[other.id] = cron
    big = world.apps[largest]
    world.grow(big, 1_900 * MIB)
    world.grow(cron, 60 * MIB)
    await world.restarts.start()

    def read() -> None:
        used = 1_960 if big.id in world.discovery.running else 150
        container = ContainerFigures(world.clock.now, used * MIB, 2_000 * MIB, cgroup="/pod")
        world.watch.read(
            "cgroup", figures_of := dict.fromkeys((p.id for p in world.watch.processes), container), figures_of
        )

    await world.pass_time(30, read)
    assert [restart.process for restart in world.actuator.terminated] == [big.id]
    await world.restarts.stop()


async def test_a_dry_run_that_is_still_written_down_is_not_taken_for_a_restart() -> None:
    """The journal is slow, a reload makes it earnest, and that restart fails: in service again."""

    class Slow(FakeJournal):
        gate = asyncio.Event()

        async def save(self, restart: Restart, event: Event) -> bool:
            if restart.dry_run:
                await self.gate.wait()
            return await super().save(restart, event)

    journal = Slow()
    journal.gate = asyncio.Event()
    world = World(replace(AT_ONCE, dry_run=True), journal)
    world.actuator.refuses = "not permitted"
    await world.restarts.start()
    (app,) = world.apps
    world.grow(app)
    await world.pass_time(2)
    world.watch.apply(Watchlist(default_restart=replace(AT_ONCE, pauses=Pauses(3_600, 3_600))))
    await world.pass_time(1)
    journal.gate.set()
    await world.pass_time(50)
    assert world.state(app) is HealthState.HEALTHY
    await world.restarts.stop()


async def test_what_somebody_drained_by_hand_is_not_restarted_by_a_rule() -> None:
    """Held, and it stays drained; also after a restart that was asked for and failed."""
    world = World()
    world.actuator.refuses = "not permitted"
    await world.restarts.start()
    (app,) = world.apps
    world.tick()
    world.requests.drain("server", None, "maintenance")
    world.grow(app)
    await world.pass_time(30)
    assert not world.journal.saves
    assert world.held() == "drained"
    world.requests.restart("server", None, "now")
    await world.until(world.over)
    await world.pass_time(2)
    assert world.last().outcome is Outcome.FAILED
    assert world.state(app) is HealthState.DRAINING
    await world.restarts.stop()


async def test_after_its_stop_nothing_begins() -> None:
    """Snapshots may still come."""
    world = World()
    await world.restarts.start()
    await world.restarts.stop()
    world.grow(world.apps[0])
    await world.pass_time(5)
    assert not world.journal.saves


async def test_a_reload_is_a_brake() -> None:
    """Not watched any more, or a dry run, before the signal: called off. What waits in the queue too."""
    for brake in (Watchlist(watch_unmatched=False), Watchlist(default_restart=replace(AT_ONCE, dry_run=True))):
        world = World()
        await world.restarts.start()
        (app,) = world.apps
        world.grow(app)
        await world.until(lambda world=world, app=app: world.state(app) is HealthState.DRAINING)  # type: ignore[misc]
        world.watch.apply(brake)
        await world.pass_time(50)
        assert not world.actuator.terminated
        assert Outcome.CANCELLED in [restart.outcome for restart in world.journal.saves]
        await world.restarts.stop()
    world = World(RestartRules(plan=Plan(drain_seconds=5)), apps=2)
    await world.restarts.start()
    world.tick()
    world.requests.restart("server", None, "deploy")
    world.watch.apply(Watchlist(default_restart=RestartRules(dry_run=True)))
    await world.pass_time(50)
    assert not world.actuator.terminated
    await world.restarts.stop()


async def test_agents_that_crash_on_a_full_disk_restart_nothing() -> None:
    """The journal can be read, and what is written is lost: found out before anything is done."""

    class Full(FakeJournal):
        async def save(self, restart: Restart, event: Event) -> bool:  # noqa: ARG002  lost
            await asyncio.sleep(0)
            self.trouble = "the disk is full"
            return False

        async def load(self, since_wall: float) -> Remembered:
            self.trouble = None
            return await super().load(since_wall)

    rules = replace(NO_DRAIN, pauses=Pauses(0, 0), budget=Budget(2, 3_600))
    world = World(rules, Full())
    for _ in range(6):
        world.begin(rules)
        await world.restarts.start()
        await world.pass_time(10, world.grow_all)
        await world.restarts.stop()
    assert not world.actuator.terminated


@pytest.mark.parametrize("jump", [-86_400.0, 7_200.0, 8 * 86_400.0])
async def test_a_clock_that_jumps_changes_neither_uptime_nor_budget(jump: float) -> None:
    """A day back: a process that is up for minutes is not young. Two hours on: what was spent stays spent."""
    rules = replace(NO_DRAIN, pauses=Pauses(0, 0), budget=Budget(2, 3_600), min_uptime_seconds=60)
    world = World(rules)
    await world.restarts.start()
    await world.pass_time(150)
    wall, offset = world.clock.wall, 0.0
    world.clock.wall = lambda: wall() + offset  # type: ignore[method-assign]  it jumps
    await world.pass_time(5, world.grow_all)
    assert len(world.actuator.terminated) == 1
    offset = jump
    await world.pass_time(1_800, world.grow_all)
    assert len(world.actuator.terminated) == 2
    await world.restarts.stop()


async def test_another_manager_is_not_asked_twice() -> None:
    """The agent stops while it waits for the answer: whether it was heard is not known, and a second restart hurts."""
    world = World(NO_DRAIN)
    world.actuator.kills = False
    asked = []

    async def ask(restart: Restart) -> None:
        asked.append(restart.process)
        await asyncio.Event().wait()

    world.actuator.terminate = ask  # type: ignore[method-assign]  no answer comes
    await world.restarts.start()
    world.grow(world.apps[0])
    await world.until(lambda: asked)
    await world.restarts.stop()
    world.begin(NO_DRAIN)
    await world.restarts.start()
    await world.pass_time(5)
    assert len(asked) == 1
    await world.restarts.stop()


async def test_the_end_in_its_drain_belongs_to_the_restart() -> None:
    """The app was told that it is drained, and left: `heapwarden run` starts it again."""
    world = World()
    await world.restarts.start()
    (app,) = world.apps
    world.grow(app)
    await world.until(lambda: world.state(app) is HealthState.DRAINING)
    assert world.restarts.ending(app.id.pid)
    await world.restarts.stop()


async def test_a_successor_is_not_sent_to_before_it_listens() -> None:
    """Its predecessor did on 3000: kept out of service until it does too, and only then is the restart over."""
    world = World(NO_DRAIN)
    await world.restarts.start()
    (app,) = world.apps
    world.ports[app.id] = frozenset({3_000})
    world.grow(app)

    def successor() -> Process | None:
        return next((one for one in world.watch.processes if one.id != app.id), None)

    world.actuator.on_terminate = lambda restart: (world.end(restart), _deafen(world, app))  # type: ignore[assignment,func-returns-value]
    await world.until(successor)
    await world.pass_time(10)
    new = successor()
    assert new is not None
    assert world.state(new) is HealthState.RESTARTING
    assert not world.over()
    world.ports[new.id] = frozenset({3_000})
    await world.until(world.over)
    await world.until(lambda: world.state(new) is HealthState.HEALTHY)
    assert world.last().outcome is Outcome.DONE
    await world.restarts.stop()


def _deafen(world: World, gone: Process) -> None:
    """Whoever runs now listens nowhere yet."""
    for id_ in world.discovery.running:
        if id_ != gone.id:
            world.ports[id_] = frozenset()


@pytest.mark.parametrize("name", ["server", "cron"])
async def test_a_container_is_read_anew_before_another_of_its_processes_goes(name: str) -> None:
    """The largest has ended between two ticks; what was read before is no reason to end the next, of whichever name."""
    world = World(replace(CONTAINER, container_usage=ShareRule(0.9, 10.0)), apps=2)
    big, small = world.apps
    other = replace(small, script=name, argv=("node", f"/app/{name}.js"))
    world.discovery.running[other.id] = other
    world.grow(big, 1_900 * MIB)
    world.grow(other, 60 * MIB)
    await world.restarts.start()
    due = world.clock.now

    def read() -> None:
        """Each second only; everything else oftener."""
        nonlocal due
        if world.clock.now < due:
            return
        due = world.clock.now + 1
        used = 1_960 if big.id in world.discovery.running else 150
        container = ContainerFigures(world.clock.now, used * MIB, 2_000 * MIB, cgroup="/pod")
        readings = dict.fromkeys((process.id for process in world.watch.processes), container)
        world.watch.read("cgroup", readings, readings)

    world.step = 0.1
    await world.pass_time(30, read)
    assert [restart.process for restart in world.actuator.terminated] == [big.id]
    await world.restarts.stop()


async def test_a_reload_wants_nothing_by_the_old_rules() -> None:
    """Eighty dry runs at 200 MiB become earnest at 10 GiB; a snapshot is out before all are judged anew."""
    world = World(replace(AT_ONCE, dry_run=True), apps=0)
    for number in range(80):
        process = replace(figures.process(pid=500 + number, start=number + 1, script=f"s{number}"))
        process = replace(process, started_at=world.clock.wall())
        world.discovery.running[process.id] = process
        world.grow(process)
    await world.restarts.start()
    await world.pass_time(3)
    world.watch.apply(Watchlist(default_restart=replace(NO_DRAIN, max_memory=MemoryRule(10_000 * MIB, 0.0))))
    world.watch.judge(50)
    world.watch.publish()
    await world.pass_time(20)
    assert not world.actuator.terminated
    await world.restarts.stop()


async def test_undrain_ends_a_drain_by_hand_and_the_restart_that_followed_it() -> None:
    """In service after one request."""
    world = World()
    await world.restarts.start()
    (app,) = world.apps
    world.tick()
    world.requests.drain("server", None, "maintenance")
    world.requests.restart("server", None, "now")
    await world.until(lambda: world.journal.saves)
    world.requests.undrain("server", None)
    await world.until(world.over)
    await world.until(lambda: world.state(app) is HealthState.HEALTHY)
    assert world.last().outcome is Outcome.CANCELLED
    await world.restarts.stop()


@pytest.mark.parametrize("signalled", [False, True])
async def test_nobody_is_killed_for_what_was_asked_a_day_ago(signalled: bool) -> None:
    """The process has outlived its restart and the agent."""
    world = World()
    left = replace(await _begun(world), stage=Stage.TERMINATE, stage_since=world.clock.now, signalled=signalled)
    world.clock.advance(86_400)
    world.rss.clear()
    await _taken_up(world, left, AT_ONCE)
    await world.pass_time(60)
    assert not world.actuator.terminated
    assert not world.actuator.killed
    assert world.last().outcome is Outcome.CANCELLED
    await world.restarts.stop()


async def test_a_successor_that_came_while_no_agent_was_there_is_one() -> None:
    """Two minutes later, and its time begins anew."""
    world = World()
    left = replace(await _begun(world), stage=Stage.SUCCESSOR, stage_since=world.clock.now)
    world.end(left)
    world.clock.advance(120)
    await _taken_up(world, left, AT_ONCE)
    await world.until(world.over)
    assert world.last().outcome is Outcome.DONE
    await world.restarts.stop()


async def test_a_request_that_would_only_lose_another_is_refused() -> None:
    """Nobody has brought back the last one."""
    world = World(RestartRules(plan=Plan(drain_seconds=0)), apps=2)
    world.successors = False
    await world.restarts.start()
    world.tick()
    world.requests.restart("server", "0", "deploy")
    await world.until(world.over)
    with pytest.raises(RequestRefusedError) as refused:
        world.requests.restart("server", "1", "deploy")
    assert refused.value.code == "not_possible"
    await world.restarts.stop()


async def test_a_port_that_was_opened_by_hand_is_not_waited_for() -> None:
    """The inspector of the old process; the new one has the port that counts."""
    world = World(NO_DRAIN)
    await world.restarts.start()
    (app,) = world.apps
    world.ports[app.id] = frozenset({3_000, 9_229})
    world.grow(app)

    def end(restart: Restart) -> None:
        world.end(restart)
        world.ports.update(dict.fromkeys(world.discovery.running, frozenset({3_000})))

    world.actuator.on_terminate = end
    await world.until(world.over)
    assert world.last().outcome is Outcome.DONE
    await world.restarts.stop()
