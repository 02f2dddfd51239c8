"""Mark-compacts of the last second (of the last interval, where that is longer): how many, and their share of time.

V8 gives up with "Ineffective mark-compacts near heap limit" when the mutator got less than 40 % of the time over four
mark-compacts that left the heap four fifths full, so both numbers tell of the end before used bytes do.
"""

from dataclasses import dataclass

from heapwarden.domain.sample import GcKind, Isolate

WINDOW_SECONDS = 1.0
LEAST_SECONDS = 0.2
"""A share of less time than this would say more than is known."""


@dataclass(frozen=True, slots=True)
class MajorMark:
    """How many mark-compacts an isolate had had at a time, and what they had cost."""

    at: float
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class MajorActivity:
    """Mark-compacts between two times."""

    count: int = 0
    share: float = 0.0
    """Of wall time; 0 to 1."""


def remember(marks: tuple[MajorMark, ...], isolate: Isolate) -> tuple[MajorMark, ...]:
    """The marks with this isolate's newest figures; one mark at or before the window's begin is kept, none older."""
    if marks and isolate.taken_at <= marks[-1].at:
        return marks
    totals = isolate.gc.get(GcKind.MAJOR)
    newest = MajorMark(isolate.taken_at, totals.count if totals else 0, totals.seconds if totals else 0.0)
    if marks and newest.count < marks[-1].count:
        return (newest,)
    begin = isolate.taken_at - WINDOW_SECONDS
    outside = sum(1 for mark in marks if mark.at <= begin)
    return (*marks[max(0, outside - 1) :], newest)


def activity(marks: tuple[MajorMark, ...]) -> MajorActivity:
    """What happened between the first mark and the last."""
    if len(marks) < 2:  # noqa: PLR2004  a difference needs two
        return MajorActivity()
    first, last = marks[0], marks[-1]
    elapsed = max(last.at - first.at, LEAST_SECONDS)
    return MajorActivity(count=last.count - first.count, share=min(1.0, (last.seconds - first.seconds) / elapsed))
