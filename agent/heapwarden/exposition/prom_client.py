"""The same figures under the names of prom-client's default metrics, for dashboards that exist already.

As in the app itself they are the main thread's. The GC histogram keeps Heapwarden's own bounds, since how many pauses
were below 0.01, 1, 2 or 5 s is not known; and it counts every collection, where prom-client counts one of each batch.
"""

from collections.abc import Callable, Iterable

from heapwarden.domain.sample import Isolate, LoopDelay
from heapwarden.exposition.family import (
    Family,
    Key,
    Point,
    Points,
    Type,
    View,
    histogram_points,
    of_kernel,
    of_processes,
    one,
    per_space,
)


def _of_main(read: Callable[[Isolate], float | None]) -> Points:
    return one(lambda view: None if view.main is None else read(view.main))


def _of_loop(read: Callable[[LoopDelay], float]) -> Points:
    return _of_main(lambda heap: None if heap.loop is None else read(heap.loop))


def _gc_duration(view: View) -> Iterable[Point]:
    kinds = {} if view.main is None else view.main.gc
    return [point for kind, totals in kinds.items() if totals.count for point in histogram_points(kind, totals)]


def _version(view: View) -> Iterable[Point]:
    heap = view.watched.sample.heap
    if heap is None:
        return ()
    major, minor, patch = (*heap.node_version.split("-")[0].split("."), "", "", "")[:3]
    labels = (("version", f"v{heap.node_version}"), ("major", major), ("minor", minor), ("patch", patch))
    return ((Key(labels=labels), 1),)


def _gauge(name: str, points: Points, meaning: str, *labels: str) -> Family[View]:
    return of_processes(name, Type.GAUGE, meaning, labels, points)


FAMILIES: tuple[Family[View], ...] = (
    _gauge("process_resident_memory_bytes", of_kernel(lambda kernel: kernel.rss_bytes), "Resident memory."),
    _gauge("nodejs_heap_size_total_bytes", _of_main(lambda heap: heap.heap_total_bytes), "Committed heap."),
    _gauge("nodejs_heap_size_used_bytes", _of_main(lambda heap: heap.heap_used_bytes), "Used heap."),
    _gauge(
        "nodejs_external_memory_bytes", _of_main(lambda heap: heap.external_bytes), "Memory held outside of the heap."
    ),
    _gauge(
        "nodejs_heap_space_size_total_bytes",
        per_space(lambda space: space.size_bytes, by_thread=False),
        "Committed bytes of one heap space.",
        "space",
    ),
    _gauge(
        "nodejs_heap_space_size_used_bytes",
        per_space(lambda space: space.used_bytes, by_thread=False),
        "Used bytes of one heap space.",
        "space",
    ),
    _gauge(
        "nodejs_heap_space_size_available_bytes",
        per_space(lambda space: space.available_bytes, by_thread=False),
        "Available bytes of one heap space.",
        "space",
    ),
    of_processes(
        "nodejs_gc_duration_seconds", Type.HISTOGRAM, "Pauses of all garbage collections.", ("kind",), _gc_duration
    ),
    _gauge(
        "nodejs_eventloop_lag_p50_seconds",
        _of_loop(lambda loop: loop.p50_seconds),
        "Median delay of the event loop since the sample before.",
    ),
    _gauge(
        "nodejs_eventloop_lag_p99_seconds",
        _of_loop(lambda loop: loop.p99_seconds),
        "99th percentile of the delay of the event loop since the sample before.",
    ),
    _gauge(
        "nodejs_eventloop_lag_max_seconds",
        _of_loop(lambda loop: loop.max_seconds),
        "Longest delay of the event loop since the sample before.",
    ),
    _gauge("nodejs_version_info", _version, "1; which Node runs.", "version", "major", "minor", "patch"),
)
