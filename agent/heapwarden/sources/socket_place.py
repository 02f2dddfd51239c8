"""Whether a process could connect to the socket that its reporter was given, as its own file system has it."""

import os
import stat

from heapwarden.domain.checkup import SocketTrouble
from heapwarden.sources.procfile import numbers, raise_own_trouble

_CAP_DAC_OVERRIDE = 1
"""Bit of the effective capabilities (linux/capability.h): no permission bit counts."""


def trouble(root: str, path: str, status: bytes) -> SocketTrouble | None:
    """What keeps the process with this root folder and this ``/proc/PID/status`` from ``path``; None: nothing seen.

    A relative path, a link on the way (it would lead through our own root) or a folder that is closed to us: not known.
    """
    if not path.startswith("/"):
        return None
    user = _User(status)
    *folders, name = [part for part in path.split("/") if part] or [""]
    try:
        for folder in folders:
            root = f"{root}/{folder}"
            found = os.lstat(root)
            if stat.S_ISLNK(found.st_mode):
                return None
            if not user.may(stat.S_IXOTH, found):
                return SocketTrouble.FORBIDDEN
        return _of_the_last(os.lstat(f"{root}/{name}"), user)
    except (FileNotFoundError, NotADirectoryError):
        return SocketTrouble.MISSING
    except OSError as error:
        raise_own_trouble(error)
        return None


def _of_the_last(found: os.stat_result, user: "_User") -> SocketTrouble | None:
    if stat.S_ISLNK(found.st_mode):
        return None
    if not stat.S_ISSOCK(found.st_mode):
        return SocketTrouble.NO_SOCKET
    return None if user.may(stat.S_IWOTH, found) else SocketTrouble.FORBIDDEN


class _User:
    """Who a process is to the file system."""

    def __init__(self, status: bytes) -> None:
        """Its effective ids are the second ones (proc_pid_status(5)); capabilities are hexadecimal."""
        self._user = numbers(status, b"Uid:")[1:2]
        self._groups = {*numbers(status, b"Gid:")[1:2], *numbers(status, b"Groups:")}
        at = status.find(b"\nCapEff:")
        capabilities = status[at + 8 : status.find(b"\n", at + 1)].strip() if at >= 0 else b""
        try:
            self._all = bool(int(capabilities, 16) >> _CAP_DAC_OVERRIDE & 1)
        except ValueError:
            self._all = False

    def may(self, bit: int, file: os.stat_result) -> bool:
        """Whether it has the permission that ``bit`` stands for, as others would have it; where unsure, yes."""
        if self._all or not self._user:
            return True
        if file.st_uid in self._user:
            return bool(file.st_mode & bit << 6)
        return bool(file.st_mode & (bit << 3 if file.st_gid in self._groups else bit))
