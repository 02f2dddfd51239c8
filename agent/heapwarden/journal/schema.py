"""What the file holds, by version, and how an older one becomes the present one."""

import sqlite3

from heapwarden.domain.errors import JournalDamagedError, JournalError
from heapwarden.journal.records import EVENT_COLUMNS, RESTART_COLUMNS

APPLICATION_ID = 0x48574A4C
"""In the file's header, for file(1) and for us: whose database it is."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            wall REAL NOT NULL,
            kind TEXT NOT NULL,
            what TEXT NOT NULL,
            text TEXT NOT NULL,
            process TEXT NOT NULL,
            worker TEXT NOT NULL,
            pid INTEGER NOT NULL,
            restart TEXT NOT NULL,
            figures TEXT NOT NULL
        )""",
        "CREATE INDEX events_by_wall ON events (wall)",
        "CREATE INDEX events_by_process ON events (process)",
        """CREATE TABLE restarts (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            wall REAL NOT NULL,
            process TEXT NOT NULL,
            open INTEGER NOT NULL,
            body TEXT NOT NULL
        )""",
        "CREATE INDEX restarts_by_wall ON restarts (wall)",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
)
"""Statements that lead from each version to the next; ``PRAGMA user_version`` counts how many were taken."""


def version(connection: sqlite3.Connection) -> int:
    """The file's; 0 when it is empty. Changes nothing. Raises JournalError when this is no journal we understand."""
    found = _number(connection, "PRAGMA user_version")
    empty = not _number(connection, "SELECT count(*) FROM sqlite_master")
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID and not (empty and found == 0):
        raise JournalError("is a database of another program; move it away, or set state_dir to another folder")
    if found > len(STEPS):
        raise JournalError(
            f"was written by a newer Heapwarden (schema {found}, this one knows {len(STEPS)}) and is left as it is; "
            "use that version, or set state_dir to another folder"
        )
    return found


def check(connection: sqlite3.Connection) -> None:
    """Whether the file is whole, as far as can be told without reading every index. Raises JournalDamagedError."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise JournalDamagedError(str(verdict))


def upgrade(connection: sqlite3.Connection, found: int) -> None:
    """Bring a file of version ``found`` up to the present one; each step is taken whole or not at all.

    Raises JournalDamagedError when it is not what its version says.
    """
    try:
        for number, step in enumerate(STEPS[found:], start=found + 1):
            connection.execute("BEGIN IMMEDIATE")
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        for table, columns in (("events", EVENT_COLUMNS), ("restarts", RESTART_COLUMNS)):
            connection.execute(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")  # noqa: S608  names from here
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise JournalDamagedError(str(error)) from error
        raise


def _number(connection: sqlite3.Connection, query: str) -> int:
    value = connection.execute(query).fetchone()[0]
    return int(value)
