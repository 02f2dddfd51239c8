"""Verdicts: what trips, what recovers, what is only unknown."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import figures
from heapwarden.analysis.pressure import heap_total_ratio, pressure, worst
from heapwarden.domain.findings import Findings
from heapwarden.domain.health import HealthState, ReasonCode, Verdict
from heapwarden.domain.sample import Sample
from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageRule
from heapwarden.policy.judge import HealthMemory, judge

RULES = HealthRules(heap=UsageRule(0.9, 0.8, 30.0), container=UsageRule(0.95, 0.85, 30.0))
AT_ONCE = replace(RULES, heap=UsageRule(0.9, 0.8, 0.0))


class History:
    """Judges one sample after the other, as the runtime does."""

    def __init__(self, rules: HealthRules = RULES) -> None:
        """Watched since second 0."""
        self.rules = rules
        self.memory = HealthMemory(watched_since=0.0)

    def judge(self, sample: Sample, now: float, mark_compacts: int = 0, share: float = 0.0) -> Verdict:
        """The verdict on ``sample`` at ``now``."""
        isolates = sample.heap.isolates if sample.heap else ()
        total = worst(heap_total_ratio(isolate) for isolate in isolates)
        findings = Findings(pressure(isolates, sample.container), total, mark_compacts, share)
        verdict, self.memory = judge(self.rules, sample, findings, self.memory, now)
        return verdict

    def heap(self, percent: float, now: float) -> Verdict:
        """The verdict on a heap ``percent`` full."""
        return self.judge(figures.sample(figures.isolate(used_mib=percent * 10, taken_at=now), at=now), now)


def codes(verdict: Verdict) -> list[ReasonCode]:
    """The reasons' codes."""
    return [reason.code for reason in verdict.reasons]


def test_a_full_heap_is_unhealthy_once_it_has_held() -> None:
    """`for: 30s`: degraded at first and still serving, unhealthy from second 30 on."""
    history = History()
    assert history.heap(95, 0).state is HealthState.DEGRADED
    assert history.heap(95, 29.9).serving
    verdict = history.heap(95, 30)
    assert verdict.state is HealthState.UNHEALTHY
    assert not verdict.serving
    assert "95.0% of the effective heap limit (950 of 1000 MiB) for 30 s" in verdict.reasons[0].text


def test_a_heap_that_dips_begins_to_count_anew() -> None:
    """The threshold must hold without a gap, as Prometheus's `for`."""
    history = History()
    history.heap(95, 0)
    history.heap(89, 20)
    assert history.heap(95, 31).state is HealthState.DEGRADED
    assert history.heap(95, 61).state is HealthState.UNHEALTHY


def test_zero_duration_trips_at_the_first_figure() -> None:
    """`for: 0s` answers with the first sample over the mark."""
    assert History(AT_ONCE).heap(90, 0).state is HealthState.UNHEALTHY


def test_recovery_waits_for_the_lower_mark() -> None:
    """Between the marks an unhealthy process stays unhealthy; below the lower one it serves again."""
    history = History(AT_ONCE)
    history.heap(95, 0)
    assert history.heap(85, 1).state is HealthState.UNHEALTHY
    assert history.heap(80, 2).state is HealthState.UNHEALTHY
    assert history.heap(79, 3).state is HealthState.HEALTHY


def test_a_static_half_full_heap_never_leaves_healthy() -> None:
    """500 MiB of 1000 is no news, however much of heapTotal it is."""
    history = History(AT_ONCE)
    sample = figures.sample(figures.isolate(used_mib=500, total_mib=510, taken_at=1e9))
    assert {history.judge(sample, now).state for now in range(0, 600, 10)} == {HealthState.HEALTHY}


def test_the_tutorials_check_is_selectable() -> None:
    """`of: heap_total` divides by heapTotal, and says so."""
    history = History(replace(AT_ONCE, heap_of=HeapDenominator.HEAP_TOTAL))
    verdict = history.judge(figures.sample(figures.isolate(used_mib=46, total_mib=50, taken_at=0.0)), 0.0)
    assert verdict.state is HealthState.UNHEALTHY
    assert "92.0% of heapTotal (46 of 50 MiB)" in verdict.reasons[0].text


def test_the_worst_isolate_counts() -> None:
    """A worker thread near its own limit makes the process unhealthy, and is named."""
    isolates = (figures.isolate(taken_at=0.0), figures.isolate(95, 100, thread=3, taken_at=0.0))
    verdict = History(AT_ONCE).judge(figures.sample(*isolates), 0.0)
    assert verdict.state is HealthState.UNHEALTHY
    assert "in worker thread 3 is 95.0%" in verdict.reasons[0].text


def test_a_full_container_is_unhealthy_and_recovers() -> None:
    """Container use has marks of its own."""
    history = History(replace(RULES, container=UsageRule(0.95, 0.85, 10.0)))

    def at(memory: float, now: float) -> Verdict:
        return history.judge(figures.sample(figures.isolate(taken_at=now), container=(memory, 100), at=now), now)

    assert at(96, 0).state is HealthState.DEGRADED
    assert at(96, 10).state is HealthState.UNHEALTHY
    assert codes(at(96, 10)) == [ReasonCode.CONTAINER_USAGE]
    assert at(86, 11).state is HealthState.UNHEALTHY
    assert at(84, 12).state is HealthState.HEALTHY


def test_a_container_without_limit_is_far_from_it() -> None:
    """Taking the limit away ends the trouble."""
    history = History(replace(RULES, container=UsageRule(0.95, 0.85, 0.0)))
    fresh = figures.isolate(taken_at=0.0)
    assert history.judge(figures.sample(fresh, container=(99, 100), at=0.0), 0).state is HealthState.UNHEALTHY
    assert history.judge(figures.sample(fresh, container=(99, None), at=2.0), 2).state is HealthState.HEALTHY


def test_a_container_that_can_not_be_read_any_more_is_not_held_against_the_app() -> None:
    """Its last figures count until they are stale; after that nothing confirms them."""
    history = History(replace(RULES, container=UsageRule(0.95, 0.85, 0.0)))

    def at(now: float) -> HealthState:
        sample = replace(figures.sample(figures.isolate(taken_at=now), container=(99, 100), at=0.0), at=now)
        return history.judge(sample, now).state

    assert [at(0), at(10), at(10.1)] == [HealthState.UNHEALTHY, HealthState.UNHEALTHY, HealthState.HEALTHY]


def test_collections_that_gain_nothing_are_the_end() -> None:
    """V8 gives up at four fifths when the mutator gets too little: over the mark although used bytes are not."""
    sample = figures.sample(figures.isolate(used_mib=760, taken_at=0.0))
    verdict = History(AT_ONCE).judge(sample, 0.0, mark_compacts=3, share=0.21)
    assert verdict.state is HealthState.UNHEALTHY
    assert ReasonCode.GC_THRASHING in codes(verdict)


@pytest.mark.parametrize(
    ("used", "mark_compacts", "share"),
    [
        pytest.param(740, 10, 0.9, id="heap not full"),
        pytest.param(850, 2, 0.9, id="too few"),
        pytest.param(850, 10, 0.15, id="mutator has time"),
    ],
)
def test_busy_collections_alone_are_not(used: float, mark_compacts: int, share: float) -> None:
    """Each of the three conditions is needed."""
    sample = figures.sample(figures.isolate(used_mib=used, taken_at=0.0))
    verdict = History(AT_ONCE).judge(sample, 0.0, mark_compacts=mark_compacts, share=share)
    assert verdict.serving
    assert ReasonCode.GC_THRASHING not in codes(verdict)


@pytest.mark.parametrize(
    ("on_unknown", "serving"),
    [pytest.param(OnUnknown.HEALTHY, True, id="healthy"), pytest.param(OnUnknown.UNHEALTHY, False, id="unhealthy")],
)
def test_no_figures_are_starting_then_unknown(on_unknown: OnUnknown, serving: bool) -> None:
    """Within the grace it starts and serves; after it, `on_unknown` says what a balancer hears."""
    history = History(replace(RULES, on_unknown=on_unknown))
    starting = history.judge(figures.sample(), 9.9)
    assert (starting.state, starting.serving) == (HealthState.STARTING, True)
    unknown = history.judge(figures.sample(), 10.0)
    assert (unknown.state, unknown.serving) == (HealthState.UNKNOWN, serving)
    assert codes(unknown) == [ReasonCode.NO_HEAP_FIGURES]


def test_stale_figures_make_unknown_and_fresh_ones_heal() -> None:
    """A blocked loop silences the reporter: unknown after `stale_after`, healthy with the next figures."""
    history = History()
    sample = figures.sample(figures.isolate(taken_at=0.0))
    assert history.judge(sample, 10.0).state is HealthState.HEALTHY
    stale = history.judge(sample, 10.1)
    assert stale.state is HealthState.UNKNOWN
    assert "10 s old" in stale.reasons[0].text
    assert history.heap(4, 11).state is HealthState.HEALTHY


def test_silence_trips_nothing() -> None:
    """Figures that were over for a moment and then stopped coming follow `on_unknown`, however long that lasts."""
    history = History()
    sample = figures.sample(figures.isolate(used_mib=950, taken_at=0.0))
    assert history.judge(sample, 0.0).state is HealthState.DEGRADED
    verdict = history.judge(sample, 500.0)
    assert (verdict.state, verdict.serving) == (HealthState.UNKNOWN, True)
    assert ReasonCode.FIGURES_STALE in codes(verdict)


def test_silence_does_not_pardon() -> None:
    """A heap that had tripped and whose event loop then stands stays unhealthy; fresh figures decide."""
    history = History(AT_ONCE)
    history.heap(95, 0)
    silent = figures.sample(figures.isolate(used_mib=950, taken_at=0.0))
    assert history.judge(silent, 500.0).state is HealthState.UNHEALTHY
    assert history.heap(40, 501).state is HealthState.HEALTHY


def test_what_can_not_be_confirmed_any_more_is_let_go() -> None:
    """A reporter that is gone while the process lives can't ever say that the heap is well again."""
    history = History(AT_ONCE)
    history.heap(95, 0)
    lost = figures.sample(figures.isolate(used_mib=950, taken_at=0.0), connected=False)
    assert history.judge(lost, 10.0).state is HealthState.UNHEALTHY
    assert history.judge(lost, 10.1).state is HealthState.UNKNOWN


def test_since_is_when_the_state_began() -> None:
    """Later judgements of the same state keep its beginning."""
    history = History()
    history.heap(10, 5)
    assert history.heap(11, 50).since == 5
    assert history.heap(95, 60).since == 60


@given(st.lists(st.tuples(st.floats(0, 1.5), st.floats(0.1, 20)), max_size=60), st.floats(0, 60))
def test_never_unhealthy_faster_than_it_must_hold(steps: list[tuple[float, float]], hold: float) -> None:
    """Whatever the figures do, two entries into unhealthy are more than `for` apart, and so is the first from 0."""
    history = History(replace(RULES, heap=UsageRule(0.9, 0.8, hold), stale_after_seconds=1e9))
    now, entered, before = 0.0, 0.0, HealthState.HEALTHY
    for ratio, gap in steps:
        state = history.heap(ratio * 100, now).state
        if state is HealthState.UNHEALTHY and before is not state:
            assert now - entered >= hold
            entered = now
        before = state
        now += gap


@given(st.lists(st.tuples(st.floats(0, 1.2), st.floats(0.1, 20)), max_size=40), st.floats(0, 0.2))
def test_a_fuller_heap_is_never_judged_milder(steps: list[tuple[float, float]], more: float) -> None:
    """Monotonic: with every figure higher, unhealthy at least whenever it was with the lower ones."""
    lower, higher = History(), History()
    now = 0.0
    for ratio, gap in steps:
        mild, hard = lower.heap(ratio * 100, now), higher.heap((ratio + more) * 100, now)
        assert hard.state is HealthState.UNHEALTHY or mild.state is not HealthState.UNHEALTHY
        now += gap
