"""What went wrong with the file, in words that name it and the next step."""

import errno
import os
import sqlite3
from pathlib import Path

from heapwarden.domain.errors import JournalDamagedError, JournalError

_ELSEWHERE = "set state_dir to a folder the agent may write"
_FULL = "the disk is full; free some space there, or set state_dir to a folder on another disk"
_READ_ONLY = f"the file system is read-only; mount it writable, or {_ELSEWHERE}"
_OF_SYSTEM = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: f"the quota is used up; free some space there, or {_ELSEWHERE}",
    errno.EROFS: _READ_ONLY,
    errno.ELOOP: f"it is a symbolic link, and those are not followed; {_ELSEWHERE}",
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR), f"a file is in place of its folder; move that away, or {_ELSEWHERE}"
    ),
    errno.EISDIR: f"a folder is in its place; move that away, or {_ELSEWHERE}",
}
_OF_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: "another program holds it locked (a database shell?); end that program",
    sqlite3.SQLITE_LOCKED: "another program holds it locked (a database shell?); end that program",
}
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG})
_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

Fault = sqlite3.Error | OSError | JournalError
FAULTS = (sqlite3.Error, OSError, JournalError)


def is_damage(error: Fault) -> bool:
    """Whether the file is beyond use, so that only a new one helps."""
    return isinstance(error, JournalDamagedError) or _code(error) in _DAMAGE


def is_passing(error: Fault) -> bool:
    """Whether the open database is still good to be tried again."""
    return _code(error) in _PASSING


def sentence(error: Fault, file: Path) -> str:
    """For people: which file, what is wrong with it, and what to do."""
    if is_damage(error):
        return f"{file} is damaged ({error}), as was the one before it; look at the disk, or {_ELSEWHERE}"
    if isinstance(error, JournalError):
        return f"{file} {error}"
    if isinstance(error, OSError):
        return f"{file}: {_of_system(error)}"
    known = _OF_SQLITE.get(_code(error))
    return f"{file}: {known or _of_folder(error, file.parent)}"


def reading_sentence(error: Fault, file: Path) -> str:
    """The same for somebody who only wants to read."""
    if is_damage(error):
        return f"{file} is damaged ({error}); an agent that starts moves it aside and begins a new one"
    if isinstance(error, JournalError):
        return f"{file} {error}"
    if isinstance(error, FileNotFoundError):
        return f"no journal at {file}"
    if isinstance(error, PermissionError):
        return f"{file}: not allowed to be read (as uid {os.geteuid()}); ask as the agent's user"
    return f"{file} can't be read: {getattr(error, 'strerror', None) or error}"


def _of_system(error: OSError) -> str:
    known = _OF_SYSTEM.get(error.errno or 0)
    if known is not None:
        return known
    if isinstance(error, PermissionError):
        return f"not allowed ({error.strerror}, as uid {os.geteuid()}); {_ELSEWHERE}"
    return f"{error.strerror or error}; {_ELSEWHERE}"


def _of_folder(error: sqlite3.Error, folder: Path) -> str:
    """SQLite tells little of the files that it keeps beside the database; the folder tells the rest."""
    try:
        status = os.statvfs(folder)
    except OSError as reason:
        return _of_system(reason)
    if status.f_flag & os.ST_RDONLY:
        return _READ_ONLY
    if not status.f_bavail or (status.f_files and not status.f_favail):
        return _FULL
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"not allowed to write in its folder (as uid {os.geteuid()}); {_ELSEWHERE}"
    return f"{error} ({getattr(error, 'sqlite_errorname', 'no code')}); look at the disk, or {_ELSEWHERE}"


def _code(error: Fault) -> int:
    """SQLite's primary result code; 0 of what did not come from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
