"""Who is told which level, and when."""

from dataclasses import dataclass, field, replace

from fakes.snapshots import snapshot, watched
from heapwarden.domain.findings import Limit, Pressure, PressureLevel
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.pressure import FALL_SECONDS
from heapwarden.runtime.pressure import PressureLevels

NORMAL, ELEVATED, HIGH, CRITICAL = PressureLevel


@dataclass
class FakeReporters:
    """Keeps what is told; ``deaf`` ones have no reporter. Of no other message is anything heard here."""

    told: list[tuple[int, PressureLevel, float, Limit]] = field(default_factory=list)
    deaf: set[int] = field(default_factory=set)

    def pressure(self, process: ProcessId, level: PressureLevel, ratio: float, nearer: Limit) -> bool:
        """Keep."""
        if process.pid in self.deaf:
            return False
        self.told.append((process.pid, level, ratio, nearer))
        return True

    def drain(self, process: ProcessId, within_seconds: float) -> bool:
        """Never asked."""
        raise NotImplementedError

    def collect(self, process: ProcessId) -> bool:
        """Never asked."""
        raise NotImplementedError

    def raise_signal(self, process: ProcessId, name: str) -> bool:
        """Never asked."""
        raise NotImplementedError


def at(now: float, heap: float | None, container: float | None = None, pid: int = 1) -> Watched:
    """One process with these ratios."""
    one = watched(pid=pid)
    findings = replace(one.findings, pressure=Pressure(heap, container))
    return replace(one, sample=replace(one.sample, at=now), findings=findings)


def test_only_changes_are_told() -> None:
    """The first level, each other one, and the limit that is nearer then."""
    reporters = FakeReporters()
    levels = PressureLevels(reporters)
    for now, heap, container in ((0, 0.2, 0.1), (1, 0.3, 0.2), (2, 0.72, 0.2), (3, 0.75, 0.2), (4, 0.5, 0.85)):
        levels.published(snapshot(at(now, heap, container)))
    assert reporters.told == [
        (1, NORMAL, 0.2, Limit.HEAP),
        (1, ELEVATED, 0.72, Limit.HEAP),
        (1, HIGH, 0.85, Limit.CONTAINER),
    ]


def test_the_all_clear_is_told_too() -> None:
    """After the time that a fall takes."""
    reporters = FakeReporters()
    levels = PressureLevels(reporters)
    for now, ratio in ((0, 0.95), (1, 0.3), (1 + FALL_SECONDS, 0.3)):
        levels.published(snapshot(at(now, ratio)))
    assert [level for _, level, _, _ in reporters.told] == [CRITICAL, NORMAL]


def test_who_can_not_be_told_is_told_later() -> None:
    """A reporter that connects after the level was known; what changed in between is not told any more."""
    reporters = FakeReporters(deaf={1})
    levels = PressureLevels(reporters)
    levels.published(snapshot(at(0, 0.75)))
    levels.published(snapshot(at(1, 0.85)))
    assert levels.level(ProcessId(1, 10)) is HIGH
    reporters.deaf.clear()
    levels.published(snapshot(at(2, None)))
    assert reporters.told == [], "there is no ratio to tell"
    levels.published(snapshot(at(3, 0.82)))
    assert reporters.told == [(1, HIGH, 0.82, Limit.HEAP)]


def test_each_process_has_a_level_of_its_own() -> None:
    """Workers of one name are told apart."""
    reporters = FakeReporters()
    levels = PressureLevels(reporters)
    levels.published(snapshot(at(0, 0.1, pid=1), at(0, 0.92, pid=2), at(0, None, pid=3)))
    assert [levels.level(ProcessId(pid, pid * 10)) for pid in (1, 2, 3, 4)] == [NORMAL, CRITICAL, None, None]


def test_what_was_not_judged_anew_is_not_looked_at() -> None:
    """A snapshot of a thousand processes of which one has news costs one look."""
    reporters = FakeReporters(deaf={1})
    levels = PressureLevels(reporters)
    same = at(0, 0.95)
    levels.published(snapshot(same))
    reporters.deaf.clear()
    levels.published(snapshot(same, at(0, 0.1, pid=2)))
    assert [pid for pid, _, _, _ in reporters.told] == [2]


def test_whoever_ends_is_forgotten() -> None:
    """Nothing stays, and who comes after it, under its pid or not, begins anew."""
    reporters = FakeReporters()
    levels = PressureLevels(reporters)
    for n in range(1_000):
        levels.published(snapshot(at(n, 0.95, pid=n + 1)))
    assert levels.level(ProcessId(1, 10)) is None
    assert len(levels._memories) == len(levels._told) == len(levels._seen) == 1
    levels.published(snapshot())
    assert not levels._memories
