"""Server-sent events (HTML Living Standard, section 9.2) as an answer that lasts as long as its client."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from heapwarden.web.health import Answer
from heapwarden.web.responses import NO_STORE, answer

CONTENT_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"
HEADERS = NO_STORE | {"content-type": CONTENT_TYPE, "connection": "close", "x-accel-buffering": "no"}
"""The last is for nginx, which would else hold events back."""
FULL = Answer(503, {"detail": "too many are looking at once; close a page"}, {"retry-after": "5"})


def event(name: str, body: bytes) -> bytes:
    """One event; ``body`` is JSON, which has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode("ascii"), body)


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


class Seats:
    """How many may look at once."""

    def __init__(self, most: int) -> None:
        """All are free."""
        self._free = most

    @contextlib.contextmanager
    def one(self) -> Iterator[bool]:
        """Take one for a while; False: none is free."""
        free = self._free > 0
        self._free -= free
        try:
            yield free
        finally:
            self._free += free


class EventStream(Response):
    """Sends what ``pieces`` brings until it ends or the client leaves, and closes it then."""

    def __init__(self, pieces: AsyncGenerator[bytes], seats: Seats) -> None:
        """Nothing is asked of ``pieces`` before the answer begins; 503 when no seat is free then."""
        self.status_code = 200
        self.background = None
        self._pieces, self._seats = pieces, seats
        self.init_headers(HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        with self._seats.one() as free:
            if free:
                await self._stream(scope, receive, send)
            else:
                await answer(FULL)(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        leaving = asyncio.ensure_future(_left(receive))
        sending = asyncio.ensure_future(self._send(send, leaving))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait((sending, leaving))
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send, leaving: "asyncio.Future[None]") -> None:
        """A cancellation can be lost in what is awaited here (asyncio.wait_for before Python 3.12)."""
        async with contextlib.aclosing(self._pieces) as pieces:
            async for piece in pieces:
                if leaving.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
