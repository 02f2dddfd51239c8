"""The journal as the event loop sees it: every call is handed to one thread, and waited for up to a deadline."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from heapwarden.domain.event import Event
from heapwarden.domain.restart import Restart
from heapwarden.journal.keeper import Keeper
from heapwarden.journal.ticket import T, Ticket
from heapwarden.ports import Remembered, Telemetry

log = logging.getLogger(__name__)

MAX_AGE_SECONDS = 30 * 86_400.0
MAX_ROWS = 100_000
SAVE_SECONDS = RECENT_SECONDS = CLOSE_SECONDS = 2.0
LOAD_SECONDS = 10.0
MOST_WAITING = 1_000
"""Events in the queue; saves are let in behind them."""
MOST_SAVES_WAITING = MOST_WAITING + 200
AT_ONCE = 250
"""Jobs before what they brought is written: below the number of events that are held."""
WAIT_AFTER_ERROR_SECONDS = 1.0

Job = Callable[[Keeper], None]


class SqliteJournal:
    """``journal.sqlite3`` in ``folder``. Nothing is opened, and no thread started, before the first call."""

    def __init__(
        self,
        folder: Path,
        *,
        telemetry: Telemetry,
        wall: Callable[[], float] = time.time,
        max_age_seconds: float = MAX_AGE_SECONDS,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """What is older than ``max_age_seconds`` goes, and of events all but the newest ``max_rows``.

        ``telemetry.journal_error`` is called from the journal's thread too.
        """
        self._keeper = Keeper(
            folder, telemetry=telemetry, wall=wall, max_age_seconds=max_age_seconds, max_rows=max_rows
        )
        self._telemetry = telemetry
        self._jobs: queue.SimpleQueue[Job | Ticket[bool]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._ended: Ticket[bool] | None = None
        self._busy_since: float | None = None
        self._silent = False
        self.on_event: Callable[[Event], None] = lambda _event: None
        """Called with each event that is to be kept, at once and whether or not it can be."""

    @property
    def trouble(self) -> str | None:
        """What is wrong with it now, in words that name the file and the next step; None when nothing is."""
        since = self._busy_since
        if since is not None and (seconds := time.monotonic() - since) > SAVE_SECONDS:
            file = self._keeper.file
            return f"{file}: the disk has not answered for {seconds:.0f} s; look at it, or set state_dir to another"
        return self._keeper.trouble

    async def load(self, since_wall: float) -> Remembered:
        """Open restarts, and those that began after ``since_wall``."""
        found = await self._ask(lambda keeper, _: keeper.load(since_wall), LOAD_SECONDS)
        return Remembered(trouble=self.trouble or "the journal did not answer in time") if found is None else found

    async def save(self, restart: Restart, event: Event) -> bool:
        """Whether both are committed. False: the restart is not written later either, unless it has ended."""
        self.on_event(event)
        return bool(await self._ask(lambda keeper, claim: keeper.save(restart, event, claim), SAVE_SECONDS))

    def append(self, event: Event) -> None:
        """Keep an event when there is time; dropped and counted when too many wait."""
        self.on_event(event)
        self._put(lambda keeper: keeper.keep(event), MOST_WAITING)

    async def recent(self, most: int, process: str | None = None) -> Sequence[Event]:
        """The newest events, newest first; none when they can't be read in time."""
        found = await self._ask(lambda keeper, _: keeper.recent(most, process), RECENT_SECONDS)
        return [] if found is None else found

    async def close(self) -> None:
        """Write what waits, and end the thread; not waited for longer than :data:`CLOSE_SECONDS`."""
        self._closed = True
        if self._thread is None:
            return
        if self._ended is None:
            self._ended = Ticket()
            self._jobs.put(self._ended)
        await self._ended.wait(CLOSE_SECONDS)

    async def _ask(self, job: Callable[[Keeper, Callable[[], bool]], T], seconds: float) -> T | None:
        ticket: Ticket[T] = Ticket()
        if not self._put(lambda keeper: ticket.give(job(keeper, ticket.claim)), MOST_SAVES_WAITING):
            return None
        answer = await ticket.wait(seconds)
        if answer is None:
            self._telemetry.journal_error()
            if not self._silent:
                log.warning("the journal did not answer within %g s", seconds)
        self._silent = answer is None
        return answer

    def _put(self, job: Job, most: int) -> bool:
        if self._closed or self._jobs.qsize() >= most:
            self._telemetry.journal_error()
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="heapwarden-journal", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        return True

    def _work(self) -> None:
        wait: float | None = None
        while True:
            jobs = self._next(wait)
            self._busy_since = time.monotonic()
            for job in jobs:
                if isinstance(job, Ticket):
                    self._guard(Keeper.close)
                    self._busy_since = None
                    job.give(True)
                    return
                self._guard(job)
            wait = self._guard(Keeper.tend)
            wait = WAIT_AFTER_ERROR_SECONDS if wait is None else wait
            self._busy_since = None

    def _next(self, wait: float | None) -> list[Job | Ticket[bool]]:
        jobs: list[Job | Ticket[bool]] = []
        try:
            jobs.append(self._jobs.get_nowait() if wait == 0 else self._jobs.get(timeout=wait))
            while len(jobs) < AT_ONCE:
                jobs.append(self._jobs.get_nowait())
        except queue.Empty:
            pass
        return jobs

    def _guard(self, job: Callable[[Keeper], T]) -> T | None:
        try:
            return job(self._keeper)
        except Exception:
            self._telemetry.journal_error()
            log.exception("the journal's thread goes on after an error of its own")
            return None
