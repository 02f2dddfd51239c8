"""Long answers in pieces."""

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from heapwarden.web.listing import JsonPage
from heapwarden.web.responses import PagedResponse, Turns, wants_gzip

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        pytest.param("", False, id="none"),
        pytest.param("gzip", True, id="gzip"),
        pytest.param("deflate, GZIP;q=0.5, br", True, id="among others"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("gzip; q=0.0", False, id="refused with a space"),
        pytest.param("identity", False, id="identity"),
        pytest.param("xgzip", False, id="another name"),
    ],
)
def test_gzip_where_it_is_accepted(header: str, wanted: bool) -> None:
    """By the rules of Accept-Encoding."""
    assert wants_gzip(header) is wanted


async def answered(response: PagedResponse, method: str = "GET") -> tuple[dict[str, str], bytes]:
    """What a server would be told: headers and body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is to be read from the client")

    await response({"type": "http", "method": method}, receive, send)
    assert [message.get("more_body") for message in sent][-1] is False
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return headers, b"".join(message["body"] for message in sent[1:])


PIECES = (b"a" * 100_000, b"", b"b" * 10, b"c" * 20_000)


@pytest.mark.parametrize("encoding", [pytest.param("", id="plain"), pytest.param("gzip", id="gzip")])
async def test_pieces_arrive_whole_and_in_order(encoding: str) -> None:
    """Plain or compressed, small or large enough for a thread; an empty piece is no end."""
    headers, body = await answered(PagedResponse(JsonPage(iter(PIECES)), Turns(), encoding))
    assert (gzip.decompress(body) if encoding else body) == b"".join(PIECES)
    assert headers.get("content-encoding") == (encoding or None)
    assert headers["content-type"] == "application/json"
    assert "content-length" not in headers


async def test_head_makes_no_piece() -> None:
    """The headers are the same, and no work is done."""

    def pieces() -> Iterator[bytes]:
        raise AssertionError("made")
        yield b""

    headers, body = await answered(PagedResponse(JsonPage(pieces()), Turns()), "HEAD")
    assert headers["content-type"] == "application/json"
    assert body == b""


async def test_many_long_answers_leave_the_loop_free() -> None:
    """However many are made at once, at most one piece is made each time the loop turns."""
    made = 0

    def pieces() -> Iterator[bytes]:
        nonlocal made
        for _ in range(50):
            made += 1
            yield b"x"

    turns = Turns()
    answers = [asyncio.create_task(answered(PagedResponse(JsonPage(pieces()), turns))) for _ in range(20)]
    most = before = 0
    while not all(task.done() for task in answers):
        await asyncio.sleep(0)
        most, before = max(most, made - before), made
    assert made == 50 * 20
    assert most == 1
