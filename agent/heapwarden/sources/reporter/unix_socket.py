"""The socket's place in the file system: taken, shared in the right mode, and given back."""

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from heapwarden.domain.errors import SocketUnavailableError

MAX_PATH_BYTES = 107
"""sun_path holds 108 bytes with the closing zero (unix(7))."""
BACKLOG = 4_096


def listen(path: Path, mode: int) -> socket.socket:
    """A listening Unix socket at ``path``, connectable by whom ``mode`` lets write.

    A socket left behind by a killed agent is replaced. A live agent's and any other file never are. Raises
    SocketUnavailableError.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SocketUnavailableError(f"{path}: a socket's path may have {MAX_PATH_BYTES} bytes; set a shorter `socket`")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        return _bind(path, mode)
    except OSError as error:
        raise SocketUnavailableError(
            f"{path}: {error.strerror}; set `socket` to a path that this user (uid {os.geteuid()}) may write"
        ) from error


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketUnavailableError(f"{path}: is there and is no socket; move it away or set another `socket`")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(str(path))
    if code not in (errno.ECONNREFUSED, 0, errno.EAGAIN):
        raise OSError(code, os.strerror(code))
    if code != errno.ECONNREFUSED:
        raise SocketUnavailableError(f"{path}: another agent listens here; stop it or set another `socket`")
    path.unlink()


def _bind(path: Path, mode: int) -> socket.socket:
    """Bind under a temporary name, set the mode, then move into place: it is never there in a wrong mode."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path.with_name(f".{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        listener.bind(str(temporary))
        temporary.chmod(mode)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        temporary.rename(path)
    except OSError:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise
    return listener


def remove(path: Path, inode: int) -> None:
    """Give the path back, unless a successor has put its own socket there."""
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
