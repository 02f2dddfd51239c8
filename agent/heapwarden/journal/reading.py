"""Reading a journal without touching it: while an agent writes to it, on a read-only disk, as another user."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from heapwarden.domain.errors import JournalError
from heapwarden.domain.event import Event
from heapwarden.domain.restart import Restart
from heapwarden.journal import schema
from heapwarden.journal.codec import MisfitError
from heapwarden.journal.faults import FAULTS, reading_sentence
from heapwarden.journal.records import EVENT_COLUMNS, read_event, read_restart, storable
from heapwarden.journal.store import MOST_BYTES

BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, and the restart that it belongs to where that is known still."""

    event: Event
    restart: Restart | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the history."""

    entries: tuple[Entry, ...]
    """Oldest first."""
    more: bool
    """Whether there were older ones that were wanted."""
    unreadable: int
    """Rows that were left out because they hold no event."""
    newest_missing: bool
    """Whether what was written last could not be read."""


def read_page(
    file: Path, most: int, *, process: str | None = None, kinds: Collection[str] = (), since_wall: float | None = None
) -> Page:
    """The newest events of a process and of some kinds (none named: of all). Raises JournalError."""
    where, values = ["TRUE"], list[str | float]()
    if process is not None:
        where, values = [*where, "events.process = ?"], [*values, storable(process)]
    if kinds:
        where, values = [*where, f"events.kind IN ({', '.join('?' * len(kinds))})"], [*values, *kinds]
    if since_wall is not None:
        where, values = [*where, "events.wall >= ?"], [*values, since_wall]
    columns = ", ".join(f"events.{column}" for column in EVENT_COLUMNS)
    query = (
        f"SELECT {columns}, restarts.body FROM events LEFT JOIN restarts ON restarts.id = events.restart "  # noqa: S608  names from here
        f"WHERE {' AND '.join(where)} ORDER BY events.id DESC LIMIT ?"
    )
    with opened(file) as (connection, newest_missing):
        found = [_entry(row) for row in connection.execute(query, (*values, most + 1))]
    entries = [entry for entry in found[:most] if entry is not None]
    return Page(tuple(reversed(entries)), len(found) > most, len(found[:most]) - len(entries), newest_missing)


@contextmanager
def opened(file: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """The journal for reading, and whether what was written last is missing. Raises JournalError, within too."""
    try:
        file.open("rb").close()  # of what the system forbids, SQLite would say little
        connection, newest_missing = _connect(file)
        with closing(connection):
            yield connection, newest_missing
    except FAULTS as error:
        raise JournalError(reading_sentence(error, file)) from error


def _connect(file: Path) -> tuple[sqlite3.Connection, bool]:
    """An orderly end leaves no log beside the file, which is whole then and is read as it lies.

    Read otherwise, SQLite would put files beside it, which might belong to a user whose files the agent can't open.
    """
    log = Path(f"{file}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    if has_log:
        try:
            return _connect_by(file, "mode=ro"), False
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
    return _connect_by(file, "mode=ro&immutable=1"), has_log


def _connect_by(file: Path, mode: str) -> sqlite3.Connection:
    address = f"{file.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")
        _expect_present_version(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _expect_present_version(connection: sqlite3.Connection) -> None:
    if schema.version(connection) < len(schema.STEPS):
        raise JournalError("was written by an older Heapwarden, or not yet; an agent that starts brings it up to date")


def _entry(row: tuple[object, ...]) -> Entry | None:
    *columns, body = row
    try:
        event = read_event(tuple(columns))
    except MisfitError:
        return None
    try:
        return Entry(event, None if body is None else read_restart(body))
    except MisfitError:
        return Entry(event)
