"""What the kernel says of each process: resident memory, swap, page faults, threads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import KernelFigures
from heapwarden.sources.procfile import numbers, read_file, read_stat

PROC = Path("/proc")
KIB = 1_024


class ProcfsSource:
    """:class:`~heapwarden.domain.sample.KernelFigures` from ``/proc/PID/status`` and ``stat``.

    Resident memory is ``VmRSS`` of ``status``. Since Linux 6.2 the counters behind it are kept in batches per CPU; on
    6.18 ``status`` sums them and equals ``smaps_rollup``, while the field in ``stat`` stays behind. Never ``smaps``.
    """

    name = "procfs"

    def __init__(self, proc_root: Path = PROC) -> None:
        """Read below ``proc_root``."""
        self._root = str(proc_root)

    def concerns(self, process: ProcessId) -> bool:
        """Every process that can be seen."""
        return process.visible

    def read(self, processes: Sequence[Process], now: float) -> Mapping[ProcessId, KernelFigures]:
        """Figures of each process that is seen and still runs."""
        figures = ((process.id, self._figures(process.id, now)) for process in processes if process.id.visible)
        return {process: known for process, known in figures if known is not None}

    def _figures(self, process: ProcessId, now: float) -> KernelFigures | None:
        status = read_file(f"{self._root}/{process.pid}/status")
        # Second, so that the same start time here proves that status was this process's too.
        stat = read_stat(self._root, process.pid)
        if status is None or stat is None or stat.start != process.start:
            return None
        resident = numbers(status, b"VmRSS:")
        if not resident:  # a zombie has no memory left
            return None
        return KernelFigures(
            taken_at=now,
            rss_bytes=resident[0] * KIB,
            swap_bytes=next(iter(numbers(status, b"VmSwap:")), 0) * KIB,
            minor_faults=stat.minor_faults,
            major_faults=stat.major_faults,
            threads=stat.threads,
            file_bytes=next(iter(numbers(status, b"RssFile:")), 0) * KIB,
        )


def namespace_pids(pid: int, proc_root: Path = PROC) -> tuple[int, ...]:
    """The pids of one process in each PID namespace from the agent's inwards; empty when it is gone.

    Line ``NSpid`` of ``/proc/PID/status``.
    """
    status = read_file(f"{proc_root}/{pid}/status")
    return () if status is None else numbers(status, b"NSpid:")
