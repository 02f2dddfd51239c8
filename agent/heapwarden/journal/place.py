"""Where the journal lies: its folder, its file, and the lock that keeps a second agent away."""

import fcntl
import os
import stat
from pathlib import Path

from heapwarden.domain.errors import JournalError

FILE_NAME = "journal.sqlite3"
LOCK_NAME = "journal.lock"
"""Not the database itself: closing any descriptor of that would drop SQLite's own locks (fcntl(2))."""
COMPANIONS = ("-wal", "-shm")
MOST_MOVED_ASIDE = 3
_STICKY_FOR_ALL = stat.S_ISVTX | stat.S_IWOTH


def lock(folder: Path) -> int:
    """Make the folder if there is none, and lock it; the descriptor holds the lock until it is closed.

    Raises OSError, and JournalError when another agent has it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise JournalError("is in use by another agent; give each agent a state_dir of its own") from error
        raise
    return descriptor


def make_file(file: Path) -> None:
    """Make the file, for its owner alone, if there is none. Raises OSError."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))


def expect_ours(file: Path) -> None:
    """The agent acts on what it reads there. Raises OSError, JournalError when somebody else could have planted it."""
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise JournalError("is no regular file; move it away, or set state_dir to another folder")
    if status.st_uid != os.geteuid() and file.parent.stat().st_mode & _STICKY_FOR_ALL == _STICKY_FOR_ALL:
        raise JournalError(
            f"was put into a folder that is open to all by another user (uid {status.st_uid}); "
            "set state_dir to a folder of the agent's own"
        )


def move_aside(file: Path, wall: float) -> Path:
    """Give a damaged file and its companions another name, which comes back; older ones of these go. Raises OSError."""
    number = int(wall)
    while (aside := file.with_name(f"{file.name}.corrupt-{number}")).exists():
        number += 1
    for companion in COMPANIONS:
        beside = Path(f"{file}{companion}")
        if beside.exists():
            beside.rename(f"{aside}{companion}")
    file.rename(aside)
    for old in _moved_aside(file)[:-MOST_MOVED_ASIDE]:
        for one in (old, *(Path(f"{old}{companion}") for companion in COMPANIONS)):
            one.unlink(missing_ok=True)
    return aside


def _moved_aside(file: Path) -> list[Path]:
    """Oldest first."""
    found = {}
    for one in file.parent.glob(f"{file.name}.corrupt-*"):
        number = one.name.rpartition("-")[2]
        if number.isascii() and number.isdigit():
            found[int(number)] = one
    return [found[number] for number in sorted(found)]
