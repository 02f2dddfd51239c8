"""What the history behind the live page takes of the agent's memory, and how far back it goes.

Twelve hours are played in a moment: a sample each 30 s, then ten minutes of one a second, to the real ``History`` at
its default limit. Each size in a process of its own, so that the growth of its resident memory can be held against what
the history says of itself. ``python benchmarks/history.py`` with ``tests`` on the PYTHONPATH.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from fakes.snapshots import NOW, fleet
from heapwarden.domain.snapshot import Snapshot
from heapwarden.runtime.columns import ROW
from heapwarden.runtime.history import FINE_SECONDS, History
from heapwarden.settings.model import Settings
from measure import rss_mib, table

SIZES = (1, 10, 40, 100)
HOURS = 12
SLOW_SECONDS = 30.0


@dataclass(frozen=True)
class Cost:
    """Of one size. Memory of all processes together."""

    said_bytes: int
    grown_bytes: int
    rows: int
    """Of one process."""
    seconds: float
    """From its oldest row to its newest."""


def ticks(snapshot: Snapshot) -> Iterator[Snapshot]:
    """The same processes, again and again: seldom for hours, then each second."""
    slow = [NOW + SLOW_SECONDS * index for index in range(int(HOURS * 3600 / SLOW_SECONDS))]
    for at in (*slow, *(slow[-1] + 1 + second for second in range(int(FINE_SECONDS) + 20))):
        yield replace(snapshot, at=at, last_tick_at=at)


def measured(processes: int) -> Cost:
    """In the child: record all, and look."""
    snapshot = fleet(processes)
    later: list[Callable[[], None]] = []
    history = History(Settings().history_bytes, soon=later.append)
    before = rss_mib(os.getpid())
    for one in ticks(snapshot):
        history.published(one)
        while later:
            later.pop()()
    grown = rss_mib(os.getpid()) - before
    packed, newest = history.rows(snapshot.processes[0].name, 0.0)
    oldest = ROW.unpack_from(packed)[0]
    return Cost(history.bytes_used, round(grown * 2**20), len(packed) // ROW.size, newest - oldest)


def cost(processes: int) -> Cost:
    """Measured in a process of its own."""
    command = (sys.executable, __file__, "--measure", str(processes))
    return Cost(**json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def row(processes: int) -> tuple[str, ...]:
    """One line of the table."""
    found = cost(processes)
    return (
        str(processes),
        f"{found.said_bytes / processes / 1e3:.0f} kB",
        f"{found.grown_bytes / processes / 1e3:.0f} kB",
        f"{found.said_bytes / 1e6:.1f} MB",
        f"{found.rows:,}",
        f"{found.seconds / 3600:.1f} h" if found.seconds > 3600 else f"{found.seconds / 60:.0f} min",
    )


def main() -> None:
    """Print the table."""
    limit = Settings().history_bytes / 1e6
    head = ("processes", "a process", "growth of RSS a process", "all together", "rows a process", "back to")
    table(f"History of the live page, at its default limit of {limit:.1f} MB", head, [row(size) for size in SIZES])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(asdict(measured(int(sys.argv[2])))))
    else:
        main()
