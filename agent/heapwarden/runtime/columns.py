"""One row of history: the figures of one process at one time, in the order of :data:`COLUMNS`. Unknown is NaN."""

import math
import struct
from collections.abc import Mapping, Sequence

from heapwarden.domain.health import ReasonCode
from heapwarden.domain.sample import GC_BUCKETS_SECONDS, GcKind, GcTotals, HeapFigures, Isolate
from heapwarden.domain.snapshot import Watched

SPACES = ("new", "old", "code", "map", "large_object", "new_large_object", "code_large_object", "trusted")
"""Of V8; the rest is summed."""

_OF_PROCESS = ("state", "rss", "swap", "containerMemory", "containerLimit", "pressure")
_OF_HEAP = ("heapUsed", "heapTotal", "heapLimit", "heapLive", "external", "arrayBuffers", "detachedContexts")
_OF_LOOP = ("loopP50", "loopP99", "loopMax", "loopUtilization")
_OF_SPACES = (*(f"space:{name}" for name in SPACES), "space:other")
_GAUGES = (*_OF_PROCESS, "isolates", *_OF_HEAP, *_OF_LOOP, *_OF_SPACES, "gcMax")
_SUMS = ("gcMinor", "gcMajor", "gcIncremental", "gcWeakcb", "gcCount")
COLUMNS = ("time", *_GAUGES, *_SUMS)
"""Bytes, seconds, ratios and counts. Those of the heap are the main thread's, those of GC the whole process's."""

ROW = struct.Struct(f"<d{len(COLUMNS) - 1}f")
FIRST_SUM = 1 + len(_GAUGES)
"""From here on figures of several rows are added; before, the largest counts."""

NAN = math.nan
_NO_HEAP = [NAN] * (1 + len(_OF_HEAP) + len(_OF_LOOP) + len(_OF_SPACES))
_NO_LOOP = [NAN] * len(_OF_LOOP)
_KINDS = (GcKind.MINOR, GcKind.MAJOR, GcKind.INCREMENTAL, GcKind.WEAKCB)
_BOUNDS = (math.inf, *reversed(GC_BUCKETS_SECONDS))
_LARGEST = 1e38
"""What float32 holds."""

Totals = Mapping[GcKind, GcTotals]


def row(time: float, watched: Watched, before: Totals | None, totals: Totals | None) -> list[float]:
    """The figures of ``watched``; GC is the difference of ``totals`` to ``before``, unknown where one of them is."""
    sample = watched.sample
    kernel, container = sample.kernel, sample.container
    pressure = watched.findings.pressure.ratio
    figures = [
        time,
        float(watched.verdict.state),
        NAN if kernel is None else kernel.rss_bytes,
        NAN if kernel is None else kernel.swap_bytes,
        NAN if container is None else container.memory_bytes,
        NAN if container is None or container.limit_bytes is None else container.limit_bytes,
        NAN if pressure is None else pressure,
    ]
    figures += _heap(sample.heap) if is_fresh(watched) else _NO_HEAP
    figures += _gc(before, totals)
    return figures


def is_fresh(watched: Watched) -> bool:
    """Whether the heap figures are of now; old ones would draw a line where nothing is known."""
    heap = watched.sample.heap
    if heap is None or not heap.connected:
        return False
    return all(reason.code is not ReasonCode.FIGURES_STALE for reason in watched.verdict.reasons)


def merged(one: Sequence[float], later: Sequence[float]) -> list[float]:
    """Both as one row at the later time: the largest of each gauge, the sum of the rest; what is known counts."""
    gauges = [b if b >= a or a != a else a for a, b in zip(one[1:FIRST_SUM], later[1:FIRST_SUM], strict=True)]  # noqa: PLR0124  NaN
    sums = [
        a + b if a == a and b == b else b if a != a else a  # noqa: PLR0124  NaN
        for a, b in zip(one[FIRST_SUM:], later[FIRST_SUM:], strict=True)
    ]
    return [later[0], *gauges, *sums]


def packable(figures: list[float]) -> list[float]:
    """The same with what float32 can't hold as unknown."""
    return [figures[0], *(one if -_LARGEST < one < _LARGEST else NAN for one in figures[1:])]


def _heap(heap: HeapFigures | None) -> list[float]:
    isolates = heap.isolates if heap is not None else ()
    if not isolates or isolates[0].thread != 0:
        return _NO_HEAP
    main = isolates[0]
    loop = main.loop
    delays = _NO_LOOP
    if loop is not None:
        delays = [loop.p50_seconds, loop.p99_seconds, loop.max_seconds, loop.utilization_ratio]
    return [
        len(isolates),
        main.heap_used_bytes,
        main.heap_total_bytes,
        main.effective_limit_bytes,
        NAN if main.live_bytes is None else main.live_bytes,
        main.external_bytes,
        main.array_buffers_bytes,
        main.detached_contexts,
        *delays,
        *_spaces(main),
    ]


def _spaces(main: Isolate) -> list[float]:
    used: dict[str, float] = {space.name: space.used_bytes for space in main.spaces}
    if not used:
        return [NAN] * len(_OF_SPACES)
    figures = [used.pop(name, 0) for name in SPACES]
    figures.append(sum(used.values()))
    return figures


def _gc(before: Totals | None, totals: Totals | None) -> list[float]:
    """The longest pause at most, seconds by kind, and the number of collections."""
    if before is None or totals is None:
        return [NAN] * (1 + len(_SUMS))
    longest, count, seconds = 0.0, 0, [0.0, 0.0, 0.0, 0.0]
    for index, kind in enumerate(_KINDS):
        now, was = totals.get(kind), before.get(kind)
        if now is None or now is was or (was is not None and now.buckets == was.buckets):
            continue
        new = now.buckets if was is None else [a - b for a, b in zip(now.buckets, was.buckets, strict=True)]
        spent = max(0.0, now.seconds - (0.0 if was is None else was.seconds))
        seconds[index] = spent
        count += max(0, sum(new))
        longest = max(longest, min(spent, _bound(new)))
    return [longest, *seconds, count]


def _bound(buckets: Sequence[int]) -> float:
    """No pause was longer, going by the buckets; what they can't bound, the time of all together does."""
    for bound, count in zip(_BOUNDS, reversed(buckets), strict=True):
        if count > 0:
            return bound
    return 0.0
