"""Events and restarts as rows, and back."""

from collections.abc import Iterable
from typing import Any

from heapwarden.domain.event import Event
from heapwarden.domain.restart import Restart
from heapwarden.journal.codec import MisfitError, build, finite, parse, to_json

EVENT_COLUMNS = ("wall", "kind", "what", "text", "process", "worker", "pid", "restart", "figures")
RESTART_COLUMNS = ("id", "wall", "process", "open", "body")
MOST_CHARACTERS = 4_000
"""Of one text of an event; what is longer is cut. Rows are bounded in number, so this bounds the file."""
MOST_FIGURES, MOST_FIGURE_CHARACTERS = 32, 200
MOST_PID = 2**22
"""PID_MAX_LIMIT of 64-bit Linux (proc(5))."""

Row = tuple[Any, ...]


def event_row(event: Event) -> Row:
    """Values of :data:`EVENT_COLUMNS`. Raises ValueError or TypeError when it is no event that could be read back."""
    most = MOST_FIGURE_CHARACTERS
    figures = {
        storable(key, most): storable(value, most) if isinstance(value, str) else value
        for key, value in list(event.figures.items())[:MOST_FIGURES]
    }
    row = (
        float(event.wall),
        str(event.kind),
        *(storable(text) for text in (event.what, event.text, event.process, event.worker)),
        event.pid,
        storable(event.restart),
        to_json(finite(figures)),
    )
    read_event(row)
    return row


def storable(text: str, most: int = MOST_CHARACTERS) -> str:
    """Short enough, and without the lone surrogates that stand for bytes which are no UTF-8: SQLite takes none."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return short.encode("utf-8", "backslashreplace").decode()


def read_event(row: Row) -> Event:
    """The event in a row of :data:`EVENT_COLUMNS`. Raises MisfitError."""
    tree = dict(zip(EVENT_COLUMNS, row, strict=True))
    if not isinstance(tree["figures"], str):
        raise MisfitError("figures are no text")
    event = build(Event, {**tree, "figures": parse(tree["figures"])})
    if not 0 <= event.pid <= MOST_PID:
        raise MisfitError("no pid")
    return event


def restart_row(restart: Restart) -> Row:
    """Values of :data:`RESTART_COLUMNS`. Raises ValueError or TypeError when it could not be read back."""
    body = to_json(restart)
    read_restart(body)
    return (storable(restart.id), float(restart.wall), storable(restart.name.process), int(restart.open), body)


def read_restart(body: object) -> Restart:
    """The restart in a row's ``body``. Raises MisfitError.

    The agent acts on what it reads here, so a pid must be one: to kill(2), 0 and below are groups of processes.
    """
    if not isinstance(body, str):
        raise MisfitError("no text")
    restart = build(Restart, parse(body))
    process = restart.process
    if process.start < 0 or not (0 < process.pid <= MOST_PID or (process.pid == 0 and process.namespace)):
        raise MisfitError("no process")
    return restart


def read_all(rows: Iterable[Row]) -> tuple[list[Event], int]:
    """The events in ``rows``, and how many rows were left out because they hold none."""
    events: list[Event] = []
    bad = 0
    for row in rows:
        try:
            events.append(read_event(row))
        except MisfitError:
            bad += 1
    return events, bad
