"""The metrics of a watched process: the one table that the collector, the text and the reference are made from."""

from collections.abc import Iterable
from typing import Any

from heapwarden.domain.health import HealthState
from heapwarden.domain.sample import GcKind, GcTotals, LoopDelay
from heapwarden.exposition.family import (
    Family,
    Key,
    Point,
    Points,
    Type,
    View,
    histogram_points,
    of_container,
    of_kernel,
    of_processes,
    one,
    per_space,
    per_thread,
)
from heapwarden.exposition.ledger import FAMILIES as LEDGER_FAMILIES

RECLAIMING = (GcKind.MINOR, GcKind.MAJOR)
"""The other two are no sweeps. Measured with v8.GCProfiler, incremental marking freed 0 bytes on Node 18 to 24 and
0.25 % of what mark-compacts freed on 26; weak callbacks did not occur."""

_STATES = ", ".join(f"{state.value} {state.label}" for state in HealthState)


def _up(view: View) -> Iterable[Point]:
    return [(_source_key(name), int(up)) for name, up in view.watched.sample.sources.items()]


def _source_key(name: str) -> Key:
    return Key(labels=(("source", name),))


def _page_faults(view: View) -> Iterable[Point]:
    kernel = view.watched.sample.kernel
    if kernel is None:
        return ()
    return ((_kind_total("minor"), kernel.minor_faults), (_kind_total("major"), kernel.major_faults))


def _kind_total(kind: str) -> Key:
    return Key("_total", (("kind", kind),))


def _gc(view: View) -> dict[GcKind, GcTotals]:
    heap = view.watched.sample.heap
    return {} if heap is None else heap.gc()


def _gc_duration(view: View) -> Iterable[Point]:
    return [point for kind, totals in _gc(view).items() for point in histogram_points(kind, totals)]


def _gc_reclaimed(view: View) -> Iterable[Point]:
    return [
        (_kind_total(kind), totals.reclaimed_bytes)
        for kind, totals in _gc(view).items()
        if kind in RECLAIMING and totals.reclaimed_bytes is not None
    ]


def _loop(view: View) -> LoopDelay | None:
    return None if view.main is None else view.main.loop


_MEDIAN, _P99, _MAX = (Key(labels=(("quantile", quantile),)) for quantile in ("0.5", "0.99", "1.0"))


def _loop_delay(view: View) -> Iterable[Point]:
    loop = _loop(view)
    if loop is None:
        return ()
    return ((_MEDIAN, loop.p50_seconds), (_P99, loop.p99_seconds), (_MAX, loop.max_seconds))


def _info(view: View) -> Iterable[Point]:
    heap = view.watched.sample.heap
    if heap is None:
        return ()
    return ((Key(labels=(("node", heap.node_version), ("v8", heap.v8_version), ("source", heap.source))), 1),)


def _held(view: View) -> Iterable[Point]:
    held = view.watched.held
    return () if held is None else ((Key(labels=(("code", held.code),)), 1),)


def _gauge(name: str, points: Points, meaning: str, *labels: str) -> Family[View]:
    return of_processes(f"heapwarden_{name}", Type.GAUGE, meaning, labels, points)


def _config_problems(view: View) -> Iterable[Point]:
    return [(Key(labels=(("problem", problem.code),)), 1) for problem in view.watched.checkup.problems]


FAMILIES: tuple[Family[Any], ...] = (
    _gauge("up", _up, "1 while this source of figures answers for the process, else 0.", "source"),
    _gauge(
        "sample_age_seconds",
        one(lambda view: view.watched.sample.heap_age_seconds(view.now)),
        "Age of the newest V8 figures at the time of the scrape.",
    ),
    _gauge("rss_bytes", of_kernel(lambda kernel: kernel.rss_bytes), "Resident memory, from the kernel, not from Node."),
    _gauge("swap_bytes", of_kernel(lambda kernel: kernel.swap_bytes), "Memory that is swapped out."),
    of_processes(
        "heapwarden_page_faults_total",
        Type.COUNTER,
        "Page faults; major ones had to read a disk.",
        ("kind",),
        _page_faults,
    ),
    _gauge("threads", of_kernel(lambda kernel: kernel.threads), "Threads, those of libuv and V8 included."),
    _gauge("heap_used_bytes", per_thread(lambda heap: heap.heap_used_bytes), "Used heap: heapUsed.", "thread"),
    _gauge("heap_total_bytes", per_thread(lambda heap: heap.heap_total_bytes), "Committed heap: heapTotal.", "thread"),
    _gauge("heap_limit_bytes", per_thread(lambda heap: heap.heap_limit_bytes), "V8's heap_size_limit.", "thread"),
    _gauge(
        "heap_effective_limit_bytes",
        per_thread(lambda heap: heap.effective_limit_bytes),
        "heap_size_limit less three semi-spaces of the largest size: where V8 really gives up.",
        "thread",
    ),
    _gauge(
        "heap_live_bytes",
        per_thread(lambda heap: heap.live_bytes),
        "Used heap right after the last mark-compact; absent before the first.",
        "thread",
    ),
    _gauge(
        "external_bytes",
        per_thread(lambda heap: heap.external_bytes),
        "Memory outside of the heap that JavaScript objects hold; array buffers are part of it.",
        "thread",
    ),
    _gauge(
        "array_buffers_bytes", per_thread(lambda heap: heap.array_buffers_bytes), "ArrayBuffers and Buffers.", "thread"
    ),
    _gauge("malloced_bytes", per_thread(lambda heap: heap.malloced_bytes), "What V8 itself got from malloc.", "thread"),
    _gauge(
        "native_contexts",
        per_thread(lambda heap: heap.native_contexts),
        "Top-level contexts of V8; a growing number is a leak.",
        "thread",
    ),
    _gauge(
        "detached_contexts",
        per_thread(lambda heap: heap.detached_contexts),
        "Contexts that were detached and not yet collected; a growing number is a leak.",
        "thread",
    ),
    _gauge(
        "heap_space_used_bytes",
        per_space(lambda space: space.used_bytes),
        "Used bytes of one heap space; empty spaces are left out.",
        "thread",
        "space",
    ),
    _gauge(
        "heap_space_size_bytes",
        per_space(lambda space: space.size_bytes),
        "Committed bytes of one heap space; empty spaces are left out.",
        "thread",
        "space",
    ),
    _gauge(
        "isolates",
        one(lambda view: (view.main is not None) + len(view.workers) or None),
        "V8 heaps: the main thread and the worker threads.",
    ),
    of_processes(
        "heapwarden_gc_duration_seconds",
        Type.HISTOGRAM,
        "Pauses of all garbage collections, those of worker threads included; only kinds that occurred.",
        ("kind",),
        _gc_duration,
    ),
    of_processes(
        "heapwarden_gc_reclaimed_bytes_total",
        Type.COUNTER,
        "Bytes that collections freed, where they were profiled; kinds minor and major.",
        ("kind",),
        _gc_reclaimed,
    ),
    of_processes(
        "heapwarden_eventloop_delay_seconds",
        Type.SUMMARY,
        "Delay of the main thread's event loop since the sample before: median, 99th percentile and maximum.",
        ("quantile",),
        _loop_delay,
    ),
    _gauge(
        "eventloop_utilization_ratio",
        one(lambda view: None if (loop := _loop(view)) is None else loop.utilization_ratio),
        "Share of time that the main thread's event loop was busy since the sample before.",
    ),
    _gauge(
        "container_memory_bytes",
        of_container(lambda container: container.memory_bytes),
        "Working set of the container: usage less inactive page cache.",
    ),
    _gauge(
        "container_limit_bytes",
        of_container(lambda container: container.limit_bytes),
        "Memory limit of the container; absent when there is none.",
    ),
    _gauge(
        "pressure_ratio",
        one(lambda view: view.watched.findings.pressure.ratio),
        "The larger of used heap over effective limit (worst isolate) and container memory over its limit.",
    ),
    _gauge("health_state", one(lambda view: view.watched.verdict.state.value), f"The verdict: {_STATES}."),
    _gauge("restart_held", _held, "1 while a rule wants a restart that is not made, and why not.", "code"),
    _gauge(
        "config_problem",
        _config_problems,
        "1 for each problem in its set-up, as `heapwarden doctor` tells.",
        "problem",
    ),
    *LEDGER_FAMILIES,
    _gauge("process_start_time_seconds", one(lambda view: view.watched.process.started_at), "Unix time of the start."),
    _gauge("process_info", _info, "1; which Node and V8 run, and which source told.", "node", "v8", "source"),
)
