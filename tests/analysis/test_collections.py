"""Mark-compacts of the last seconds."""

from hypothesis import given
from hypothesis import strategies as st

from fakes import figures
from heapwarden.analysis.collections import WINDOW_SECONDS, MajorMark, activity, remember


def _marks(*steps: tuple[float, int, float]) -> tuple[MajorMark, ...]:
    marks: tuple[MajorMark, ...] = ()
    for at, count, seconds in steps:
        marks = remember(marks, figures.isolate(taken_at=at, gc=figures.majors(count, seconds)))
    return marks


def test_share_is_of_the_time_between_the_marks() -> None:
    """Two more mark-compacts that took half a second of the last second."""
    found = activity(_marks((10.0, 5, 1.0), (11.0, 7, 1.5)))
    assert (found.count, found.share) == (2, 0.5)


def test_one_mark_tells_nothing() -> None:
    """A first sample has no past: what it counted may be hours old."""
    assert activity(_marks((10.0, 500, 100.0))).count == 0


def test_what_is_older_than_the_window_is_forgotten() -> None:
    """An old burst does not count; one mark before the window is kept to measure from."""
    found = activity(_marks((0.0, 0, 0.0), (1.0, 50, 0.9), (10.0, 50, 0.9), (10.8, 51, 1.0), (11.5, 52, 1.1)))
    assert (found.count, round(found.share, 6)) == (2, 0.133333)


def test_the_same_figures_again_change_nothing() -> None:
    """A connection that closes hands on its last figures once more."""
    marks = _marks((10.0, 1, 0.1), (11.0, 2, 0.2))
    assert remember(marks, figures.isolate(taken_at=11.0, gc=figures.majors(2, 0.2))) == marks


def test_a_count_that_falls_begins_anew() -> None:
    """Counts only grow within an isolate: this must be another one."""
    assert activity(_marks((10.0, 9, 0.9), (11.0, 1, 0.1))).count == 0


@given(st.lists(st.tuples(st.floats(0.001, 2), st.integers(0, 50), st.floats(0, 2)), min_size=1, max_size=50))
def test_bounded_in_memory_and_in_value(steps: list[tuple[float, int, float]]) -> None:
    """Whatever comes: at most one mark lies before the window, the share is a share, the count not negative."""
    marks: tuple[MajorMark, ...] = ()
    at, count, seconds = 0.0, 0, 0.0
    for gap, more, longer in steps:
        at, count, seconds = at + gap, count + more, seconds + longer
        marks = remember(marks, figures.isolate(taken_at=at, gc=figures.majors(count, seconds)))
        found = activity(marks)
        assert sum(mark.at < at - WINDOW_SECONDS for mark in marks) <= 1
        assert 0 <= found.share <= 1
        assert found.count >= 0
