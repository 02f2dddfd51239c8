"""Rows in pages."""

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from heapwarden.runtime.ring import PAGE_ROWS, Ring

FORMAT = struct.Struct("<d2f")
PAGE_BYTES = PAGE_ROWS * FORMAT.size

FLOATS = st.floats(width=32, allow_nan=False)
ROWS = st.lists(st.tuples(st.floats(0.001, 1e3), FLOATS, FLOATS), max_size=80)
"""Seconds since the row before, and two figures."""


def filled(rows: list[tuple[float, float, float]], most_pages: int) -> tuple[Ring, list[tuple[float, ...]]]:
    """A ring that was given these, and what it was given."""
    ring, given_, time = Ring(FORMAT, most_pages), [], 0.0
    for after, *figures in rows:
        time += after
        given_.append((time, *figures))
        ring.append(given_[-1])
    return ring, given_


@given(ROWS, st.integers(1, 4))
def test_it_keeps_the_newest_and_no_more_than_it_may(rows: list[tuple[float, float, float]], most: int) -> None:
    """In the order they came, as they were but for float32; and only whole pages are let go."""
    ring, given_ = filled(rows, most)
    kept = list(ring.rows())
    assert kept == given_[len(given_) - len(kept) :]
    assert len(kept) == len(ring) <= most * PAGE_ROWS
    assert len(kept) >= min(len(given_), (most - 1) * PAGE_ROWS + 1)
    assert ring.forgot == (len(kept) < len(given_))
    assert ring.bytes_used <= most * (PAGE_BYTES + 80)


@given(ROWS, st.integers(1, 4), st.floats(0, 1e5))
def test_it_tells_what_is_newer(rows: list[tuple[float, float, float]], most: int, time: float) -> None:
    """As if all were looked at."""
    ring, _ = filled(rows, most)
    assert ring.after(time) == [row for row in ring.rows() if row[0] > time]


@given(ROWS, st.integers(1, 4), st.integers(1, 4))
def test_it_can_be_made_smaller_and_goes_on(rows: list[tuple[float, float, float]], most: int, less: int) -> None:
    """The newest stay, and the next one comes behind them."""
    ring, given_ = filled(rows, most)
    ring.keep(less)
    ring.append((1e9, 1.0, 2.0))
    kept = list(ring.rows())
    assert len(kept) <= less * PAGE_ROWS
    assert kept == [*given_, (1e9, 1.0, 2.0)][-len(kept) :]


@given(ROWS, st.floats(0, 1e5))
def test_it_forgets_what_is_old_by_the_page(rows: list[tuple[float, float, float]], before: float) -> None:
    """No page stays of which all rows are older, but for the newest page; nothing newer goes."""
    ring, given_ = filled(rows, 100)
    ring.forget(before)
    kept = list(ring.rows())
    assert kept == given_[len(given_) - len(kept) :]
    assert [row for row in given_ if row[0] >= before] == [row for row in kept if row[0] >= before]
    assert len([row for row in kept[: len(kept) - len(kept) % PAGE_ROWS] if row[0] < before]) < 2 * PAGE_ROWS


def test_what_is_not_known_stays_so() -> None:
    """NaN goes in and comes out."""
    ring = Ring(FORMAT, 1)
    ring.append((1.0, math.nan, 2.0))
    ((time, unknown, known),) = ring.rows()
    assert (time, known) == (1.0, 2.0)
    assert math.isnan(unknown)
