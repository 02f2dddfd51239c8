"""Resident memory of a process and everything below it, for rules that count children."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import TreeFigures
from heapwarden.sources.procfile import numbers, read_file, read_stat

PROC = Path("/proc")
KIB = 1_024
MOST_BELOW = 10_000
"""Processes of one tree that are summed up."""

Children = Mapping[int, Sequence[int]]


class TreeSource:
    """:class:`~heapwarden.domain.sample.TreeFigures` from one look at every process under ``/proc``.

    A process whose parent ends goes to PID 1 and is out of the tree. Pages that processes share count for each.
    """

    name = "tree"

    def __init__(self, wanted: Callable[[ProcessId], bool], proc_root: Path = PROC) -> None:
        """``wanted`` says of whom it is asked; it is called from any thread."""
        self._wanted = wanted
        self._root = str(proc_root)

    def concerns(self, process: ProcessId) -> bool:
        """Only those whose rule counts their children."""
        return process.visible and self._wanted(process)

    def read(self, processes: Sequence[Process], now: float) -> Mapping[ProcessId, TreeFigures]:
        """Figures of each that still runs; nothing is looked at where there is nobody to ask for."""
        roots = [process.id for process in processes if self.concerns(process.id)]
        if not roots:
            return {}
        children, resident = self._children(), _Resident(self._root)
        figures = ((id_, self._figures(id_, children, resident, now)) for id_ in roots)
        return {id_: known for id_, known in figures if known is not None}

    def _figures(self, root: ProcessId, children: Children, resident: "_Resident", now: float) -> TreeFigures | None:
        sizes = [size for pid in _below(root.pid, children) if (size := resident.of(pid)) is not None]
        # Last, so that the same start time here proves that the pid was this process's all the while.
        stat = read_stat(self._root, root.pid)
        if stat is None or stat.start != root.start or stat.ended:
            return None
        return TreeFigures(now, sum(sizes), len(sizes))

    def _children(self) -> Children:
        """The children of each pid. One that ends meanwhile is left out; one that begins may be."""
        children: dict[int, list[int]] = defaultdict(list)
        for name in os.listdir(self._root):  # noqa: PTH208  a Path for each process costs more than the call
            if name.isascii() and name.isdigit():
                stat = read_stat(self._root, int(name))
                if stat is not None:
                    children[stat.parent].append(int(name))
        return children


class _Resident:
    """Resident memory by pid; each is read once in one look, however many trees it is in."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[int, int | None] = {}

    def of(self, pid: int) -> int | None:
        """Bytes, from ``status`` (see ProcfsSource); None for a zombie and what is gone."""
        if pid not in self._known:
            found = numbers(read_file(f"{self._root}/{pid}/status") or b"", b"VmRSS:")
            self._known[pid] = found[0] * KIB if found else None
        return self._known[pid]


def _below(root: int, children: Children) -> list[int]:
    """``root`` and all below it. Parents are read one after the other, so even a circle must end."""
    seen, found = {root}, [root]
    for pid in found:
        for child in children.get(pid, ()):
            if child not in seen and len(found) < MOST_BELOW:
                seen.add(child)
                found.append(child)
    return found
