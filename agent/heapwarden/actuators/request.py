"""One POST of a restart, in a thread, within a deadline. No redirect is followed, and little of the answer is read.

A URL may hold a secret in its path or query: only its host and port are ever told.
"""

import asyncio
import contextlib
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from heapwarden import __version__
from heapwarden.actuators.text import one_line
from heapwarden.actuators.thread import in_thread
from heapwarden.domain.errors import HeapwardenError

ANSWER_BYTES = 1_024
TOLD_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request went."""

    ok: bool
    """Any 2xx."""
    text: str
    """For people: the host, the status, and the beginning of the answer where it was none of these."""
    in_doubt: bool = False
    """It may be acted upon all the same: no answer came to what was sent, or one of a fault (5xx)."""


async def post(url: str, body: bytes, timeout_seconds: float) -> Answer:
    """POST ``body``, which is JSON, to an http or https URL. Never raises."""
    request = _Request(urlsplit(url), body, timeout_seconds)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(request.answered), timeout_seconds)
    except TimeoutError:
        return request.late()
    except RuntimeError as error:  # no thread is to be had
        return request.failed(error)
    finally:
        request.abandon()


class _Request:
    """A request under way."""

    def __init__(self, url: SplitResult, body: bytes, timeout_seconds: float) -> None:
        self.where = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        self._url, self._body = url, body
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._sent = False
        self.answered = in_thread("heapwarden-request", self._told)

    def abandon(self) -> None:
        """Wake the thread where it waits for the other side; nothing happens when it is done."""
        connection = self._connection
        if connection is not None and connection.sock is not None and not self.answered.done():
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def late(self) -> Answer:
        """What is told at the deadline, by whoever sees it first."""
        return Answer(ok=False, text=f"{self.where}: no answer within {self._timeout_seconds:g} s", in_doubt=self._sent)

    def failed(self, error: BaseException) -> Answer:
        """The same for any other trouble."""
        return Answer(ok=False, text=f"{self.where}: {_why(error)}", in_doubt=self._sent)

    def _told(self) -> Answer:
        try:
            return self._answer()
        except TimeoutError:
            return self.late()
        except Exception as error:  # noqa: BLE001  the edge of a thread: told to whoever waits
            return self.failed(error)

    def _answer(self) -> Answer:
        deadline = time.monotonic() + self._timeout_seconds
        self._connection = connection = self._connect()
        try:
            connection.connect()
            left = deadline - time.monotonic()
            if left <= 0:  # the name took long to resolve: nobody waits any more
                raise TimeoutError
            connection.sock.settimeout(left)
            path = self._url._replace(scheme="", netloc="", fragment="").geturl()
            self._sent = True
            connection.request("POST", path if path.startswith("/") else f"/{path}", self._body, _HEADERS)
            response = connection.getresponse()
            said = one_line(response.read(ANSWER_BYTES))[:TOLD_CHARACTERS]
        finally:
            connection.close()
        return self._judged(response.status, said)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_seconds, context=context)
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        raise HeapwardenError(f"{self._url.scheme or 'no'} scheme is not sent to; write http:// or https://")

    def _judged(self, status: int, said: str) -> Answer:
        if http.HTTPStatus.OK <= status < http.HTTPStatus.MULTIPLE_CHOICES:
            return Answer(ok=True, text=f"{self.where}: {status}")
        if http.HTTPStatus.MULTIPLE_CHOICES <= status < http.HTTPStatus.BAD_REQUEST:
            return Answer(ok=False, text=f"{self.where}: {status}, and no redirect is followed")
        in_doubt = status >= http.HTTPStatus.INTERNAL_SERVER_ERROR
        return Answer(ok=False, text=f"{self.where}: {status}" + (f": {said}" if said else ""), in_doubt=in_doubt)


_HEADERS = {"Content-Type": "application/json", "User-Agent": f"heapwarden/{__version__}", "Connection": "close"}


def _why(error: BaseException) -> str:
    if isinstance(error, http.client.InvalidURL):  # its text holds the path
        return "the URL can't be sent as it is: write it in ASCII, without spaces"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP ({type(error).__name__})"
    if isinstance(error, (OSError, RuntimeError, HeapwardenError)):
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return type(error).__name__
