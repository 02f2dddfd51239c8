"""One process at one time, in figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heapwarden.domain.identity import ProcessId

GC_BUCKETS_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
"""Upper bounds of the pause histogram; an implicit last bucket is unbounded. Part of the metrics contract."""


class GcKind(StrEnum):
    """Kinds of collection, from V8's GCType: 1 and 2 minor, 4 major, 8 incremental, 16 weak callbacks."""

    MINOR = "minor"
    MAJOR = "major"
    INCREMENTAL = "incremental"
    WEAKCB = "weakcb"


@dataclass(frozen=True, slots=True)
class GcTotals:
    """Collections of one kind since the isolate began. All fields only grow."""

    buckets: tuple[int, ...]
    """Collections in each bucket of :data:`GC_BUCKETS_SECONDS` and the unbounded one; not cumulative; seven numbers."""
    seconds: float
    reclaimed_bytes: int | None = None
    """Used-before minus used-after summed over the collections that were profiled; None where none was."""

    @property
    def count(self) -> int:
        """Number of collections."""
        return sum(self.buckets)

    def plus(self, other: "GcTotals") -> "GcTotals":
        """Both together, as for two isolates of one process."""
        known = [n for n in (self.reclaimed_bytes, other.reclaimed_bytes) if n is not None]
        return GcTotals(
            buckets=tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True)),
            seconds=self.seconds + other.seconds,
            reclaimed_bytes=sum(known) if known else None,
        )


@dataclass(frozen=True, slots=True)
class HeapSpace:
    """One of V8's heap spaces. ``name`` is V8's without ``_space``."""

    name: str
    size_bytes: int
    used_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class LoopDelay:
    """Delay of the event loop since the sample before, seconds, and the share of time it was busy."""

    p50_seconds: float
    p99_seconds: float
    max_seconds: float
    utilization_ratio: float


@dataclass(frozen=True, slots=True)
class Isolate:
    """One V8 heap: that of the main thread (``thread`` 0) or of a worker thread.

    Sizes are bytes. ``heap_limit_bytes`` is ``heap_size_limit``; ``effective_limit_bytes`` is where V8 really gives up:
    that less the three semi-spaces which V8 adds on top.
    """

    thread: int
    taken_at: float
    """Monotonic time of arrival at the agent, seconds."""
    heap_used_bytes: int
    heap_total_bytes: int
    heap_limit_bytes: int
    effective_limit_bytes: int
    external_bytes: int
    array_buffers_bytes: int
    malloced_bytes: int
    native_contexts: int
    detached_contexts: int
    spaces: tuple[HeapSpace, ...] = ()
    gc: Mapping[GcKind, GcTotals] = field(default_factory=dict)
    live_bytes: int | None = None
    """Used right after the last mark-compact; None before the first."""
    loop: LoopDelay | None = None
    process_rss_bytes: int | None = None
    """Resident memory of the whole process by Node's word; the kernel's counts wherever the process can be seen."""

    @property
    def is_main(self) -> bool:
        """Whether this is the main thread's heap."""
        return self.thread == 0


@dataclass(frozen=True, slots=True)
class KernelFigures:
    """What the kernel says of one process (``/proc/PID/stat`` and ``status``, proc(5))."""

    taken_at: float
    rss_bytes: int
    swap_bytes: int
    minor_faults: int
    major_faults: int
    threads: int
    file_bytes: int = 0
    """Of the resident memory, pages of files such as Node's own executable: the kernel drops them before it kills."""


@dataclass(frozen=True, slots=True)
class ContainerFigures:
    """Memory of the cgroup whose limit is the nearest above a process."""

    taken_at: float
    memory_bytes: int
    """Working set: usage less inactive page cache, which the kernel drops before it kills."""
    limit_bytes: int | None
    """None where no cgroup above the process has a limit below the machine's memory."""
    oom_kills: int | None = None
    """Processes that the kernel has killed for memory in the process's cgroups so far; None where it does not tell."""
    cgroup: str = ""
    """Where that cgroup is: processes with the same share this memory and this limit."""


@dataclass(frozen=True, slots=True)
class TreeFigures:
    """Resident memory of a process and everything below it. Pages that they share count more than once."""

    taken_at: float
    rss_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class HeapFigures:
    """All isolates of one process, from one source."""

    source: str
    isolates: tuple[Isolate, ...]
    """The main thread's first; empty where the source has fallen silent before the first figures."""
    node_version: str
    v8_version: str
    connected: bool = True
    """Whether the source still has its hold of the process."""
    cluster_worker: bool = False
    """Whether it shares its parent's listening sockets with the parent's other workers (node:cluster)."""
    exit_code: int | None = None
    """What the app itself said last: the exit code it was about to end with. None: it said nothing."""
    reporter_version: str | None = None
    """None where the source is no reporter, or one that doesn't say."""
    retired_gc: Mapping[GcKind, GcTotals] = field(default_factory=dict)
    """Collections of worker threads that have ended, so that the process's totals never fall."""

    @property
    def main(self) -> Isolate | None:
        """The main thread's heap."""
        return next((isolate for isolate in self.isolates if isolate.is_main), None)

    @property
    def workers(self) -> tuple[Isolate, ...]:
        """The worker threads' heaps."""
        return tuple(isolate for isolate in self.isolates if not isolate.is_main)

    @property
    def taken_at(self) -> float | None:
        """Monotonic time of the newest figures of the main thread, else of any."""
        main = self.main
        if main is not None:
            return main.taken_at
        return max((isolate.taken_at for isolate in self.isolates), default=None)

    def gc(self) -> dict[GcKind, GcTotals]:
        """Collections of the whole process by kind; only kinds that occurred."""
        totals = dict(self.retired_gc)
        for isolate in self.isolates:
            for kind, more in isolate.gc.items():
                totals[kind] = totals[kind].plus(more) if kind in totals else more
        return {kind: total for kind, total in totals.items() if total.count}


Reading = KernelFigures | ContainerFigures | TreeFigures
"""What a fetched source knows of one process at one time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one time, from all sources; what a source did not give is None."""

    process: ProcessId
    at: float
    """Monotonic time, seconds."""
    kernel: KernelFigures | None = None
    container: ContainerFigures | None = None
    heap: HeapFigures | None = None
    tree: TreeFigures | None = None
    """Only of a process whose rule counts its children."""
    sources: Mapping[str, bool] = field(default_factory=dict)
    """For each source that was asked about this process: whether it answers now."""

    def heap_age_seconds(self, now: float) -> float | None:
        """How old the V8 figures are at ``now``; None where there are none."""
        taken = self.heap.taken_at if self.heap else None
        return None if taken is None else max(0.0, now - taken)
