"""Trees of small files, each kept as one text in ``tests/fixtures``.

A line ``=== PATH`` begins a file; what follows is its text. ``=== PATH -> TARGET`` is a link. ``{device}`` stands for
the file system's major:minor. Lines before the first file say what the tree shows.
"""

import os
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"


def plant(tree: str, root: Path) -> Path:
    """Lay out ``tree``, a file below ``tests/fixtures``, in ``root``; gives back ``root``."""
    return plant_text((FIXTURES / tree).read_text(), root)


def plant_text(text: str, root: Path) -> Path:
    """The same from a text."""
    number = root.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    for section in f"\n{text}".split("\n=== ")[1:]:
        head, _, body = section.partition("\n")
        path, _, target = head.partition(" -> ")
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if target:
            file.symlink_to(target)
        else:
            file.write_text(body.rstrip("\n").replace("{device}", device) + "\n")
    return root


def stat_line(pid: int, start: int, *, comm: str = "node", state: str = "S", parent: int = 1, flags: int = 0) -> str:
    """A line of ``/proc/PID/stat`` with the fields of a process that has 7 threads, 300 minor and 2 major faults."""
    return (
        f"{pid} ({comm}) {state} {parent} {pid} {pid} 0 -1 {flags} 300 0 2 0 10 5 0 0 20 0 7 0 {start} "
        "1153433600 11000 18446744073709551615 1 1 0 0 0 0 0 16781312 17922 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
