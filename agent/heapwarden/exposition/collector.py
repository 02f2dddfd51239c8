"""The custom collector: a table of families over the newest snapshot, for any prometheus-client registry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.exposition.family import Family, Scrape, Subject, View, label_values


class SnapshotMetric(Metric):
    """One family over one snapshot; its samples are made only when someone iterates them, because most never do.

    :mod:`heapwarden.exposition.text` writes it straight from ``family`` and ``subjects``.
    """

    def __init__(self, family: Family[Any], subjects: Iterable[Subject] = ()) -> None:
        """``subjects`` is iterated each time anew."""
        super().__init__(family.base_name, family.help, family.type)
        self.family = family
        self.subjects = subjects
        self.samples = cast("list[Sample]", _Samples(family, subjects))


class _Samples(Iterable[Sample]):
    def __init__(self, family: Family[Any], subjects: Iterable[Subject]) -> None:
        self._family, self._subjects = family, subjects

    def __iter__(self) -> Iterator[Sample]:
        name = self._family.base_name
        for subject in self._subjects:
            labels = label_values(subject.name)
            for key, value in self._family.points(subject):
                yield Sample(name + key.suffix, labels | dict(key.labels), value)


class _Views(Iterable[View]):
    """Views of all processes at one time, made as the first iteration goes, for the work to come in pieces."""

    def __init__(self, processes: Sequence[Watched], now: float) -> None:
        self._processes, self._now = processes, now
        self._made: list[View] = []

    def __iter__(self) -> Iterator[View]:
        for index, watched in enumerate(self._processes):
            if index == len(self._made):
                self._made.append(View.of(watched, self._now))
            yield self._made[index]


class SnapshotCollector(Collector):
    """Gives all families of a table, each over the same snapshot and the same time."""

    def __init__(
        self, families: Sequence[Family[Any]], snapshot: Callable[[], Snapshot], monotonic: Callable[[], float]
    ) -> None:
        """``monotonic`` is the clock that the snapshot's times were read from."""
        self._families, self._snapshot, self._monotonic = families, snapshot, monotonic

    def describe(self) -> Iterable[Metric]:
        """The families without samples: what a registry looks at to refuse a name that is taken."""
        return [SnapshotMetric(family) for family in self._families]

    def collect(self) -> Iterable[Metric]:
        """The families of the newest snapshot, now."""
        snapshot = self._snapshot()
        scrape = Scrape(_Views(snapshot.processes, self._monotonic()), snapshot.ledger)
        return [SnapshotMetric(family, family.subjects(scrape)) for family in self._families]
