"""What the journal's thread does: keep a store open, write to it, and hold on to what can't be written now.

Nothing here raises because of the file: it is said in ``trouble``, counted, and tried again.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from heapwarden.domain.errors import JournalError
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.restart import Restart
from heapwarden.journal import place
from heapwarden.journal.faults import FAULTS, Fault, is_damage, is_passing, sentence
from heapwarden.journal.reading import opened
from heapwarden.journal.records import Row, event_row, restart_row
from heapwarden.journal.store import Store, read_restarts
from heapwarden.ports import Remembered, Telemetry

log = logging.getLogger(__name__)

MOST_UNWRITTEN, MOST_ENDED = 500, 100
RETRY_SECONDS, MOST_RETRY_SECONDS = 1.0, 60.0
PRUNE_SECONDS = 600.0
LOST = "journal_lost"
"""``what`` of the event that opens a journal which took the place of a lost one."""

T = TypeVar("T")


class Keeper:
    """One journal and its troubles; of one thread, except for :attr:`trouble`, which any may read."""

    def __init__(
        self,
        folder: Path,
        *,
        telemetry: Telemetry,
        wall: Callable[[], float],
        max_age_seconds: float,
        max_rows: int,
    ) -> None:
        """Nothing is opened yet."""
        self.file = folder / place.FILE_NAME
        self.trouble: str | None = None
        self._folder = folder
        self._telemetry = telemetry
        self._wall = wall
        self._max_age_seconds, self._max_rows = max_age_seconds, max_rows
        self._store: Store | None = None
        self._unwritten: deque[tuple[Event, Row]] = deque()
        self._ended: dict[str, Row] = {}
        """Restarts that came to their end and could not be saved so. Those under way are not written later: whoever
        asked was told that they are not safe, and may have thought better of it."""
        self._lost: Event | None = None
        self._refused = False
        self._unproven = False
        """Whether the file is a new one that nothing was written to yet. If that is damaged too, the fault lies
        elsewhere, and moving files aside again and again would only push out the first, which has something in it."""
        self._told: set[str] = set()
        self._retry_at, self._retry_seconds = 0.0, RETRY_SECONDS
        self._prune_at = 0.0

    def keep(self, event: Event) -> None:
        """Write it with the next ones; while nothing can be written, the newest are held."""
        try:
            row = event_row(event)
        except (TypeError, ValueError, OverflowError):
            self._say(f"an event can't be kept: {event!r:.500}")
            return
        self._unwritten.append((event, row))
        if len(self._unwritten) > MOST_UNWRITTEN:
            self._unwritten.popleft()
            self._telemetry.journal_error()

    def save(self, restart: Restart, event: Event, claim: Callable[[], bool]) -> bool:
        """Whether both are written now; not if ``claim``, asked last of all, says that nobody waits any more."""
        try:
            row = restart_row(restart)
        except (TypeError, ValueError, OverflowError):
            self._say(f"a restart can't be kept: {restart!r:.500}")
            return False
        self.keep(event)
        if self._write(row, claim):
            return True
        if not restart.open:
            self._ended[restart.id] = row
            if len(self._ended) > MOST_ENDED:
                del self._ended[next(iter(self._ended))]
                self._telemetry.journal_error()
        return False

    def load(self, since_wall: float) -> Remembered:
        """As the port says."""

        def read(store: Store) -> tuple[list[Restart], list[Restart], int, Event | None]:
            return (*store.restarts(since_wall), store.last_event(EventKind.AGENT, LOST, since_wall))

        found = self._with_store(read)
        if found is None:
            return self._peek(since_wall)
        still_open, past, bad, lost = found
        lost, left_out = self._lost or lost, self._left_out("restarts", bad)
        gaps = [text for text in (lost.text if lost else None, left_out) if text]
        since = lost.wall if lost and not left_out and lost.wall <= self._wall() else None
        return Remembered(tuple(still_open), tuple(past), "; ".join(gaps) or None, since)

    def _peek(self, since_wall: float) -> Remembered:
        """What can be read where nothing can be written. In a journal that is refused, restarts are not ours either."""
        if self._refused:
            return Remembered(trouble=self.trouble)
        self._drop_store()  # looking at the file closes it, which would drop the locks of a store (fcntl(2))
        try:
            place.expect_ours(self.file)
            with opened(self.file) as (connection, _):
                still_open, past, _bad = read_restarts(connection, since_wall)
        except FAULTS:
            return Remembered(trouble=self.trouble)
        return Remembered(tuple(still_open), tuple(past), self.trouble)

    def recent(self, most: int, process: str | None) -> Sequence[Event]:
        """The newest, newest first; while nothing can be read, those that are held."""
        held = [event for event, _ in reversed(self._unwritten) if process in (None, event.process)]
        if self._store is None and self.trouble is not None:
            return held[:most]
        events, bad = self._with_store(lambda store: store.events(most, process)) or ([], 0)
        self._left_out("events", bad)
        return (held + events)[:most]

    def tend(self) -> float:
        """Do what is due: write, try again, prune. Gives the seconds until more will be."""
        now = time.monotonic()
        if self.trouble is not None and now >= self._retry_at:
            if not self._write():
                self._retry_seconds = min(self._retry_seconds * 2, MOST_RETRY_SECONDS)
                self._retry_at = now + self._retry_seconds
        elif self.trouble is None and (self._unwritten or self._ended):
            self._write()
        if self.trouble is None and self._store is not None and now >= self._prune_at:
            more = self._with_store(self._prune)
            self._prune_at = 0.0 if more else now + PRUNE_SECONDS
        due_at = self._prune_at if self.trouble is None else self._retry_at
        return max(0.0, due_at - now) if self._store or self.trouble else PRUNE_SECONDS

    def close(self) -> None:
        """Write what can be written, and let go."""
        if self._unwritten or self._ended:
            self._write()
        self._drop_store()

    def _left_out(self, what: str, count: int) -> str | None:
        """Count rows that can't be read; said once, because who asks for events asks again and again."""
        if not count:
            return None
        self._telemetry.journal_error()
        text = f"{self.file}: {what} in it that can't be read and are left out: {count}"
        if what not in self._told:
            self._told.add(what)
            log.warning("journal: %s", text)
        return text

    def _prune(self, store: Store) -> bool:
        return store.prune(self._wall() - self._max_age_seconds, self._max_rows)

    def _write(self, restart: Row | None = None, claim: Callable[[], bool] = lambda: False) -> bool:
        """All that is held, in one transaction, and the restart if it is still claimed; whether all of it was."""

        def write(store: Store) -> list[bool]:
            with store.transaction():
                store.put_events(row for _, row in self._unwritten)
                for row in self._ended.values():
                    store.put_restart(row)
                claimed = restart is not None and claim()
                if restart is not None and claimed:
                    store.put_restart(restart)
            return [claimed]

        written = self._with_store(write)
        if written is None:
            return False
        if self.trouble is not None:
            log.info("the journal works again; %d events that waited are in it", len(self._unwritten))
        self._unwritten.clear()
        self._ended.clear()
        self._unproven = False
        self.trouble, self._retry_seconds = None, RETRY_SECONDS
        return restart is None or written[0]

    def _with_store(self, work: Callable[[Store], T]) -> T | None:
        """What ``work`` gives; None when it failed, which is said. A damaged file is replaced, once."""
        try:
            try:
                return work(self._opened())
            except FAULTS as error:
                if not is_damage(error) or self._unproven:
                    raise
                self._replace(error)
                return work(self._opened())
        except FAULTS as error:
            self._fail(error)
            return None

    def _opened(self) -> Store:
        if self._store is not None and not self._store.in_place():
            self._drop_store()
            self._forget(f"{self.file} was removed while the agent ran; a new one is begun")
        if self._store is None:
            self._store = Store(self._folder)
            self._prune_at = 0.0
        return self._store

    def _replace(self, error: Fault) -> None:
        """Raises OSError, JournalError."""
        self._drop_store()
        lock = place.lock(self._folder)
        try:
            aside = place.move_aside(self.file, self._wall())
        finally:
            os.close(lock)
        self._unproven = True
        self._forget(f"{self.file} was damaged ({error}) and is now {aside.name}; a new one is begun")

    def _forget(self, text: str) -> None:
        self._lost = Event(self._wall(), EventKind.AGENT, LOST, text)
        self._say(text)
        self.keep(self._lost)

    def _fail(self, error: Fault) -> None:
        self._telemetry.journal_error()
        self._refused = isinstance(error, JournalError)
        if not is_passing(error):
            self._drop_store()
        text = sentence(error, self.file)
        if text != self.trouble:
            log.warning("no journal: %s", text)
        self.trouble = text
        self._retry_at = time.monotonic() + self._retry_seconds

    def _drop_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except FAULTS as error:
                log.debug("the journal did not close: %s", error)

    def _say(self, text: str) -> None:
        self._telemetry.journal_error()
        log.warning("journal: %s", text)
