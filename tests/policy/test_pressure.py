"""The level that an app is told: up at once, down only when it is meant, and never to and fro."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.domain.findings import PressureLevel
from heapwarden.policy.pressure import FALL_MARGIN_RATIO, FALL_SECONDS, PressureMemory, level_of, track

NORMAL, ELEVATED, HIGH, CRITICAL = PressureLevel
RANK = {level: rank for rank, level in enumerate(PressureLevel)}

Look = tuple[float, float | None]
"""Seconds since the last look, and the ratio."""
looks = st.lists(st.tuples(st.floats(0.01, 20), st.none() | st.floats(0, 1.5)), max_size=60)


def levels(looks: Iterable[Look]) -> list[PressureLevel | None]:
    """The level after each."""
    now, memory, found = 100.0, None, []
    for seconds, ratio in looks:
        now += seconds
        memory = track(memory, ratio, now)
        found.append(memory.level if memory else None)
    return found


def changes(found: list[PressureLevel | None]) -> int:
    """How often it changed after it was known first."""
    known = [level for level in found if level is not None]
    return sum(1 for before, after in pairwise(known) if before is not after)


@pytest.mark.parametrize(
    ("ratio", "level"),
    [(0.0, NORMAL), (0.6999, NORMAL), (0.7, ELEVATED), (0.8, HIGH), (0.9, CRITICAL), (1.4, CRITICAL)],
)
def test_the_first_ratio_is_taken_as_it_is(ratio: float, level: PressureLevel) -> None:
    """The marks belong to the level above them."""
    assert levels([(1, ratio)]) == [level]


def test_it_rises_at_once_and_over_several_levels() -> None:
    """A leak does not wait."""
    assert levels([(1, 0.5), (0.01, 0.95)]) == [NORMAL, CRITICAL]


def test_it_falls_once_the_ratio_was_low_for_long_enough() -> None:
    """Not at the first low figure, not when one in between was high, and then as far as all of them allow."""
    low, high = 0.6, 0.76
    assert levels([(1, 0.8), (1, low), (FALL_SECONDS - 0.01, low), (0.02, low)]) == [HIGH, HIGH, HIGH, NORMAL]
    assert levels([(1, 0.8), (1, low), (3, high), (3, low), (4.9, low), (0.2, low)]) == [HIGH] * 5 + [NORMAL]
    assert levels([(1, 0.9), (1, 0.72), (1, low), (5, low)]) == [CRITICAL] * 3 + [ELEVATED]


def test_what_is_not_known_changes_nothing() -> None:
    """Neither before the first figure nor after."""
    assert levels([(1, None), (1, 0.85), (9, None), (9, None)]) == [None, HIGH, HIGH, HIGH]


def test_a_sawtooth_of_collections_is_one_level() -> None:
    """Measured with a live set of .67: garbage up to .83, collected every other second; the bare level flaps."""
    saw = [(0.4, ratio) for _ in range(100) for ratio in (0.67, 0.71, 0.75, 0.79, 0.83)]
    assert changes([level_of(ratio) for _, ratio in saw]) == 299
    found = levels(saw)
    assert changes(found) == 2
    assert found[-1] is HIGH


@given(st.sampled_from([0.7, 0.8, 0.9]), st.lists(st.tuples(st.floats(0.01, 20), st.floats(0, 1)), max_size=60))
def test_it_never_flaps_within_the_margin(mark: float, steps: list[tuple[float, float]]) -> None:
    """However the ratio moves between a mark less the margin and the next mark: it may rise once, and stays."""
    low, high = mark - FALL_MARGIN_RATIO + 1e-9, mark + 0.0999
    found = levels([(seconds, low + share * (high - low)) for seconds, share in steps])
    assert changes(found) <= 1


@given(looks)
def test_it_is_never_below_the_bare_level(sequence: list[Look]) -> None:
    """Nobody near a limit is told less than that."""
    for (_, ratio), level in zip(sequence, levels(sequence), strict=True):
        if ratio is not None:
            assert level is not None
            assert RANK[level] >= RANK[level_of(ratio)]


@given(looks)
def test_falls_are_at_least_so_far_apart(sequence: list[Look]) -> None:
    """Between any rise and the fall after it, and between two falls, there is the whole time."""
    now, memory, last = 100.0, None, float("-inf")
    for seconds, ratio in sequence:
        now += seconds
        before: PressureMemory | None = memory
        memory = track(memory, ratio, now)
        if before is None or memory is None or before.level is memory.level:
            continue
        if RANK[memory.level] < RANK[before.level]:
            assert now - last >= FALL_SECONDS
        last = now


@given(looks, st.floats(0.0, 0.6), st.floats(0.01, 20))
def test_calm_comes_in_the_end(sequence: list[Look], ratio: float, seconds: float) -> None:
    """Whatever was before: a ratio that stays below all marks ends at normal, within two falls."""
    calm = [(seconds, ratio)] * (2 * int(FALL_SECONDS / seconds) + 5)
    assert levels([*sequence, *calm])[-1] is NORMAL
