"""Answers as bytes: JSON at once, and long pages in pieces between which the event loop turns."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Iterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from heapwarden.web.health import Answer
from heapwarden.web.options import Page
from heapwarden.web.views import Json

NO_STORE = {"cache-control": "no-store"}
GZIP = 16 + zlib.MAX_WBITS
"""For zlib: what HTTP calls gzip."""
_FASTEST = 1
_WORTH_A_THREAD_BYTES = 16_384
"""Below, compressing takes less than handing it to a thread."""


def dumps(body: Json) -> bytes:
    """Compact JSON in ASCII, which has bytes for every string that JSON from elsewhere can bring."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def answer(made: Answer) -> Response:
    """A short JSON answer."""
    return Response(dumps(made.body), made.status_code, NO_STORE | made.headers, "application/json")


class Turns:
    """One piece of work each time the event loop turns, however many long answers are being made at once."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self, pieces: Iterator[bytes]) -> bytes | None:
        """The next piece when it is this one's turn; None at the end."""
        async with self._lock:
            piece = next(pieces, None)
            await asyncio.sleep(0)
            return piece


class PagedResponse(Response):
    """Sends a page while it is being made; what the client does not read is not made."""

    def __init__(self, page: Page, turns: Turns, accept_encoding: str = "") -> None:
        """``accept_encoding`` is the request header."""
        self.status_code = 200
        self.background = None
        self._pieces, self._turns = page.pieces, turns
        self._compress = wants_gzip(accept_encoding)
        headers = NO_STORE | {"content-type": page.content_type, "vary": "accept, accept-encoding"}
        self.init_headers(headers | ({"content-encoding": "gzip"} if self._compress else {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI
        """Answer the request."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            async for piece in self._compressed() if self._compress else self._plain():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _plain(self) -> AsyncIterator[bytes]:
        while (piece := await self._turns.take(self._pieces)) is not None:
            if piece:
                yield piece

    async def _compressed(self) -> AsyncIterator[bytes]:
        compressor = zlib.compressobj(_FASTEST, zlib.DEFLATED, GZIP)
        async for piece in self._plain():
            if len(piece) < _WORTH_A_THREAD_BYTES:
                squeezed = compressor.compress(piece)
            else:  # zlib lets go of the interpreter lock
                squeezed = await asyncio.to_thread(compressor.compress, piece)
            if squeezed:
                yield squeezed
        yield compressor.flush()


def wants_gzip(accept_encoding: str) -> bool:
    """Whether the request header names gzip and does not refuse it."""
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
