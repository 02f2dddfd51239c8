"""The server on loopback: its address, its end, and clients that behave badly."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from fakes.conditions import eventually
from heapwarden.domain.errors import ListenError
from heapwarden.settings.model import Listen
from heapwarden.web import server as module
from heapwarden.web.listing import JsonPage
from heapwarden.web.responses import PagedResponse, Turns
from heapwarden.web.server import HttpServer

pytestmark = pytest.mark.anyio

ANY_PORT = Listen("127.0.0.1", 0)
GET = b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers ``/`` at once, ``/large`` with 64 MB, ``/never`` never."""
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    if scope["path"] == "/large":
        pieces: Iterator[bytes] = (b"x" * 65_536 for _ in range(1_000))
        await PagedResponse(JsonPage(pieces), Turns())(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[HttpServer, int, "asyncio.Task[None]"]]:
    """A server, its port and its task, which is stopped at last."""
    server = HttpServer(app, ANY_PORT, **options)
    _, port = server.bind()
    task = asyncio.create_task(server.serve())
    try:
        yield server, port, task
    finally:
        server.stop()
        await asyncio.wait_for(task, 15)


async def get(port: int, path: str = "/") -> httpx.Response:
    """One request on a connection of its own."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15) as client:
        return await client.get(path)


class Client:
    """A bare TCP client, that reads only what it is told to."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self._socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def read_until(self, end: bytes) -> bytes:
        """Read up to ``end``; fails at the end of the connection, or after 15 s."""
        found = b""
        while end not in found:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65_536), 15)
            assert data, f"closed after {found!r}"
            found += data
        return found

    async def closed(self) -> bool:
        """Whether the server ends the connection within 15 s."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65_536), 15):
                pass
        return True

    def close(self) -> None:
        """Leave."""
        self._socket.close()


@contextmanager
def connected(port: int) -> Iterator[Client]:
    """A client that leaves at last."""
    client = Client(port)
    try:
        yield client
    finally:
        client.close()


async def test_it_answers_from_the_moment_it_is_bound() -> None:
    """A client that comes between bind and serve waits in the backlog and is not refused."""
    server = HttpServer(app, ANY_PORT)
    host, port = server.bind()
    early = asyncio.create_task(get(port))
    await asyncio.sleep(0)
    task = asyncio.create_task(server.serve())
    assert host == "127.0.0.1"
    assert (await early).text == "ok"
    server.stop()
    await task


async def test_port_0_is_a_real_port() -> None:
    """Two servers that leave the choice to the kernel get two ports."""
    async with running() as (_, one, _), running() as (_, other, _):
        assert one != other
        assert (await get(one)).text == (await get(other)).text == "ok"


async def test_the_answer_does_not_name_its_software() -> None:
    """No server header; a date, as HTTP asks for."""
    async with running() as (_, port, _):
        headers = (await get(port)).headers
    assert "server" not in headers
    assert "date" in headers


async def test_a_port_in_use_says_what_to_do() -> None:
    """Before anything else of the agent starts."""
    async with running() as (_, port, _):
        with pytest.raises(ListenError) as caught:
            HttpServer(app, Listen("127.0.0.1", port)).bind()
    assert str(caught.value) == (
        f"can't listen on 127.0.0.1:{port}: port {port} is in use (`ss -ltnp sport = :{port}` shows by whom); "
        "choose another with --listen"
    )


@pytest.mark.parametrize(
    ("host", "said"),
    [
        pytest.param("192.0.2.1", "this machine does not have that address", id="not ours"),
        pytest.param("no.such.host.invalid", "the host is not known", id="no such host"),
    ],
)
async def test_an_address_that_can_not_be_had_says_what_to_do(host: str, said: str) -> None:
    """Each cause has its own words, and no socket is left open."""
    with pytest.raises(ListenError, match=said):
        HttpServer(app, Listen(host, 0)).bind()
    gc.collect()  # a socket left open would warn here


async def test_ipv6_serves_both_families() -> None:
    """``::`` takes IPv4 clients too."""
    server = HttpServer(app, Listen("::", 0))
    _, port = server.bind()
    task = asyncio.create_task(server.serve())
    try:
        assert (await get(port)).text == "ok"
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://[::1]:{port}/")).text == "ok"
    finally:
        server.stop()
        await task


async def test_signals_are_left_to_their_owner() -> None:
    """Uvicorn would take SIGTERM for itself, stop, and raise it again; here its owner's handler is called."""
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    try:
        async with running() as (_, port, task):
            assert (await get(port)).text == "ok"
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(heard.wait(), 15)
            assert (await get(port)).text == "ok"
            assert not task.done()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_stop_before_serve_returns_at_once() -> None:
    """An agent that fails while it starts can still be taken down."""
    server = HttpServer(app, ANY_PORT)
    server.bind()
    server.stop()
    await asyncio.wait_for(server.serve(), 15)


async def test_a_cancelled_server_frees_its_port() -> None:
    """Cancelling is as good as stopping."""
    server = HttpServer(app, ANY_PORT)
    _, port = server.bind()
    task = asyncio.create_task(server.serve())
    assert (await get(port)).text == "ok"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    successor = HttpServer(app, Listen("127.0.0.1", port))
    successor.bind()
    successor.stop()


async def idle(client: Client) -> None:
    """Says nothing."""


async def kept_alive(client: Client) -> None:
    """Has had an answer, and keeps its connection."""
    await client.send(GET)
    await client.read_until(b"ok")


async def stalled(client: Client) -> None:
    """Asks for much, and reads none of it."""
    await client.send(b"GET /large HTTP/1.1\r\nHost: agent\r\n\r\n")


async def waiting(client: Client) -> None:
    """Waits for an answer that does not come."""
    await client.send(b"GET /never HTTP/1.1\r\nHost: agent\r\n\r\n")


@pytest.mark.parametrize("behave", [pytest.param(one, id=one.__name__) for one in (idle, kept_alive, stalled, waiting)])
async def test_stop_ends_whatever_the_clients_do(behave: Callable[[Client], Awaitable[None]]) -> None:
    """Others are answered beside it, and the server ends with every connection."""
    async with running() as (server, port, task):
        connections = server._server.server_state.connections
        with connected(port) as client:
            await behave(client)
            assert (await get(port)).text == "ok"
            await eventually(lambda: len(connections) == 1)
            server.stop()
            await asyncio.wait_for(task, 15)
            await eventually(lambda: not connections)
            assert await client.closed()


REQUESTS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: ag", id="half a head"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: agent\r\nContent-Length: 9\r\n\r\nhalf", id="half a body"),
]


@pytest.mark.parametrize("request_bytes", REQUESTS)
async def test_an_unfinished_request_is_dropped(monkeypatch: pytest.MonkeyPatch, request_bytes: bytes) -> None:
    """Such clients would else fill the server up, and health checks would find no room."""
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.05)
    async with running() as (server, port, _):
        with connected(port) as client:
            await client.send(request_bytes)
            assert await client.closed()
        await eventually(lambda: not server._server.server_state.connections)
        assert (await get(port)).text == "ok"


async def test_a_finished_request_is_not_dropped() -> None:
    """The time is for bringing a request: no deadline stands while one is answered, nor while a connection rests."""
    async with running() as (server, port, _):
        with connected(port) as client:
            await kept_alive(client)
            (connection,) = server._server.server_state.connections
            assert connection._deadline is None
            await client.send(b"GET / HT")
            await eventually(lambda: connection._deadline)
            await client.send(b"TP/1.1\r\nHost: agent\r\n\r\n")
            await client.read_until(b"ok")
            assert connection._deadline is None


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    """The kernel ends the connection, so that it does not stand in the way for ever."""
    async with running(stalled_seconds=0.5) as (server, port, _):
        connections = server._server.server_state.connections
        with connected(port) as client:
            await stalled(client)
            await eventually(lambda: len(connections) == 1)
            await eventually(lambda: not connections, 60)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX-Large: " + b"x" * 100_000, id="too large a head"),
        pytest.param(b"\x16\x03\x01 no http\r\n\r\n", id="no HTTP"),
    ],
)
async def test_what_is_no_request_is_refused(request_bytes: bytes) -> None:
    """400, the connection ends, and the next client is served."""
    async with running() as (_, port, _):
        with connected(port) as client:
            await client.send(request_bytes)
            assert (await client.read_until(b"\r\n")).startswith(b"HTTP/1.1 400")
            assert await client.closed()
        assert (await get(port)).text == "ok"


async def test_many_connections_at_once_leave_room() -> None:
    """Hundreds of kept connections, and a health check is answered."""
    async with running() as (_, port, _):
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                await kept_alive(stack.enter_context(connected(port)))
            assert (await get(port)).text == "ok"
