"""How soon a limit is hit, told from the last seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import figures
from fakes.figures import MIB
from heapwarden.analysis.trend import GAP_SECONDS, WINDOW_SECONDS, Point, extend, seconds_to_limit
from heapwarden.domain.sample import ContainerFigures


def _points(*heap_mib: float, every: float = 1.0) -> tuple[Point, ...]:
    points: tuple[Point, ...] = ()
    for place, used in enumerate(heap_mib):
        points = extend(points, figures.isolate(used), None, place * every)
    return points


def test_a_steady_leak_is_forecast() -> None:
    """20 MiB a second with 100 MiB left: five seconds."""
    points = _points(840, 860, 880, 900)
    assert seconds_to_limit(points, figures.isolate(900), None) == pytest.approx(5.0)


def test_what_collections_free_again_is_no_growth() -> None:
    """A sawtooth that comes back to the same floor never hits anything."""
    points = _points(800, 850, 900, 800, 850, 900, 800, every=0.5)
    assert seconds_to_limit(points, figures.isolate(900), None) is None


def test_the_nearer_limit_counts() -> None:
    """The heap has minutes, the container seconds."""
    points: tuple[Point, ...] = ()
    for second in range(4):
        container = ContainerFigures(second, (100 + 50 * second) * MIB, 300 * MIB)
        points = extend(points, figures.isolate(100 + second), container, second)
    assert seconds_to_limit(points, figures.isolate(103), container) == pytest.approx(1.0)


@pytest.mark.parametrize("heap", [(), (900,), (880, 900), (900, 900, 900), (900, 890, 880)])
def test_too_little_or_no_growth_tells_nothing(heap: tuple[float, ...]) -> None:
    """Two figures are no trend; what stays or falls hits no limit."""
    assert seconds_to_limit(_points(*heap), figures.isolate(900), None) is None


def test_beyond_the_limit_there_is_no_time_left() -> None:
    """Never a negative time."""
    assert seconds_to_limit(_points(980, 1_000, 1_020), figures.isolate(1_020), None) == 0.0


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
