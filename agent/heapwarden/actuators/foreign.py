"""Files and sockets under names that another process gave, whose user may be up to something.

A name may lead to a pipe, to a device that acts when it is opened, to what only root may read. Nothing is opened before
it is known what it is, and it can't become something else in between (``O_PATH``, open(2)).
"""

import errno
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CONNECT_SECONDS = 2.0
MAX_BYTES = 64
"""Of a file that holds a number."""
_UCRED = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who began to listen at a socket, as the kernel noted it then (``SO_PEERCRED``, unix(7))."""

    pid: int
    uid: int
    gid: int


def number_in(path: str, uid: int | None = None) -> int:
    """What a small regular file holds, of ``uid`` if one is given. Blocks. Raises OSError, ValueError."""
    with _held(path, stat.S_ISREG, "not a regular file") as (name, owner):
        if uid not in (None, owner):
            raise PermissionError(errno.EPERM, f"belongs to uid {owner}, and not to {uid}")
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    if len(text) > MAX_BYTES:
        raise ValueError("too long for a number")
    return int(text)


def listener(path: str) -> Peer:
    """Who listens at a Unix socket. Blocks up to :data:`CONNECT_SECONDS`. Raises OSError."""
    with (
        _held(path, stat.S_ISSOCK, "not a socket") as (name, _),
        socket.socket(socket.AF_UNIX) as probe,
    ):
        probe.settimeout(CONNECT_SECONDS)
        probe.connect(name)
        return Peer(*_UCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


@contextmanager
def _held(path: str, is_wanted: Callable[[int], bool], wrong: str) -> Iterator[tuple[str, int]]:
    """Another name of what ``path`` names now, and whose it is. Raises OSError, with ``wrong`` if it is not wanted."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not is_wanted(found.st_mode):
            raise OSError(errno.EINVAL, wrong)
        yield f"/proc/self/fd/{descriptor}", found.st_uid
    finally:
        os.close(descriptor)
