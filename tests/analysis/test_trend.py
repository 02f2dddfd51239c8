"""How soon a limit is hit, told from the last seconds."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import figures
from fakes.figures import MIB
from heapwarden.analysis.trend import GAP_SECONDS, WINDOW_SECONDS, Point, extend, seconds_to_limit
from heapwarden.domain.sample import ContainerFigures, Isolate


def _heap(used: float, live: float, mark_compacts: int, thread: int = 0) -> Isolate:
    isolate = figures.isolate(used, gc=figures.majors(mark_compacts, 0.1), thread=thread)
    return replace(isolate, live_bytes=int(live * MIB))


def _points(heaps: Sequence[Isolate], every: float = 0.5) -> tuple[Point, ...]:
    points: tuple[Point, ...] = ()
    for place, heap in enumerate(heaps):
        points = extend(points, heap, None, place * every)
    return points


def test_a_steady_leak_is_forecast() -> None:
    """A mark-compact each half second, each leaves 10 MiB more, 100 MiB are left: five seconds."""
    heaps = [_heap(870 + 10 * n, 860 + 10 * n, n) for n in range(4)]
    assert seconds_to_limit(_points(heaps), heaps[-1], None) == pytest.approx(5.0)


def test_garbage_between_collections_is_no_growth() -> None:
    """From 600 to 850 of 1,000 MiB in four seconds, and no mark-compact has looked at it yet."""
    heaps = [_heap(600 + 30 * n, 600, 7) for n in range(8)]
    assert seconds_to_limit(_points(heaps), heaps[-1], None) is None
    heaps = [_heap(900, 600, 7), _heap(610, 600, 8), _heap(800, 600, 8), _heap(900, 600, 8)]
    assert seconds_to_limit(_points(heaps), heaps[-1], None) is None


def test_two_heaps_are_not_taken_for_one_that_grows() -> None:
    """The fullest is now a worker thread, now the main thread: nothing grows."""
    heaps = [_heap(50, 50, 1, thread=3), _heap(800, 800, 2), _heap(50, 50, 2, thread=3), _heap(800, 800, 3)]
    assert seconds_to_limit(_points(heaps), heaps[-1], None) is None


def _containers(*mib: float) -> tuple[tuple[Point, ...], ContainerFigures]:
    points: tuple[Point, ...] = ()
    for second, memory in enumerate(mib):
        container = ContainerFigures(second, int(memory * MIB), 300 * MIB)
        points = extend(points, figures.isolate(100), container, second)
    return points, container


def test_the_nearer_limit_counts() -> None:
    """The heap does not grow, the container has a second."""
    points, container = _containers(100, 150, 200, 250)
    assert seconds_to_limit(points, figures.isolate(100), container) == pytest.approx(1.0)


@pytest.mark.parametrize("mib", [(), (250,), (200, 250), (250, 250, 250), (250, 240, 230), (200, 250, 200, 250, 200)])
def test_too_little_or_no_growth_tells_nothing(mib: tuple[float, ...]) -> None:
    """Two figures are no trend; what stays, falls, or comes back to its floor hits no limit."""
    points, container = _containers(*mib) if mib else ((), None)
    assert seconds_to_limit(points, figures.isolate(100), container) is None


def test_beyond_the_limit_there_is_no_time_left() -> None:
    """Never a negative time."""
    points, container = _containers(280, 300, 320)
    assert seconds_to_limit(points, None, container) == 0.0


@given(st.lists(st.floats(0, 0.5), max_size=300))
def test_the_window_is_bounded(gaps: list[float]) -> None:
    """However fast frames come, few points are kept, and none is older than the window."""
    points: tuple[Point, ...] = ()
    now = 0.0
    for gap in gaps:
        now += gap
        points = extend(points, figures.isolate(100), None, now)
    assert len(points) <= WINDOW_SECONDS / GAP_SECONDS + 2
    assert all(now - point.at <= WINDOW_SECONDS + 0.5 for point in points)
