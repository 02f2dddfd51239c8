"""What a metric family is made of: a name, a meaning, and how to read its points off one process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import Generic, NamedTuple, Protocol, TypeVar

from heapwarden.domain.identity import Name
from heapwarden.domain.place import PlacedName, placed
from heapwarden.domain.sample import GC_BUCKETS_SECONDS, ContainerFigures, GcTotals, HeapSpace, Isolate, KernelFigures
from heapwarden.domain.snapshot import Ledger, Watched


class Type(StrEnum):
    """Metric types of the text formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Key(NamedTuple):
    """What tells one point of a family from the next: the name's suffix, and labels besides process and worker."""

    suffix: str = ""
    labels: tuple[tuple[str, str], ...] = ()


PLAIN = Key()
MAIN = Key(labels=(("thread", "main"),))
WORKERS = Key(labels=(("thread", "workers"),))

Point = tuple[Key, float]


class Subject(Protocol):
    """What points are told of."""

    @property
    def name(self) -> Name:
        """What it is called."""

    @property
    def labels(self) -> str:
        """``{process="…",worker="…"``, and those of the place, escaped and without the closing brace."""


def labels_of(name: Name) -> str:
    """As in :attr:`Subject.labels`.

    Labels of the place are there even where they are empty: a scrape would fill in the agent's own pod for one that is
    not there, and leaves alone one that is empty (Prometheus, ``honor_labels``).
    """
    return "{" + ",".join(f'{label}="{escaped(value)}"' for label, value in label_values(name).items())


def label_values(name: Name) -> dict[str, str]:
    """The labels that all series of a subject have."""
    labels = {"process": name.process, "worker": name.worker}
    if isinstance(name, PlacedName):
        labels |= {"namespace": name.namespace, "pod": name.pod, "container": name.container}
    return labels


@dataclass(frozen=True, slots=True)
class View:
    """One watched process as all families read it in one scrape."""

    watched: Watched
    name: Name
    now: float
    """Monotonic time of the scrape, seconds."""
    labels: str
    main: Isolate | None
    workers: tuple[Isolate, ...]

    @classmethod
    def of(cls, watched: Watched, now: float) -> "View":
        """The view of ``watched`` at ``now``."""
        heap = watched.sample.heap
        main, workers = (heap.main, heap.workers) if heap is not None else (None, ())
        name = placed(watched.name, watched.place)
        return cls(watched, name, now, labels_of(name), main, workers)


@dataclass(frozen=True, slots=True)
class Tally:
    """One number of the ledger. Its process may be gone."""

    name: Name
    labels: str
    key: Key
    count: int


@dataclass(frozen=True, slots=True)
class Scrape:
    """What all families of one scrape are read from. Iterables in it can be iterated again and again."""

    views: Iterable[View]
    ledger: Ledger


Points = Callable[[View], Iterable[Point]]
S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, slots=True)
class Family(Generic[S]):
    """One metric family. What is unknown of a subject gives no point."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...]
    """Besides ``process`` and ``worker``; a histogram's ``le`` is understood."""
    points: Callable[[S], Iterable[Point]]
    subjects: Callable[[Scrape], Iterable[S]]
    """Whom the points are told of."""

    @property
    def base_name(self) -> str:
        """As OpenMetrics has it: a counter's family goes without ``_total``, its points with it."""
        return self.name.removesuffix("_total") if self.type is Type.COUNTER else self.name


def of_processes(name: str, kind: Type, meaning: str, labels: tuple[str, ...], points: Points) -> Family[View]:
    """A family with points of each watched process."""
    return Family(name, kind, meaning, labels, points, lambda scrape: scrape.views)


def of_ledger(
    name: str, meaning: str, labels: tuple[str, ...], tallies: Callable[[Ledger], Iterable[Tally]]
) -> Family[Tally]:
    """A counter of what the ledger holds: one point a tally."""
    return Family(
        name, Type.COUNTER, meaning, labels, lambda one: ((one.key, one.count),), lambda scrape: tallies(scrape.ledger)
    )


def escaped(value: str) -> str:
    """A label value as both text formats write it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def one(read: Callable[[View], float | None]) -> Points:
    """A family with one point a process."""

    def points(view: View) -> Iterable[Point]:
        value = read(view)
        return () if value is None else ((PLAIN, value),)

    return points


def per_thread(read: Callable[[Isolate], int | None]) -> Points:
    """A family of heap figures: the main thread's, and the sum over the worker threads where every one is known."""

    def points(view: View) -> Iterable[Point]:
        found: list[Point] = []
        if view.main is not None and (value := read(view.main)) is not None:
            found.append((MAIN, value))
        if view.workers:
            values = [value for worker in view.workers if (value := read(worker)) is not None]
            if len(values) == len(view.workers):
                found.append((WORKERS, sum(values)))
        return found

    return points


def of_kernel(read: Callable[[KernelFigures], float]) -> Points:
    """A family of what the kernel says."""
    return one(lambda view: None if (kernel := view.watched.sample.kernel) is None else read(kernel))


def of_container(read: Callable[[ContainerFigures], float | None]) -> Points:
    """A family of the container's figures."""
    return one(lambda view: None if (container := view.watched.sample.container) is None else read(container))


def per_space(read: Callable[[HeapSpace], int], *, by_thread: bool = True) -> Points:
    """A family of heap-space figures: per thread and summed as above, or of the main thread alone.

    A space of size 0 holds nothing, as most of V8's thirteen do most of the time, and is left out.
    """

    def points(view: View) -> Iterable[Point]:
        if view.main is None:
            found = []
        else:
            thread = "main" if by_thread else None
            found = [(_space_key(thread, space.name), read(space)) for space in view.main.spaces if space.size_bytes]
        if by_thread and view.workers:
            sums: dict[str, int] = {}
            for space in (space for worker in view.workers for space in worker.spaces if space.size_bytes):
                sums[space.name] = sums.get(space.name, 0) + read(space)
            found += [(_space_key("workers", name), value) for name, value in sums.items()]
        return found

    return points


def histogram_points(kind: str, totals: GcTotals) -> list[Point]:
    """The points of one kind's pause histogram; bucket counts become cumulative."""
    *buckets, sum_key, count_key = _histogram_keys(kind)
    counts = list(accumulate(totals.buckets))
    return [*zip(buckets, counts, strict=True), (sum_key, totals.seconds), (count_key, counts[-1])]


@lru_cache(maxsize=256)
def _space_key(thread: str | None, space: str) -> Key:
    labels = (("space", space),)
    return Key(labels=labels if thread is None else (("thread", thread), *labels))


@lru_cache(maxsize=16)
def _histogram_keys(kind: str) -> tuple[Key, ...]:
    label = ("kind", kind)
    bounds = (*(repr(bound) for bound in GC_BUCKETS_SECONDS), "+Inf")
    return (
        *(Key("_bucket", (label, ("le", bound))) for bound in bounds),
        Key("_sum", (label,)),
        Key("_count", (label,)),
    )
