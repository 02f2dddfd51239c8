"""The agent-check's port, with raw sockets: what is sent, what comes, and clients that behave badly."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from heapwarden.domain.errors import ListenError
from heapwarden.settings.model import Listen
from heapwarden.web import agent_check_server as module
from heapwarden.web.agent_check_server import MOST_NAME_BYTES, AgentCheckServer

pytestmark = pytest.mark.anyio
SECONDS = 30


@asynccontextmanager
async def running(lines: dict[str, str]) -> AsyncIterator[int]:
    """A server that knows these names, and its port."""
    server = AgentCheckServer(lambda name: lines.get(name, f"down #{name}"), Listen("127.0.0.1", 0), lambda: 0.0)
    try:
        yield await server.start()
    finally:
        server.stop()


async def ask(port: int, *parts: bytes, half_close: bool = False) -> bytes:
    """Everything until the server hangs up, however it does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if half_close:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), SECONDS)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is answered now has not been answered for being late."""
    monkeypatch.setattr(module, "NAME_SECONDS", 3600.0)


@pytest.mark.usefixtures("patient")
async def test_a_name_is_answered_at_once() -> None:
    """Its end of line may be Windows', and it may come in pieces; an empty line asks for all."""
    async with running({"": "up 100%", "api": "up 75%"}) as port:
        assert await ask(port, b"api\n") == b"up 75% ready\n"
        assert await ask(port, b"ap", b"i\r", b"\n more") == b"up 75% ready\n"
        assert await ask(port, b"\n") == b"up 100% ready\n"
        assert await ask(port, half_close=True) == b"up 100% ready\n"


async def test_silence_asks_for_all() -> None:
    """As HAProxy without `agent-send` asks; and half a name is taken for a name when its time is over."""
    async with running({"": "up 100%", "api": "drain"}) as port:
        assert await ask(port) == b"up 100% ready\n"
        assert await ask(port, b"api") == b"drain\n"


@pytest.mark.usefixtures("patient")
async def test_a_name_has_an_end() -> None:
    """No more than so much is kept of what never ends its line."""
    async with running({}) as port:
        assert await ask(port, b"x" * MOST_NAME_BYTES) == b"down #" + b"x" * MOST_NAME_BYTES + b"\n"


@pytest.mark.usefixtures("patient")
async def test_too_many_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there are served all the same."""
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 1)
    async with running({"api": "drain"}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(port, b"api\n") == b""
        writer.write(b"api\n")
        assert await asyncio.wait_for(reader.read(), SECONDS) == b"drain\n"
        writer.close()
        assert await ask(port, b"api\n") == b"drain\n"


@pytest.mark.usefixtures("patient")
async def test_stopping_hangs_up() -> None:
    """Whoever still has time to send a name, too; and it may be stopped before it was started."""
    async with running({}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), SECONDS) == b""
    writer.close()
    with pytest.raises(OSError, match=r"Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    AgentCheckServer(str, Listen("127.0.0.1", 0), lambda: 0.0).stop()


async def test_a_taken_address_is_told() -> None:
    """With the setting that is to be changed."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = AgentCheckServer(str, Listen("127.0.0.1", port), lambda: 0.0)
        with pytest.raises(ListenError, match=f"port {port} is in use .* choose another with agent_check"):
            await server.start()
