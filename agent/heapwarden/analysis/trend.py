"""Where the last seconds lead: how soon the nearer limit is hit if memory goes on growing as it does now.

Of a heap only what mark-compacts have left counts: what grows between two of them may all be garbage. Of a container
every byte counts, because its kernel collects nothing: the lowest figure of the first half of the window is held
against the lowest of the second. This is for the seconds before a death, not for leaks over hours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from heapwarden.domain.sample import ContainerFigures, GcKind, Isolate

WINDOW_SECONDS = 4.0
LEAST_SECONDS = 1.0
LEAST_POINTS = 3
LEAST_FLOORS_SECONDS = 0.3
"""Between the first and the last of the mark-compacts that a heap's growth is read from."""
GAP_SECONDS = 0.1
"""Between two points: frames near the heap limit come oftener than they tell something new."""


@dataclass(frozen=True, slots=True)
class Point:
    """Bytes at one time; None where they are not known."""

    at: float
    thread: int | None
    """Of the isolate that is nearest to its effective limit."""
    mark_compacts: int
    """That it has had."""
    live_bytes: int | None
    """What the last of them has left."""
    container_bytes: int | None


def extend(
    points: tuple[Point, ...], fullest: Isolate | None, container: ContainerFigures | None, now: float
) -> tuple[Point, ...]:
    """The points with what is known at ``now``; none older than the window."""
    if points and now - points[-1].at < GAP_SECONDS:
        return points
    kept = (point for point in points if now - point.at <= WINDOW_SECONDS)
    memory = container.memory_bytes if container else None
    if fullest is None:
        return (*kept, Point(now, None, 0, None, memory))
    return (*kept, Point(now, fullest.thread, _mark_compacts(fullest), fullest.live_bytes, memory))


def seconds_to_limit(
    points: Sequence[Point], fullest: Isolate | None, container: ContainerFigures | None
) -> float | None:
    """Until the first of both limits; 0 beyond it; None while nothing grows, or too little is known."""
    times = []
    if fullest is not None:
        left = fullest.effective_limit_bytes - fullest.heap_used_bytes
        times.append(_time(_heap_slope(points, fullest.thread), left))
    if container is not None and container.limit_bytes:
        memory = [(point.at, point.container_bytes) for point in points if point.container_bytes is not None]
        times.append(_time(_slope(memory), container.limit_bytes - container.memory_bytes))
    return min((time for time in times if time is not None), default=None)


def _time(slope: float | None, left_bytes: int) -> float | None:
    return None if slope is None else max(0.0, left_bytes / slope)


def _heap_slope(points: Sequence[Point], thread: int) -> float | None:
    """By what the window's first and last mark-compact of this isolate have left; None unless that grew."""
    floors = [
        (point.at, point.live_bytes)
        for before, point in pairwise(points)
        if point.thread == before.thread == thread
        and point.mark_compacts > before.mark_compacts
        and point.live_bytes is not None
    ]
    if len(floors) < 2 or floors[-1][0] - floors[0][0] < LEAST_FLOORS_SECONDS:  # noqa: PLR2004  growth is between two
        return None
    grown = floors[-1][1] - floors[0][1]
    return grown / (floors[-1][0] - floors[0][0]) if grown > 0 else None


def _slope(series: Sequence[tuple[float, int]]) -> float | None:
    """Bytes a second; None unless it grows."""
    if len(series) < LEAST_POINTS or series[-1][0] - series[0][0] < LEAST_SECONDS:
        return None
    middle = (series[0][0] + series[-1][0]) / 2
    first, second = _lowest(p for p in series if p[0] <= middle), _lowest(p for p in series if p[0] > middle)
    grown = second[1] - first[1]
    return grown / (second[0] - first[0]) if grown > 0 else None


def _lowest(points: Iterable[tuple[float, int]]) -> tuple[float, int]:
    return min(points, key=lambda point: point[1])


def _mark_compacts(isolate: Isolate) -> int:
    majors = isolate.gc.get(GcKind.MAJOR)
    return majors.count if majors else 0
