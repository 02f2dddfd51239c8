"""When a restart rule holds: in pairs, what trips it and what does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import figures
from fakes.figures import MIB
from heapwarden.analysis.pressure import pressure
from heapwarden.domain.findings import Findings
from heapwarden.domain.health import HealthState, Verdict
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Plan, RestartReason, Trigger
from heapwarden.domain.sample import KernelFigures, Sample, TreeFigures
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.restart import HeapFigure, MemoryRule, RestartRules, ShareRule
from heapwarden.policy.wanted import RestartMemory, wanted

NOW = 1_000.0
STALE = 10.0
HEALTHY = Verdict(HealthState.HEALTHY, serving=True)


def _watched(sample: Sample, verdict: Verdict = HEALTHY, left: float | None = None) -> Watched:
    isolates = sample.heap.isolates if sample.heap else ()
    findings = Findings(pressure(isolates, sample.container), None, 0, 0.0, limit_in_seconds=left)
    return Watched(figures.process(), Name("server", "0"), sample, findings, verdict)


def _resident(mib: float, at: float = NOW) -> Sample:
    return replace(figures.sample(figures.isolate(), at=at), kernel=KernelFigures(at, int(mib * MIB), 0, 1, 1, 11))


def _once(rules: RestartRules, watched: Watched, now: float = NOW) -> RestartReason | None:
    trigger, _ = wanted(rules, watched, STALE, RestartMemory(), now)
    return trigger and trigger.reason


def test_resident_memory_at_the_limit_trips_and_below_does_not() -> None:
    """Bytes; and a share of the container's limit, which without a container is no rule."""
    rules = RestartRules(max_memory=MemoryRule(200 * MIB, 0.0))
    assert _once(rules, _watched(_resident(200))) is RestartReason.MAX_MEMORY
    assert _once(rules, _watched(_resident(199))) is None
    share = RestartRules(max_memory=MemoryRule(0.5, 0.0))
    container = replace(_resident(260), container=figures.sample(container=(300, 500)).container)
    assert _once(share, _watched(container)) is RestartReason.MAX_MEMORY
    assert _once(share, _watched(replace(container, container=None))) is None


def test_node_is_believed_where_the_kernel_can_not_be_asked() -> None:
    """Of a hidden process, what the reporter says; of one that can be seen, never that."""
    rules = RestartRules(max_memory=MemoryRule(200 * MIB, 0.0))
    heap = figures.heap(replace(figures.isolate(taken_at=NOW), process_rss_bytes=210 * MIB))
    hidden = Sample(ProcessId(0, 5_000, "pid:[1]/7@0"), NOW, heap=heap)
    assert _once(rules, _watched(hidden)) is RestartReason.MAX_MEMORY
    assert _once(rules, _watched(replace(hidden, process=ProcessId(100, 5_000)))) is None
    assert _once(rules, _watched(replace(_resident(190), heap=heap))) is None


def test_children_count_where_the_rule_says_so() -> None:
    """100 MiB alone, 250 MiB with all that is below it."""
    rules = RestartRules(max_memory=MemoryRule(200 * MIB, 0.0))
    tree = replace(_resident(100), tree=TreeFigures(NOW, 250 * MIB, 3))
    assert _once(replace(rules, tree=True), _watched(tree)) is RestartReason.MAX_MEMORY
    assert _once(rules, _watched(tree)) is None


def test_heap_use_counts_garbage_and_the_live_set_does_not() -> None:
    """950 of 1,000 MiB used, 400 of them alive."""
    heap = figures.sample(replace(figures.isolate(950), live_bytes=400 * MIB), at=NOW)
    rules = RestartRules(heap_usage=ShareRule(0.9, 0.0))
    assert _once(rules, _watched(heap)) is RestartReason.HEAP_USAGE
    assert _once(replace(rules, heap_of=HeapFigure.LIVE), _watched(heap)) is None
    full = figures.sample(replace(figures.isolate(950), live_bytes=910 * MIB), at=NOW)
    assert _once(replace(rules, heap_of=HeapFigure.LIVE), _watched(full)) is RestartReason.HEAP_USAGE


def test_container_use_trips_at_its_share() -> None:
    """95 of 100 MiB, and 94."""
    rules = RestartRules(container_usage=ShareRule(0.95, 0.0))
    assert _once(rules, _watched(figures.sample(at=NOW, container=(95, 100)))) is RestartReason.CONTAINER_USAGE
    assert _once(rules, _watched(figures.sample(at=NOW, container=(94, 100)))) is None


@pytest.mark.parametrize(
    "rules",
    [
        RestartRules(max_memory=MemoryRule(MIB, 0.0)),
        RestartRules(heap_usage=ShareRule(0.01, 0.0)),
        RestartRules(container_usage=ShareRule(0.01, 0.0)),
    ],
    ids=["rss", "heap", "container"],
)
def test_old_figures_confirm_nothing(rules: RestartRules) -> None:
    """In doubt nothing is done."""
    sample = figures.sample(figures.isolate(500), at=NOW, container=(90, 100))
    assert _once(rules, _watched(sample)) is not None
    assert _once(rules, _watched(sample), now=NOW + STALE + 1) is None


def test_an_unhealthy_process_that_does_not_recover_is_escalated() -> None:
    """After the time, not before; and what was healthy in between begins anew."""
    rules = RestartRules(escalate_after_seconds=600)
    ill = Verdict(HealthState.UNHEALTHY, serving=False, since=NOW - 600)
    assert _once(rules, _watched(_resident(80), ill)) is RestartReason.UNHEALTHY
    assert _once(rules, _watched(_resident(80), replace(ill, since=NOW - 599))) is None
    assert _once(rules, _watched(_resident(80), replace(ill, state=HealthState.DEGRADED))) is None


def test_a_rule_must_hold_for_its_time_without_a_gap() -> None:
    """Over for 9.9 s, below once, over again: the time begins anew."""
    rules = RestartRules(max_memory=MemoryRule(200 * MIB, 10.0))
    memory, tripped = RestartMemory(), []
    for tenths in range(400):
        now = NOW + tenths / 10
        over = not 95 <= tenths <= 100
        trigger, memory = wanted(rules, _watched(_resident(210 if over else 190, now)), STALE, memory, now)
        if trigger is not None:
            tripped.append(tenths)
    assert tripped[0] == 201
    assert tripped == list(range(201, 400))


def test_a_limit_that_is_near_is_not_waited_for() -> None:
    """`for: 1m`, but the heap would be full before a drain and a graceful stop were over: at once, and it says why."""
    rules = RestartRules(max_memory=MemoryRule(200 * MIB, 60.0), plan=Plan(drain_seconds=5))
    trigger, _ = wanted(rules, _watched(_resident(210), left=7.9), STALE, RestartMemory(), NOW)
    assert trigger is not None
    assert "would be hit in 7.9 s" in trigger.text
    assert _once(rules, _watched(_resident(210), left=8.1)) is None
    assert _once(rules, _watched(_resident(190), left=1.0)) is None


SAMPLES = st.lists(st.tuples(st.floats(0.05, 5), st.integers(0, 400)), max_size=60)


def _first(limit_mib: int, hold: float, samples: list[tuple[float, int]]) -> tuple[float | None, Trigger | None]:
    rules = RestartRules(max_memory=MemoryRule(limit_mib * MIB, hold))
    memory, now = RestartMemory(), NOW
    for gap, mib in samples:
        now += gap
        trigger, memory = wanted(rules, _watched(_resident(mib, now)), STALE, memory, now)
        if trigger is not None:
            return now, trigger
    return None, None


@given(SAMPLES, st.integers(1, 400), st.integers(0, 200), st.floats(0, 30))
def test_a_higher_limit_never_means_an_earlier_restart(
    samples: list[tuple[float, int]], limit: int, more: int, hold: float
) -> None:
    """Whatever the samples."""
    early, _ = _first(limit, hold, samples)
    late, _ = _first(limit + more, hold, samples)
    assert late is None or (early is not None and early <= late)


@given(SAMPLES, st.integers(1, 400), st.floats(0, 30), st.floats(0, 30))
def test_a_longer_time_never_means_an_earlier_restart(
    samples: list[tuple[float, int]], limit: int, hold: float, more: float
) -> None:
    """Whatever the samples."""
    early, _ = _first(limit, hold, samples)
    late, _ = _first(limit, hold + more, samples)
    assert late is None or (early is not None and early <= late)
