"""What one client of the live page has been told, and what is new for it."""

import base64
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence

from heapwarden.domain.event import Event
from heapwarden.domain.identity import Name
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.runtime.columns import COLUMNS
from heapwarden.runtime.entries import Entries
from heapwarden.runtime.history import History
from heapwarden.web.event_stream import event
from heapwarden.web.responses import dumps
from heapwarden.web.views import Json, full, wrapper

Recent = Callable[[int, str | None], Awaitable[Sequence[Event]]]
"""The newest events in the journal, newest first: at most so many, of one name or of all."""

MOST_ENTRIES = 100
MOST_POINTS = 30
"""A client that has missed more gets the whole history again."""


class Detail:
    """One slot: its history once, then each new sample; and whether anybody is in it."""

    def __init__(self, name: Name, history: History) -> None:
        """Nothing was told yet."""
        self._name, self._history = name, history
        self._told_at: float | None = None
        self._wall_offset = 0.0
        self._there = True

    def news(self, snapshot: Snapshot) -> Iterator[bytes]:
        """What has come since the last call, as events."""
        yield from self._rows(snapshot)
        watched = next((one for one in snapshot.by_name.get(self._name.process, ()) if one.name == self._name), None)
        if watched is not None:
            yield event("detail", dumps(_detail(watched, snapshot)))
        elif self._there:
            yield event("gone", dumps(self._labels()))
        self._there = watched is not None

    def _rows(self, snapshot: Snapshot) -> Iterator[bytes]:
        """Points; everything at first, and where too much was missed or the clock was set."""
        offset = snapshot.wall - snapshot.at
        rows = [] if self._told_at is None else self._history.after(self._name, self._told_at)
        if self._told_at is None or len(rows) > MOST_POINTS or abs(offset - self._wall_offset) > 1:
            self._wall_offset = offset
            packed, self._told_at = self._history.rows(self._name, offset)
            text = base64.b64encode(packed).decode("ascii")
            yield event("history", dumps(self._labels() | {"columns": COLUMNS, "rows": text}))
            return
        for row in rows:
            self._told_at = row[0]
            yield event("point", dumps({"row": [round(row[0] + offset, 3), *map(_number, row[1:])]}))

    def _labels(self) -> Json:
        return {"process": self._name.process, "worker": self._name.worker}


class News:
    """Entries of the journal, of one name or of all: the last ones first, then each new one."""

    def __init__(self, entries: Entries, recent: Recent, process: str | None) -> None:
        """Nothing was told yet. ``recent`` is asked for what memory has let go, of one name."""
        self._entries, self._recent, self._process = entries, recent, process
        self._told: int | None = None

    async def news(self) -> bytes:
        """What has come since the last call, as one event; empty when nothing has, but not at first."""
        older = await self._older() if self._told is None else []
        found = [*older, *self._entries.after(self._told or 0, MOST_ENTRIES, self._process)][-MOST_ENTRIES:]
        first, self._told = self._told is None, self._entries.newest
        return event("entries", dumps({"entries": [_entry(one) for one in found]})) if found or first else b""

    async def _older(self) -> list[Event]:
        """A name with few entries has them hours apart, and others' come between."""
        if self._process is None or self._entries.all_since == -math.inf:
            return []
        found = await self._recent(MOST_ENTRIES, self._process)
        return [one for one in reversed(found) if one.wall < self._entries.all_since]


def _detail(watched: Watched, snapshot: Snapshot) -> Json:
    above = {ancestor.pid for ancestor in watched.process.ancestors}
    in_front = next((one for one in snapshot.wrappers if one.id.pid in above), None)
    return full(watched, snapshot, snapshot.at) | {"wrapper": None if in_front is None else wrapper(in_front)}


def _entry(one: Event) -> Json:
    return {
        "wall": one.wall,
        "kind": one.kind,
        "what": one.what,
        "text": one.text,
        "process": one.process,
        "worker": one.worker,
        "restart": one.restart,
    }


def _number(value: float) -> float | None:
    """As short as its seven digits; unknown is null."""
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.7g}")
