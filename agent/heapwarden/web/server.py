"""The HTTP server: uvicorn in the agent's own event loop, on its own socket, and deaf to signals."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from heapwarden.web.listening import Listen, bound

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
"""How long a client may take to bring a whole request."""
KEEP_ALIVE_SECONDS = 20
STALLED_SECONDS = 30
"""How long a client may leave an answer unread before the kernel gives up the connection."""
SHUTDOWN_SECONDS = 2.0
"""How long answers on their way may take when the server stops."""
MOST_CONNECTIONS = 1_000
MOST_HEADER_BYTES = 16_384


class HttpServer:
    """One ASGI app on one address: :meth:`bind`, then :meth:`serve` until :meth:`stop`."""

    def __init__(self, app: Any, listen: Listen, *, stalled_seconds: float = STALLED_SECONDS) -> None:
        """Nothing is opened yet."""
        self._listen = listen
        self._stalled_seconds = stalled_seconds
        self._socket: socket.socket | None = None
        self._serving = False
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(SHUTDOWN_SECONDS) + 1,
                h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            )
        )

    def bind(self) -> tuple[str, int]:
        """Take the address, so that from now on clients wait rather than fail; gives host and real port.

        Raises ListenError with what to do about it.
        """
        self._socket = bound(self._listen, "--listen")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._stalled_seconds * 1000))
        return self._listen.host, self._socket.getsockname()[1]

    async def serve(self) -> None:
        """Answer until :meth:`stop`, then end what is on its way, at last by force."""
        if self._socket is None:
            self.bind()
        if self._socket is None or self._server.should_exit:
            return
        self._serving = True
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._server.close()
            self._socket.close()

    def stop(self) -> None:
        """Make :meth:`serve` return within a few seconds, whatever the clients do; without it, give the address up."""
        self._server.stop()
        if self._socket is not None and not self._serving:
            self._socket.close()


class _Server(uvicorn.Server):
    """Uvicorn, except that signals are none of its business and that idling costs one wake-up a second, not ten."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # writes the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        by_force = asyncio.get_running_loop().call_later(SHUTDOWN_SECONDS, self._abort)
        try:
            await super().shutdown(sockets)
        finally:
            by_force.cancel()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    def close(self) -> None:
        for server in getattr(self, "servers", ()):
            server.close()
        self._abort()

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Protocol(H11Protocol):
    """HTTP/1.1 in which a client that does not bring a whole request in time is dropped.

    Uvicorn itself waits for ever, and counts such connections towards its limit: they would shut out health checks.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._await_request()
        else:
            self._cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
