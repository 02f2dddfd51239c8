"""``/live/events``: what the live page shows, as server-sent events.

Nothing is kept for a client: whoever reads slowly gets the newest when it is ready for it, and whoever connects again
gets everything from the beginning.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from starlette.requests import Request
from starlette.responses import Response

from heapwarden.domain.identity import Name
from heapwarden.domain.snapshot import Snapshot
from heapwarden.runtime.entries import Entries
from heapwarden.runtime.history import History
from heapwarden.web.event_stream import CONTENT_TYPE, HEARTBEAT, EventStream, Seats, event, retry
from heapwarden.web.health import Answer
from heapwarden.web.live_view import Detail, News, Recent
from heapwarden.web.options import WebOptions
from heapwarden.web.overview import Overview, ticks_between
from heapwarden.web.responses import answer

MOST_STREAMS = 20
MOST_CHARACTERS = 120
"""Of a process's name, and of a slot."""
RETRY_MILLISECONDS = 2_000
HEARTBEAT_SECONDS = 15.0


class Live:
    """All clients of the live page."""

    def __init__(
        self,
        snapshot: Snapshot,
        history: History,
        entries: Entries,
        recent: Recent,
        options: Callable[[], WebOptions],
    ) -> None:
        """Nobody looks; ``snapshot`` is what there is to see until the first tick has ended."""
        self._history, self._entries, self._recent = history, entries, recent
        self._newest = self._listed = snapshot
        self._overview = Overview(options)
        self._seats = Seats(MOST_STREAMS)
        self._ticks = 0
        self._woken = asyncio.Event()
        self._stopped = False

    def recorded(self, snapshot: Snapshot) -> None:
        """A tick has ended, and its figures are in the history."""
        self._newest = snapshot
        self._ticks += 1
        if self._ticks % ticks_between(snapshot) == 0 or not self._listed.processes:
            self._listed = snapshot
        self.wake()

    def wake(self) -> None:
        """Have everybody look for news."""
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    def stop(self) -> None:
        """End every answer."""
        self._stopped = True
        self.wake()

    def answer(self, request: Request) -> Response:
        """The stream that ``request`` asks for, or what is wrong with it."""
        if not _takes_events(request):
            return answer(Answer(406, {"detail": f"this is {CONTENT_TYPE}, and nothing else"}))
        asked = _asked(request.query_params.multi_items())
        return answer(asked) if isinstance(asked, Answer) else EventStream(self._pieces(asked), self._seats)

    async def _pieces(self, asked: Name | None) -> AsyncGenerator[bytes]:
        yield retry(RETRY_MILLISECONDS)
        detail = None if asked is None else Detail(asked, self._history)
        entries = News(self._entries, self._recent, None if asked is None else asked.process)
        listed = told = None
        while not self._stopped:
            woken = self._woken
            if listed is not self._listed:
                listed = self._listed
                yield event("overview", await self._overview.of(listed))
            if detail is not None and told is not self._newest:
                told = self._newest
                for piece in detail.news(told):
                    yield piece
            if new := await entries.news():
                yield new
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await woken.wait()
            except TimeoutError:
                yield HEARTBEAT


def _takes_events(request: Request) -> bool:
    accept = ",".join(request.headers.getlist("accept")).lower()
    return not accept or any(kind in accept for kind in (CONTENT_TYPE, "text/*", "*/*"))


def _asked(query: list[tuple[str, str]]) -> Name | Answer | None:
    """The slot that is asked for; None: the list alone."""
    if not query:
        return None
    given = dict(query)
    if len(query) != len(given) or set(given) != {"process", "worker"}:
        return Answer(400, {"detail": "?process=NAME&worker=SLOT is understood, each once, or nothing at all"})
    if not all(0 < len(value) <= MOST_CHARACTERS and value.isprintable() for value in given.values()):
        return Answer(400, {"detail": f"a name and a slot have 1 to {MOST_CHARACTERS} characters that can be printed"})
    return Name(given["process"], given["worker"])
