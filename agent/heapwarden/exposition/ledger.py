"""Counters of what has happened to processes that may be gone now: from the snapshot's ledger."""

from collections.abc import Iterable, Iterator

from heapwarden.domain.identity import Name
from heapwarden.domain.snapshot import Ledger
from heapwarden.exposition.family import Family, Key, Tally, labels_of, of_ledger


class _Restarts(Iterable[Tally]):
    """Made as the iteration goes, for the work to come in pieces."""

    def __init__(self, ledger: Ledger) -> None:
        self._counts = ledger.restarts

    def __iter__(self) -> Iterator[Tally]:
        for (name, reason, dry_run), count in self._counts.items():
            yield _tally(name, (("reason", reason.value), ("dry_run", "true" if dry_run else "false")), count)


class _Exits(Iterable[Tally]):
    """As above."""

    def __init__(self, ledger: Ledger) -> None:
        self._counts = ledger.exits

    def __iter__(self) -> Iterator[Tally]:
        for (name, reason), count in self._counts.items():
            yield _tally(name, (("reason", reason.value),), count)


def _tally(name: Name, labels: tuple[tuple[str, str], ...], count: int) -> Tally:
    return Tally(name, labels_of(name), Key("_total", labels), count)


FAMILIES: tuple[Family[Tally], ...] = (
    of_ledger(
        "heapwarden_restarts_total",
        "Restarts that Heapwarden made, or would have made in a dry run.",
        ("reason", "dry_run"),
        _Restarts,
    ),
    of_ledger(
        "heapwarden_exits_total",
        "Ends of processes by their cause: memory_restart, heap_oom, cgroup_oom, crash, clean, unknown.",
        ("reason",),
        _Exits,
    ),
)
