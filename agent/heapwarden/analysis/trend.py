"""Where the last seconds lead: how soon the nearer limit is hit if memory goes on growing as it does now.

The lowest figure of the first half of the window is held against the lowest of the second: what a collection frees
again a moment later is no growth. This is for the seconds before a death, not for leaks over hours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heapwarden.domain.sample import ContainerFigures, Isolate

WINDOW_SECONDS = 4.0
LEAST_SECONDS = 1.0
LEAST_POINTS = 3
GAP_SECONDS = 0.1
"""Between two points: frames near the heap limit come oftener than they tell something new."""


@dataclass(frozen=True, slots=True)
class Point:
    """Bytes at one time; None where they are not known."""

    at: float
    heap_bytes: int | None
    """Of the isolate that is nearest to its effective limit."""
    container_bytes: int | None


def extend(
    points: tuple[Point, ...], fullest: Isolate | None, container: ContainerFigures | None, now: float
) -> tuple[Point, ...]:
    """The points with what is known at ``now``; none older than the window."""
    if points and now - points[-1].at < GAP_SECONDS:
        return points
    newest = Point(now, fullest.heap_used_bytes if fullest else None, container.memory_bytes if container else None)
    return (*(point for point in points if now - point.at <= WINDOW_SECONDS), newest)


def seconds_to_limit(
    points: Sequence[Point], fullest: Isolate | None, container: ContainerFigures | None
) -> float | None:
    """Until the first of both limits; 0 beyond it; None while nothing grows, or too little is known."""
    times = []
    if fullest is not None:
        heap = [(point.at, point.heap_bytes) for point in points if point.heap_bytes is not None]
        times.append(_time(heap, fullest.heap_used_bytes, fullest.effective_limit_bytes))
    if container is not None and container.limit_bytes:
        memory = [(point.at, point.container_bytes) for point in points if point.container_bytes is not None]
        times.append(_time(memory, container.memory_bytes, container.limit_bytes))
    return min((time for time in times if time is not None), default=None)


def _time(series: Sequence[tuple[float, int]], now_bytes: int, limit_bytes: int) -> float | None:
    slope = _slope(series)
    return None if slope is None else max(0.0, (limit_bytes - now_bytes) / slope)


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
