"""Ends: waited for, named, counted and told."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from fakes import figures
from fakes.clock import FakeClock
from fakes.conditions import eventually
from fakes.discovery import FakeDiscovery
from fakes.journal import FakeJournal
from fakes.snapshots import NOW, snapshot, verdict, watched
from heapwarden.domain.event import EventKind
from heapwarden.domain.exit import ExitReason, ExitStatus, Termination
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Name, Process, ProcessId, Role
from heapwarden.domain.place import Place, PlacedName
from heapwarden.domain.restart import Restart, RestartReason, Trigger
from heapwarden.domain.snapshot import Held, Watched
from heapwarden.policy.matching import Watchlist
from heapwarden.policy.restart import RestartRules
from heapwarden.runtime import exits as module
from heapwarden.runtime.exits import STATUS_SECONDS, TOLD_SECONDS, Exits, Witnesses
from heapwarden.runtime.health_log import MOST_CHANGES, HealthLog
from heapwarden.runtime.watch import Watch

pytestmark = pytest.mark.anyio

KILLED = ExitStatus(signal=9)
OOM_KILLED = Termination("OOMKilled", 137)
PLACE = Place("apps", "api-1", "app", "u-1", "7f3c")


@dataclass
class Kernel:
    """What the kernel would say."""

    statuses: dict[ProcessId, ExitStatus] = field(default_factory=dict)
    kills: int | None = 0
    claimed: list[ProcessId] = field(default_factory=list)
    broken: bool = False

    def status(self, process: ProcessId) -> ExitStatus | None:
        """How it ended."""
        if self.broken:
            raise OSError("broken")
        return self.statuses.get(process)

    def lately(self, _process: ProcessId) -> int | None:
        """Kills for memory."""
        return self.kills

    def claim(self, process: ProcessId) -> None:
        """One of them."""
        self.claimed.append(process)


@dataclass
class Kubelet:
    """What the kubelet would say, from some time on."""

    clock: FakeClock
    since: float = NOW
    ends: dict[str, Termination] = field(default_factory=dict)
    tells: bool = True

    def expected(self, place: Place | None) -> bool:
        """Whether it would."""
        return self.tells and place is not None

    def of(self, place: Place | None) -> Termination | None:
        """How the container ended."""
        late = place is None or self.clock.now < self.since
        return None if late or place is None else self.ends.get(place.container_id)


class World:
    """Exits, and all that they ask."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.kernel, self.journal, self.clock = Kernel(), FakeJournal(), FakeClock(NOW)
        self.restart: Restart | None = None
        self.rules = RestartRules()
        self.kubelet = Kubelet(self.clock)
        witnesses = Witnesses(self.kernel, self.kernel, lambda _process: self.restart, self._rules_of, self.kubelet)
        self.exits = Exits(witnesses, self.journal, self.clock)

    def _rules_of(self, _process: Process) -> RestartRules:
        return self.rules

    def reasons(self) -> list[str]:
        """Of all ends that the journal has."""
        return [event.what for event in self.journal.events]


async def test_a_status_that_is_known_names_at_once() -> None:
    """No waiting, one event with the last figures, and one more on the counter."""
    world, ended = World(), watched()
    world.kernel.statuses[ended.process.id] = ExitStatus(code=3)
    world.exits.ended(ended)
    (event,) = world.journal.events
    assert (event.kind, event.what, event.process, event.worker, event.pid) == (
        EventKind.EXIT,
        ExitReason.CRASH,
        "api",
        "0",
        4711,
    )
    assert event.text.startswith("ended, crash: exit code 3; ")
    assert event.figures["rss"] == 120 * figures.MIB
    assert event.figures["exit_code"] == 3
    assert event.figures["container_ratio"] == 0.25
    assert event.wall == world.clock.wall()
    assert world.exits.counts == {(Name("api", "0"), ExitReason.CRASH): 1}
    assert world.clock.slept == []


async def test_a_status_is_waited_for() -> None:
    """The parent reaps a moment later."""
    world, ended = World(), watched()
    world.kernel.kills = 1
    world.exits.ended(ended)
    assert world.journal.events == []
    world.kernel.kills = 0
    world.kernel.statuses[ended.process.id] = KILLED
    await eventually(lambda: world.journal.events)
    assert world.reasons() == ["cgroup_oom"], "the counter was read at the end, not later"
    assert world.kernel.claimed == [ended.process.id]
    await world.exits.stop()


async def test_a_status_that_does_not_come_is_not_waited_for_for_ever() -> None:
    """Then the name is what the signs say; while others wait, each for its own."""
    world = World()
    first, second = watched(pid=1), watched(worker="1", pid=2)
    world.exits.ended(first)
    world.clock.advance(STATUS_SECONDS / 2)
    world.exits.ended(second)
    await eventually(lambda: len(world.journal.events) == 2)
    assert world.reasons() == ["unknown", "unknown"]
    assert world.clock.now - NOW >= STATUS_SECONDS * 1.5
    assert "its exit status is not known" in world.journal.events[0].text
    await world.exits.stop()


@pytest.mark.parametrize("status", [pytest.param(None, id="no status"), pytest.param(KILLED, id="killed, not why")])
async def test_the_kubelets_word_is_waited_for(status: ExitStatus | None) -> None:
    """It comes seconds after the end, and longer than a status is waited for."""
    world, ended = World(), replace(watched(), place=PLACE)
    world.kernel.kills = None
    if status is not None:
        world.kernel.statuses[ended.process.id] = status
    world.kubelet.ends["7f3c"], world.kubelet.since = OOM_KILLED, NOW + STATUS_SECONDS * 3
    world.exits.ended(ended)
    await eventually(lambda: world.journal.events)
    assert world.reasons() == ["cgroup_oom"]
    assert STATUS_SECONDS * 3 <= world.clock.now - NOW < TOLD_SECONDS
    assert world.journal.events[0].figures.get("exit_code") == (None if status else 137)
    assert world.exits.counts == {(PlacedName("api", "0", "apps", "api-1", "app"), ExitReason.CGROUP_OOM): 1}
    await world.exits.stop()


async def test_the_kubelets_word_that_does_not_come_is_not_waited_for_for_ever() -> None:
    """As of a worker, whose container goes on."""
    world, ended = World(), replace(watched(), place=PLACE)
    world.exits.ended(ended)
    await eventually(lambda: world.journal.events)
    assert world.reasons() == ["unknown"]
    assert world.clock.now - NOW >= TOLD_SECONDS
    await world.exits.stop()


async def test_the_kubelets_word_is_not_waited_for_where_the_kernel_has_said_all() -> None:
    """Nor where the API is away, nor where the app itself has said how it ends."""
    known, away, said = (replace(watched(pid=pid), place=PLACE) for pid in (1, 2, 3))
    world = World()
    world.kernel.statuses[known.process.id] = KILLED
    world.exits.ended(known)
    assert world.reasons() == ["crash"], "the kernel counts kills, and counted none"
    world.kubelet.tells = False
    world.exits.ended(away)
    await eventually(lambda: len(world.journal.events) == 2)
    assert world.clock.now - NOW < TOLD_SECONDS
    world.kubelet.tells = True
    before = world.clock.now
    assert said.sample.heap is not None
    sample = replace(said.sample, heap=replace(said.sample.heap, exit_code=0))
    world.exits.ended(replace(said, sample=sample))
    await eventually(lambda: len(world.journal.events) == 3)
    assert world.clock.now - before < TOLD_SECONDS
    await world.exits.stop()


async def test_a_status_that_says_all_ends_the_wait_for_the_kubelet() -> None:
    """Whichever comes first."""
    world, ended = World(), replace(watched(), place=PLACE)
    world.exits.ended(ended)
    world.kernel.statuses[ended.process.id] = ExitStatus(code=3)
    await eventually(lambda: world.journal.events)
    assert world.reasons() == ["crash"]
    assert world.clock.now - NOW < STATUS_SECONDS
    await world.exits.stop()


async def test_places_that_are_not_shown_are_not_counted_by() -> None:
    """Beside a sidecar, counts are of names alone."""
    world, ended = World(), replace(watched(), place=replace(PLACE, shown=False))
    world.kernel.statuses[ended.process.id] = ExitStatus(code=0)
    world.exits.ended(ended)
    assert world.exits.counts == {(Name("api", "0"), ExitReason.CLEAN): 1}


async def test_a_hidden_process_is_not_waited_for() -> None:
    """Nobody will ever tell its status; what it said itself is all there is."""
    world, ended = World(), watched()
    hidden = replace(ended.process, id=ProcessId(0, 1, "pid:[1]/7@0"))
    assert ended.sample.heap is not None
    sample = replace(ended.sample, heap=replace(ended.sample.heap, exit_code=0))
    world.exits.ended(replace(ended, process=hidden, sample=sample))
    assert world.reasons() == ["clean"]


async def test_stopping_names_what_waits() -> None:
    """The end of a command that `heapwarden run` has started is the end of the agent, too."""
    world, ended = World(), watched()
    world.exits.ended(ended)
    world.kernel.statuses[ended.process.id] = ExitStatus(code=0)
    await world.exits.stop()
    assert world.reasons() == ["clean"]
    late = World()
    late.exits.ended(ended)
    await late.exits.stop()
    assert late.reasons() == ["unknown"]


async def test_a_fault_in_one_is_not_the_end_of_all(caplog: pytest.LogCaptureFixture) -> None:
    """Said, and the next end has a name again."""
    world = World()
    world.exits.ended(watched())
    world.kernel.broken = True
    await eventually(lambda: any("without names" in record.message for record in caplog.records))
    world.kernel.broken = False
    other = watched(worker="1", pid=2)
    world.exits.ended(other)
    world.kernel.statuses[other.process.id] = KILLED
    await eventually(lambda: world.journal.events)
    assert world.reasons() == ["crash"]
    await world.exits.stop()


async def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When very many end at once, the rest is named without."""
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    world = World()
    for pid in range(1, 5):
        world.exits.ended(watched(worker=str(pid), pid=pid))
    assert len(world.journal.events) == 2
    await world.exits.stop()
    assert len(world.journal.events) == 4


async def test_counting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name whose last end is longest ago makes room; what a snapshot holds never changes."""
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    world = World()

    def end(name: str) -> None:
        one = watched(name, pid=len(world.journal.events) + 1)
        world.kernel.statuses[one.process.id] = ExitStatus(code=0)
        world.exits.ended(one)

    for name in ("a", "b", "a"):
        end(name)
    held = world.exits.counts
    end("c")
    assert world.exits.counts == {(Name("a", "0"), ExitReason.CLEAN): 2, (Name("c", "0"), ExitReason.CLEAN): 1}
    assert held == {(Name("b", "0"), ExitReason.CLEAN): 1, (Name("a", "0"), ExitReason.CLEAN): 2}


async def test_counting_by_pods_is_bounded_closer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rollout brings new ones: those that ended longest ago make room."""
    monkeypatch.setattr(module, "MOST_PLACES", 3)
    world = World()
    for number in range(9):
        ended = replace(watched(pid=number + 1), place=replace(PLACE, pod=f"api-{number}"))
        world.kernel.statuses[ended.process.id] = ExitStatus(code=0)
        world.exits.ended(ended)
    assert [name.pod for name, _ in world.exits.counts if isinstance(name, PlacedName)] == ["api-6", "api-7", "api-8"]


async def test_out_of_memory_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    """An error in the log, with figures and with what would have helped; a crash warns, a clean end informs."""
    world, ended = World(), watched()
    world.kernel.kills = 1
    held = Held(Trigger(RestartReason.MAX_MEMORY, "RSS is 300 MiB"), "budget", "budget spent: 3 in the last hour")
    for status, known in ((KILLED, replace(ended, held=held)), (ExitStatus(code=1), ended), (ExitStatus(0), ended)):
        world.kernel.statuses[ended.process.id] = status
        with caplog.at_level(logging.INFO):
            world.exits.ended(known)
    loud, warning, info = (record for record in caplog.records if record.name == module.__name__)
    assert (loud.levelno, warning.levelno, info.levelno) == (logging.ERROR, logging.WARNING, logging.INFO)
    assert loud.getMessage() == f"api/0 {world.journal.events[0].text}"
    assert "the kernel had just killed 1 process" in loud.getMessage()
    assert "In spite of Heapwarden: a restart was wanted (RSS is 300 MiB) and not made: budget spent" in loud.message


async def test_the_journal_may_fail() -> None:
    """Counting goes on."""
    world, ended = World(), watched()
    world.journal.fail()
    world.kernel.statuses[ended.process.id] = KILLED
    world.exits.ended(ended)
    assert world.exits.counts == {(Name("api", "0"), ExitReason.CRASH): 1}


async def test_wrappers_are_not_judged() -> None:
    """A package manager in front of an app is not watched, and so its end has no name."""
    wrapper = figures.process(role=Role.WRAPPER)
    discovery = FakeDiscovery(wrapper)
    watch, world = Watch(Watchlist(), discovery=discovery, clock=FakeClock()), World()
    watch.on_ended = world.exits.ended
    watch.found(discovery.scan())
    watch.judge()
    watch.ended(wrapper.id)
    assert world.journal.events == []


def changed(log: HealthLog, journal: FakeJournal, *processes: Watched) -> Sequence[str]:
    """What the journal has got by this snapshot."""
    before = len(journal.events)
    log.published(snapshot(*processes))
    return [event.text for event in journal.events[before:]]


async def test_changes_of_health_are_told_once() -> None:
    """With the state before, the reasons and the figures; what stays is no news, nor is who just starts."""
    journal = FakeJournal()
    log = HealthLog(journal)
    starting = watched(bare=True)
    healthy = replace(watched(), process=starting.process)
    near = replace(healthy, verdict=verdict(HealthState.DEGRADED, text="heap use is 85 %"))
    assert changed(log, journal, starting) == []
    assert changed(log, journal, healthy) == ["healthy, was starting"]
    assert changed(log, journal, healthy) == []
    assert changed(log, journal, near) == ["degraded, was healthy: heap use is 85 %"]
    assert changed(log, journal, replace(near, verdict=verdict(HealthState.DEGRADED, text="86 %"))) == []
    event = journal.events[-1]
    assert (event.kind, event.what, event.pid) == (EventKind.HEALTH, "degraded", 4711)
    assert event.figures["rss"] == 120 * figures.MIB


async def test_changes_are_told_when_others_come_and_go() -> None:
    """Neighbours in the list don't matter; a successor under the same name is another process."""
    journal = FakeJournal()
    log = HealthLog(journal)
    one, two = watched(), watched(worker="1", pid=2)
    changed(log, journal, one, two)
    ill = replace(two, verdict=verdict(HealthState.UNHEALTHY, text="full"))
    assert changed(log, journal, ill) == ["unhealthy, was healthy: full"]
    successor = watched(worker="1", pid=3)
    assert changed(log, journal, successor) == ["healthy"]
    assert journal.events[-1].pid == 3


async def test_what_changes_at_once_is_bounded() -> None:
    """A thousand at one moment are a hundred events, and one for the rest."""
    journal = FakeJournal()
    told = changed(HealthLog(journal), journal, *(watched(worker=str(n), pid=n + 1) for n in range(1_000)))
    assert len(told) == MOST_CHANGES + 1
    assert told[-1].startswith("900 more processes")
