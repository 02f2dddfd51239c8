"""The open database: what is written to it and read from it. Blocks; of one thread. Raises sqlite3.Error, OSError."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from heapwarden.domain.event import Event
from heapwarden.domain.restart import Restart
from heapwarden.journal import place, schema
from heapwarden.journal.codec import MisfitError
from heapwarden.journal.records import EVENT_COLUMNS, RESTART_COLUMNS, Row, read_all, read_restart, storable

MOST_OPEN, MOST_PAST = 1_000, 10_000
MOST_RESTARTS = 10_000
MOST_BYTES = 16 * 2**20
"""Of one value; what is larger was not written by an agent."""
PRUNED_AT_ONCE = 2_000
"""So that a save never waits for long."""
BUSY_SECONDS = 1.0
"""Less than a save waits: a shell that holds the database locked is told of, not taken for a hang."""
_PRAGMAS = (
    # With WAL, NORMAL hands each commit to the kernel, which keeps it when the agent dies, by kill -9 too. Only a loss
    # of power can take back the last ones, and then the processes they speak of are gone as well. FULL would make each
    # stage of a restart wait for the disk, seconds on a busy one, in a process that is running out of memory.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA trusted_schema = OFF",
)
_PUT_EVENT = f"INSERT INTO events ({', '.join(EVENT_COLUMNS)}) VALUES ({', '.join('?' * len(EVENT_COLUMNS))})"  # noqa: S608  names from here
_PUT_RESTART = (
    f"INSERT INTO restarts ({', '.join(RESTART_COLUMNS)}) VALUES ({', '.join('?' * len(RESTART_COLUMNS))}) "  # noqa: S608  as above
    "ON CONFLICT (id) DO UPDATE SET open = excluded.open, body = excluded.body"
)
_PRUNE = (
    "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE wall < :before LIMIT :at_once)",
    "DELETE FROM restarts WHERE number IN (SELECT number FROM restarts WHERE wall < :before LIMIT :at_once)",
    """DELETE FROM events WHERE id IN
        (SELECT id FROM events WHERE id <= (SELECT max(id) FROM events) - :events LIMIT :at_once)""",
    """DELETE FROM restarts WHERE number IN
        (SELECT number FROM restarts WHERE number <= (SELECT max(number) FROM restarts) - :restarts LIMIT :at_once)""",
)
_GET_EVENTS = f"SELECT {', '.join(EVENT_COLUMNS)} FROM events"  # noqa: S608  as above


class Store:
    """One journal, locked and open for writing."""

    def __init__(self, folder: Path) -> None:
        """Lock, open, check, and upgrade. Raises JournalError too, with a text that lacks the file's name."""
        self.file = folder / place.FILE_NAME
        self._lock = place.lock(folder)
        try:
            place.make_file(self.file)
            place.expect_ours(self.file)
            self._inode = self.file.stat().st_ino
            self._connection = _connect(self.file)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let go of the file and of the lock."""
        try:
            self._connection.close()
        finally:
            os.close(self._lock)

    def in_place(self) -> bool:
        """Whether the file is still where it was opened: what is written to a deleted one is lost."""
        try:
            return self.file.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything within, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def put_events(self, rows: Iterable[Row]) -> None:
        """Add events."""
        self._connection.executemany(_PUT_EVENT, rows)

    def put_restart(self, row: Row) -> None:
        """Add a restart, or change the one that has its id."""
        self._connection.execute(_PUT_RESTART, row)

    def events(self, most: int, process: str | None) -> tuple[list[Event], int]:
        """The newest, newest first, and how many rows were left out because they are none."""
        where, values = ("", []) if process is None else (" WHERE process = ?", [storable(process)])
        return read_all(self._connection.execute(f"{_GET_EVENTS}{where} ORDER BY id DESC LIMIT ?", [*values, most]))

    def restarts(self, since_wall: float) -> tuple[list[Restart], list[Restart], int]:
        """Open ones, those that began after ``since_wall``, both oldest first, and how many rows are none."""
        return read_restarts(self._connection, since_wall)

    def last_event(self, kind: str, what: str, since_wall: float) -> Event | None:
        """The newest of its kind that is not older."""
        query = f"{_GET_EVENTS} WHERE kind = ? AND what = ? AND wall > ? ORDER BY id DESC LIMIT 1"
        found, _ = read_all(self._connection.execute(query, (kind, what, since_wall)))
        return found[0] if found else None

    def prune(self, before_wall: float, most_events: int) -> bool:
        """Remove some of what is too old or too much; whether there may be more of it."""
        values = {"before": before_wall, "events": most_events, "restarts": MOST_RESTARTS, "at_once": PRUNED_AT_ONCE}
        with self.transaction():
            gone = [self._connection.execute(statement, values).rowcount for statement in _PRUNE]
        return max(gone) >= PRUNED_AT_ONCE


def read_restarts(connection: sqlite3.Connection, since_wall: float) -> tuple[list[Restart], list[Restart], int]:
    """As :meth:`Store.restarts` says. No more than :data:`MOST_OPEN` and the newest :data:`MOST_PAST`."""
    still_open = connection.execute("SELECT body FROM restarts WHERE open ORDER BY number DESC LIMIT ?", (MOST_OPEN,))
    past = connection.execute(
        "SELECT body FROM restarts WHERE wall > ? ORDER BY wall DESC, number DESC LIMIT ?", (since_wall, MOST_PAST)
    )
    read = [_some_restarts(rows.fetchall()) for rows in (still_open, past)]
    bad = max(bad for _, bad in read)
    return [one for one in read[0][0] if one.open], read[1][0], bad


def _some_restarts(rows: Sequence[Row]) -> tuple[list[Restart], int]:
    """Oldest first, of rows that come newest first."""
    restarts: list[Restart] = []
    bad = 0
    for (body,) in reversed(rows):
        try:
            restarts.append(read_restart(body))
        except MisfitError:
            bad += 1
    return restarts, bad


def _connect(file: Path) -> sqlite3.Connection:
    address = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        found = schema.version(connection)
        schema.check(connection)
        connection.execute("PRAGMA journal_mode = WAL").fetchone()  # where it can't be had, what is there serves
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        schema.upgrade(connection, found)
    except BaseException:
        connection.close()
        raise
    return connection
