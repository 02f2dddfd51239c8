"""The TCP port for HAProxy's agent-check: takes at most a name, answers one line, and hangs up."""

import asyncio
from collections.abc import Callable

from heapwarden.web.agent_check import Readiness
from heapwarden.web.listening import Listen, bound

NAME_SECONDS = 0.4
"""How long a client may take to send a name; HAProxy sends it at once (``agent-send``), or sends nothing at all.

Well below the second that an agent check usually has for its answer, and long enough for one lost packet.
"""
MOST_NAME_BYTES = 256
MOST_CONNECTIONS = 200
"""More at the same time are hung up on; each lasts no longer than :data:`NAME_SECONDS`."""

Line = Callable[[str], str]
"""The answer about the processes of a name, or about all where it is empty; one line without its end."""


class AgentCheckServer:
    """From :meth:`bind` and :meth:`start` to :meth:`stop`, within one event loop."""

    def __init__(self, line: Line, listen: Listen, monotonic: Callable[[], float]) -> None:
        """Nothing is opened yet."""
        self._line = line
        self._listen = listen
        self._monotonic = monotonic
        self._readiness = Readiness()
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Take the address and answer from now on; gives the real port. Raises ListenError."""
        taken = bound(self._listen, "agent_check")
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=taken)
        return int(taken.getsockname()[1])

    def stop(self) -> None:
        """Give the address up and hang up on everybody; what is not open is no error."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.hang_up()

    def admitted(self, connection: "_Connection") -> bool:
        """Whether there is room for it."""
        if len(self._open) >= MOST_CONNECTIONS:
            return False
        self._open.add(connection)
        return True

    def gone(self, connection: "_Connection") -> None:
        """It has ended."""
        self._open.discard(connection)

    def answer(self, client: str, name: str) -> bytes:
        """For this client, which has sent ``name`` or nothing."""
        said = self._readiness.completed(self._line(name), client, name, self._monotonic())
        return f"{said}\n".encode("ascii", "replace")


class _Connection(asyncio.Protocol):
    """One client: answered at the end of its first line, or when it has had its time for one."""

    def __init__(self, server: AgentCheckServer) -> None:
        self._server = server
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  of a TCP server
        self._transport = transport
        if not self._server.admitted(self):
            transport.abort()
            return
        self._deadline = asyncio.get_running_loop().call_later(NAME_SECONDS, self._answer)

    def data_received(self, data: bytes) -> None:
        self._received += data[:MOST_NAME_BYTES]
        if b"\n" in self._received or len(self._received) >= MOST_NAME_BYTES:
            self._answer()

    def eof_received(self) -> None:
        self._answer()

    def connection_lost(self, _: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._server.gone(self)

    def hang_up(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()

    def _answer(self) -> None:
        transport, self._transport = self._transport, None
        if transport is None or transport.is_closing():
            return
        name = self._received.split(b"\n")[0].decode("ascii", "replace").strip()
        peer = transport.get_extra_info("peername")
        # A line always fits into the kernel's buffer, so a client that does not read holds nothing up.
        transport.write(self._server.answer(str(peer[0]) if peer else "", name))
        transport.close()
