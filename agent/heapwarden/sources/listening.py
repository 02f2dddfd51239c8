"""On which TCP ports a process listens."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from heapwarden.domain.identity import ProcessId
from heapwarden.sources.procfile import read_stat

PROC = Path("/proc")
MOST_DESCRIPTORS = 20_000
"""Looked at in one process; each costs microseconds, and what listens is mostly among the first."""
MOST_BYTES = 8_000_000
"""Of one table of listening sockets: some 50,000 of them."""
_CHUNK_BYTES = 65_536
_FULL_BYTES = 3_072
"""The kernel gives as many whole lines at once, of 150 to 200 bytes, as fit a page. Less than this was the last of it.
"""
_LISTEN = b"0A"


class ListeningPorts:
    """:class:`~heapwarden.ports.Listening` by ``/proc/PID/fd`` and the tables of the process's network namespace.

    Only who holds the socket counts: with node:cluster that is the primary, and its workers have none. Who may not
    trace the process (ptrace(2)) may not know.
    """

    def __init__(self, proc_root: Path = PROC) -> None:
        """Read below ``proc_root``."""
        self._root = str(proc_root)

    def ports(self, process: ProcessId) -> frozenset[int] | None:
        """Ports of IPv4 and IPv6; None where that can't be known: hidden, gone, forbidden or too much to read."""
        if not process.visible:
            return None
        try:
            # The same start time before and after proves that all between was this process's.
            found = self._ports(process.pid) if self._runs(process) else None
            return found if self._runs(process) else None
        except (OSError, ValueError, IndexError):
            return None

    def _runs(self, process: ProcessId) -> bool:
        """Whether it runs still; one that is ending has closed what it held."""
        stat = read_stat(self._root, process.pid)
        return stat is not None and stat.start == process.start and not stat.ending

    def _ports(self, pid: int) -> frozenset[int] | None:
        folder = os.open(f"{self._root}/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return _held(folder, self._listening(pid))
        finally:
            os.close(folder)

    def _listening(self, pid: int) -> dict[str, int]:
        """Every listening socket of its network namespace, as a descriptor links to it, and the port of each."""
        net = Path(self._root, str(pid), "net")
        sockets = _listeners(net / "tcp")
        try:
            return sockets | _listeners(net / "tcp6")
        except FileNotFoundError:  # a kernel without IPv6
            return sockets


def _held(folder: int, listening: dict[str, int]) -> frozenset[int] | None:
    """Ports of those sockets in ``listening`` that a descriptor in ``folder`` links to; None: too many to look at."""
    ports: set[int] = set()
    with os.scandir(folder) as descriptors:
        for count, descriptor in enumerate(descriptors):
            if not listening:
                break
            if count == MOST_DESCRIPTORS:
                return None
            try:
                target = os.readlink(descriptor.name, dir_fd=folder)
            except FileNotFoundError:  # closed meanwhile
                continue
            if target in listening:
                ports.add(listening.pop(target))
    return frozenset(ports)


def _listeners(table: Path) -> dict[str, int]:
    """The listening sockets in ``net/tcp`` or ``net/tcp6``.

    They come before all connections (Documentation/networking/proc_net_tcp.rst), of which there may be many. ValueError
    or IndexError: the table is too long, or not as the kernel writes it.
    """
    found: dict[str, int] = {}
    size = 0
    descriptor = os.open(table, os.O_RDONLY)
    try:
        for line in islice(_lines(descriptor), 1, None):  # after the heading
            fields = line.split(None, 10)
            if fields[3] != _LISTEN:
                break
            size += len(line)
            if size > MOST_BYTES:
                raise ValueError(f"{table} is longer than {MOST_BYTES} bytes")
            found[f"socket:[{int(fields[9])}]"] = int(fields[1].rpartition(b":")[2], 16)
    finally:
        os.close(descriptor)
    return found


def _lines(descriptor: int) -> Iterator[bytes]:
    """The lines of a table, read as they are wanted.

    To find that nothing follows, the kernel walks the connections of all namespaces: milliseconds, not spent twice.
    """
    rest = b""
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(chunk) < _FULL_BYTES:
            return
