"""What the agent knows of each process, as its sources tell it."""

from dataclasses import replace

import pytest

from fakes import figures
from fakes.clock import FakeClock
from fakes.discovery import FakeDiscovery
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Process, ProcessId, Role
from heapwarden.domain.place import Place
from heapwarden.domain.sample import ContainerFigures, TreeFigures
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.health import HealthRules, UsageRule
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.policy.restart import RestartRules
from heapwarden.runtime.record import LINGER_SECONDS
from heapwarden.runtime.watch import Watch

AT_ONCE = HealthRules(heap=UsageRule(0.9, 0.8, 0.0))


class World:
    """A watch, and the machine it looks at."""

    def __init__(self, watchlist: Watchlist | None = None, *processes: Process) -> None:
        """With these running."""
        self.clock, self.discovery = FakeClock(), FakeDiscovery(*processes)
        self.changes = 0
        self.watch = Watch(
            watchlist or Watchlist(default_health=AT_ONCE),
            discovery=self.discovery,
            clock=self.clock,
        )
        self.watch.on_change = self._changed

    def _changed(self) -> None:
        self.changes += 1

    def scan(self) -> None:
        """Look at the machine."""
        self.watch.found(self.discovery.scan())

    def published(self) -> tuple[Watched, ...]:
        """Judge everything and publish."""
        self.watch.mark_all()
        self.watch.judge()
        self.watch.publish()
        return self.watch.snapshot.processes

    def names(self) -> list[tuple[str, str, int]]:
        """Who is published under which name."""
        return [(w.name.process, w.name.worker, w.process.id.pid) for w in self.published()]


def test_workers_keep_their_slots_and_a_successor_takes_the_free_one() -> None:
    """Four workers; the second is killed; the new one goes on under its labels."""
    workers = [figures.process(pid=100 + n, start=n) for n in range(4)]
    world = World(None, *workers)
    world.scan()
    world.discovery.end(workers[1])
    world.scan()
    world.discovery.running[ProcessId(200, 99)] = figures.process(pid=200, start=99)
    world.scan()
    assert world.names() == [("server", "0", 100), ("server", "1", 200), ("server", "2", 102), ("server", "3", 103)]


def test_a_place_that_was_known_stays_known() -> None:
    """Names come late, and nothing that is missing for a moment takes them back."""
    world = World(None, figures.process())
    known: list[Place | None] = [
        Place(),
        Place("", "u-1", "", "u-1"),
        Place("apps", "api-1", "app", "u-1"),
        None,
        Place(),
    ]
    world.watch.place_of = lambda _process: known[0]
    world.scan()
    seen = []
    for _ in range(len(known)):
        (one,) = world.published()
        seen.append(one.place)
        known.append(known.pop(0))
    assert seen == [known[0], known[1], known[2], known[2], known[2]]
    ended: list[Watched] = []
    world.watch.on_ended = ended.append
    world.discovery.end(figures.process())
    world.scan()
    assert ended[0].place == known[2]


def test_what_is_to_be_ignored_is_not_admitted() -> None:
    """Neither by a scan nor by what it reports."""
    world = World(None, figures.process(pid=100), figures.process(pid=101))
    world.watch.ignores = lambda process: process.id.pid == 101
    world.scan()
    world.watch.heap_figures(figures.process(pid=101), figures.heap(figures.isolate()))
    assert not world.watch.wants(figures.process(pid=101))
    assert [pid for _, _, pid in world.names()] == [100]


def test_an_old_scan_does_not_bring_back_the_dead() -> None:
    """An end that is told while a scan is under way is an end, once."""
    process = figures.process()
    world = World(None, process)
    world.scan()
    world.published()
    ended: list[Watched] = []
    world.watch.on_ended = ended.append
    scanned = world.discovery.scan()
    world.discovery.end(process)
    world.watch.ended(process.id)
    world.watch.found(scanned)
    assert world.published() == ()
    world.scan()
    assert len(ended) == 1


def test_a_pid_that_is_used_again_is_another_process() -> None:
    """Same pid, later start: nothing of the old one's figures is left."""
    world = World(None, figures.process(start=1))
    world.scan()
    world.watch.heap_figures(figures.process(start=1), figures.heap(figures.isolate(950)))
    world.discovery.running = {ProcessId(100, 2): figures.process(start=2)}
    world.scan()
    (watched,) = world.published()
    assert (watched.process.id.start, watched.sample.heap) == (2, None)


def test_figures_between_ticks_are_judged_when_asked() -> None:
    """A frame announces a process that no scan has seen, and asks for judgement."""
    process = figures.process()
    world = World(None, process)
    world.watch.heap_figures(process, figures.heap(figures.isolate(950, taken_at=world.clock.now)))
    assert world.changes == 1
    world.watch.judge()
    world.watch.publish()
    (watched,) = world.watch.snapshot.processes
    assert watched.verdict.state is HealthState.UNHEALTHY
    assert world.watch.snapshot.last_tick_at is None, "no tick has ended"


def test_a_lost_connection_of_a_dead_process_is_its_end() -> None:
    """The first news of a death: the process is gone before any scan."""
    process = figures.process()
    world = World(None, process)
    world.watch.heap_figures(process, figures.heap(figures.isolate()))
    world.discovery.end(process)
    world.watch.heap_figures(process, figures.heap(figures.isolate(), connected=False))
    assert world.published() == ()


@pytest.mark.parametrize("reported", [True, False])
def test_a_successor_that_is_faster_than_the_scan_takes_the_dead_ones_slot(reported: bool) -> None:
    """Seen alive when its connection closed, or killed before it had one; dead by the time its successor comes."""
    first, second = figures.process(pid=1, start=1), figures.process(pid=2, start=2)
    world = World(None, first)
    world.scan()
    if reported:
        world.watch.heap_figures(first, figures.heap(figures.isolate()))
        world.watch.heap_figures(first, figures.heap(figures.isolate(), connected=False))
    world.discovery.running = {second.id: second}
    world.watch.heap_figures(second, figures.heap(figures.isolate()))
    assert world.names() == [("server", "0", 2)]


def test_a_lost_connection_of_a_living_process_keeps_its_figures() -> None:
    """The reporter reads as down, its last figures stay."""
    process = figures.process()
    world = World(None, process)
    world.watch.heap_figures(process, figures.heap(figures.isolate(), connected=False))
    (watched,) = world.published()
    assert watched.sample.sources == {"reporter": False}
    assert watched.sample.heap is not None


def test_a_process_that_can_not_be_seen_lives_by_its_connection() -> None:
    """No scan shows it; it stays a while after its last word, and goes then."""
    process = replace(figures.process(), id=ProcessId(0, 7, "pid:[1]/1@0"))
    world = World()
    world.watch.heap_figures(process, figures.heap(figures.isolate()))
    world.scan()
    world.watch.heap_figures(process, figures.heap(figures.isolate(), connected=False))
    world.clock.advance(LINGER_SECONDS)
    world.scan()
    assert len(world.published()) == 1
    world.clock.advance(0.1)
    world.scan()
    assert world.published() == ()


def test_a_source_that_knows_nothing_leaves_the_last_figures() -> None:
    """Unreadable for a moment: the container's figures stay, the source reads as down."""
    process = figures.process()
    world = World(None, process)
    world.scan()
    world.watch.read("cgroup", [process.id], {process.id: ContainerFigures(1.0, 5, 10)})
    world.watch.read("cgroup", [process.id], {})
    (watched,) = world.published()
    assert watched.sample.container == ContainerFigures(1.0, 5, 10)
    assert watched.sample.sources == {"cgroup": False}


def test_wrappers_are_shown_and_not_judged() -> None:
    """Npm stands in the snapshot, apart."""
    npm = figures.process(pid=50, role=Role.WRAPPER)
    world = World(None, npm, figures.process())
    world.scan()
    assert [watched.process.id.pid for watched in world.published()] == [100]
    assert world.watch.snapshot.wrappers == (npm,)
    assert not world.watch.wants(npm)


def test_new_rules_rename_and_let_go_and_keep_what_is_remembered() -> None:
    """A reload: another name, other marks, the verdict's beginning stays."""
    process, other = figures.process(), figures.process(pid=7, script="other")
    world = World(None, process, other)
    world.scan()
    world.watch.heap_figures(process, figures.heap(figures.isolate(850, taken_at=world.clock.now)))
    assert [w.verdict.state for w in world.published() if w.process is process] == [HealthState.DEGRADED]
    strict = HealthRules(heap=UsageRule(0.8, 0.7, 0.0))
    rule = ProcessRule("api", Match(pid=100), strict)
    world.watch.apply(Watchlist(rules=(rule,), watch_unmatched=False))
    (watched,) = world.published()
    assert (watched.name.process, watched.verdict.state) == ("api", HealthState.UNHEALTHY)


def test_a_child_does_not_bring_back_the_dead() -> None:
    """A connection inherited from a process that has ended says nothing about it."""
    process = figures.process()
    world = World()
    world.watch.heap_figures(process, figures.heap(figures.isolate(950)))
    assert world.published() == ()


def test_a_silent_worker_thread_does_not_speak_for_the_process() -> None:
    """Its last figures were full; while the main thread's are fresh they alone count."""
    process = figures.process()
    world = World(None, process)
    old = figures.isolate(95, 100, thread=1, taken_at=world.clock.now - 60)
    world.watch.heap_figures(process, figures.heap(figures.isolate(taken_at=world.clock.now), old))
    (watched,) = world.published()
    assert watched.verdict.state is HealthState.HEALTHY
    assert watched.findings.pressure.heap_ratio == 0.04


@pytest.mark.parametrize("most", [1, 3])
def test_judging_in_slices_leaves_nobody_out(most: int) -> None:
    """A bound on one slice, and whether more is to do."""
    world = World(None, *(figures.process(pid=n, start=n) for n in range(1, 8)))
    world.scan()
    turns = 1
    while world.watch.judge(most):
        turns += 1
    world.watch.publish()
    assert len(world.watch.snapshot.processes) == 7
    assert turns == -(-7 // most)


def test_a_rule_that_counts_children_no_more_takes_their_figures_along() -> None:
    """After a reload the source `tree` is not asked any more, and so does not read as answering for ever."""
    process = figures.process()
    world = World(Watchlist(default_restart=RestartRules(tree=True)), process)
    world.scan()
    world.watch.read("tree", [process.id], {process.id: TreeFigures(world.clock.now, 90 * figures.MIB, 3)})
    (watched,) = world.published()
    assert watched.sample.tree is not None
    world.watch.apply(Watchlist())
    (watched,) = world.published()
    assert (watched.sample.tree, watched.sample.sources) == (None, {})
