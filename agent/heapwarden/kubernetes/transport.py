"""The way of bytes to the API and back: little is read, nothing is unpacked, no proxy is asked.

Imports the client's library; only :mod:`heapwarden.kubernetes.api` imports this, when the API is first asked.
"""

import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

MAX_ANSWER_BYTES = 2**20
"""A Lease or a Status has some hundred."""

_BEARER = re.compile(rb"Bearer [!-~]+")
"""A token in visible ASCII: what else is in its file, the HTTP library would quote in its error."""


class AnswerTooLongError(httpx2.TransportError):
    """More came than any right answer has."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """HTTPS with the cluster's own CA, whose answers end in an error where they would go on for too long."""

    def __init__(self, ca: Path, most_bytes: int = MAX_ANSWER_BYTES) -> None:
        """``ca``: PEM of the authority that the API's certificate is from."""
        self._inner = httpx2.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=ca), trust_env=False)
        self._most_bytes = most_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask for plain bytes, and count what comes."""
        bearers = [value for name, value in request.headers.raw if name.lower() == b"authorization"]
        if not all(map(_BEARER.fullmatch, bearers)):
            raise httpx2.LocalProtocolError("the file of the service account's token does not hold one")
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("the answer is packed, which nobody asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  the inner one is asynchronous
        response.stream = _Counted(response.stream, self._most_bytes)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, most_bytes: int) -> None:
        self._inner, self._most_bytes = inner, most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = 0
        async for chunk in self._inner:
            came += len(chunk)
            if came > self._most_bytes:
                raise AnswerTooLongError(f"the answer has more than {self._most_bytes:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
