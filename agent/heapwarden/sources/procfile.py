"""Bounded reads under ``/proc`` and ``/sys``, and the parts of them that more than one source needs."""

import errno
import os
from typing import NamedTuple

CHUNK_BYTES = 8_192
MAX_FILE_BYTES = 65_536
"""``status`` alone may be long: its line ``Groups`` holds up to 65,536 numbers."""

_PF_EXITING = 0x4
"""Of ``flags``, as in linux/sched.h."""
_OWN_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""The agent's, and no word on the file. Any other error means that it is gone or not for us: no data."""


class Stat(NamedTuple):
    """Some of ``/proc/PID/stat`` (proc_pid_stat(5))."""

    comm: bytes
    state: bytes
    parent: int
    terminal: int
    flags: int
    minor_faults: int
    major_faults: int
    threads: int
    start: int
    """Clock ticks since boot."""

    @property
    def ended(self) -> bool:
        """Whether only its exit code is left: a zombie, or not even that."""
        return self.state in (b"Z", b"X", b"x")

    @property
    def ending(self) -> bool:
        """Whether it gives back what it holds, which takes a large process seconds, or has done so."""
        return self.ended or bool(self.flags & _PF_EXITING)


def read_file(path: str, limit: int = MAX_FILE_BYTES) -> bytes | None:
    """Up to ``limit`` bytes; None when there is no such file or it is not ours to read.

    Raises OSError when the agent has run out of file descriptors or memory.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in a stranger's file system must not hold us
    except OSError as error:
        raise_own_trouble(error)
        return None
    try:
        data = os.read(descriptor, min(CHUNK_BYTES, limit))
        while len(data) < limit:
            more = os.read(descriptor, min(CHUNK_BYTES, limit - len(data)))
            if not more:
                break
            data += more
    except OSError as error:
        raise_own_trouble(error)
        return None
    else:
        return data
    finally:
        os.close(descriptor)


def read_link(path: str) -> str | None:
    """Where a link points, as :func:`read_file`."""
    try:
        return os.readlink(path)  # noqa: PTH115  a Path costs more than the call
    except OSError as error:
        raise_own_trouble(error)
        return None


def list_folder(path: str) -> list[str]:
    """Names in a folder; empty when it is gone or not ours to read. Raises as :func:`read_file`."""
    try:
        return os.listdir(path)  # noqa: PTH208  as above
    except OSError as error:
        raise_own_trouble(error)
        return []


def raise_own_trouble(error: OSError) -> None:
    """Raise the error again where it says nothing of the file, so that nobody is taken for gone by mistake."""
    if error.errno in _OWN_TROUBLE:
        raise error


def parse_stat(data: bytes) -> Stat | None:
    """Fields of a ``stat`` line; None when it is not one.

    The command may hold spaces and parentheses, so it ends at the last one: only numbers follow.
    """
    opening, closing = data.find(b"("), data.rfind(b")")
    fields = data[closing + 2 :].split(None, 20)
    try:
        return Stat(
            comm=data[opening + 1 : closing],
            state=fields[0],
            parent=int(fields[1]),
            terminal=int(fields[4]),
            flags=int(fields[6]),
            minor_faults=int(fields[7]),
            major_faults=int(fields[9]),
            threads=int(fields[17]),
            start=natural(fields[19]),
        )
    except (IndexError, ValueError):
        return None


def read_stat(root: str, pid: int) -> Stat | None:
    """``stat`` of ``pid`` below ``root``; None when it is gone."""
    data = read_file(f"{root}/{pid}/stat")
    return None if data is None else parse_stat(data)


def natural(text: bytes) -> int:
    """An unsigned number as the kernel prints it; ValueError for anything else."""
    value = int(text)
    if not 0 <= value < 2**64:
        raise ValueError(f"{value} is not a number of at most 64 bits")
    return value


def numbers(data: bytes, key: bytes) -> tuple[int, ...]:
    """The numbers on the line that begins with ``key``, without a unit; empty when there is no such line.

    The first line is not looked at: in none of these files does it hold what is wanted.
    """
    line = data.find(b"\n" + key)
    if line < 0:
        return ()
    begin = line + 1 + len(key)
    end = data.find(b"\n", begin)
    try:
        return tuple(map(natural, data[begin : end if end >= 0 else None].removesuffix(b"kB").split()))
    except ValueError:
        return ()
