"""One reporter's connection: bytes cut into lines, counted and bounded, and handed on."""

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from heapwarden.domain.errors import FrameRefusedError
from heapwarden.domain.identity import Process
from heapwarden.ports import Telemetry
from heapwarden.sources.reporter.frames import MAX_LINE_BYTES, Hello, decode_hello, decode_object

log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 50
BURST_FRAMES = 150
BYTES_PER_FRAME = 8_192
"""A longer frame costs as much as several: a flood of long frames is a flood."""
_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, by the kernel's word (SO_PEERCRED, unix(7)). ``pid`` 0: in a PID namespace not ours."""

    pid: int
    uid: int

    @classmethod
    def of(cls, connected: socket.socket) -> "Peer":
        """The peer of a connected Unix socket."""
        pid, uid, _gid = _UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return cls(pid, uid)


class Allowance:
    """A token bucket of frames."""

    def __init__(self, now: float, frames_per_second: float = FRAMES_PER_SECOND, burst: float = BURST_FRAMES) -> None:
        """Begin full."""
        self._rate, self._burst = frames_per_second, burst
        self._left = burst
        self._at = now

    def spend(self, size_bytes: int, now: float) -> bool:
        """Take one frame of this size; False when it is too soon."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= 1 + size_bytes // BYTES_PER_FRAME
        return self._left >= 0


class Host(Protocol):
    """What a connection needs from the server that holds it."""

    telemetry: Telemetry
    monotonic: Callable[[], float]

    def opened(self, connection: "ReporterConnection") -> None:
        """Take a new connection, or abort it."""

    def greeted(self, connection: "ReporterConnection", hello: Hello) -> None:
        """The first frame was a hello. Raises FrameRefusedError when it can't be true."""

    def heard(self, connection: "ReporterConnection", frame: dict[str, Any]) -> None:
        """A later frame. Raises FrameRefusedError."""

    def closed(self, connection: "ReporterConnection") -> None:
        """The connection is gone."""


class ReporterConnection(asyncio.Protocol):
    """One connection. The first refused frame ends it: a reporter that breaks the protocol can't be believed."""

    peer: Peer
    process: Process | None = None
    """Who is behind ``peer.pid``, as it was when the connection came: a pid may change hands before the hello."""
    hello: Hello | None = None

    def __init__(self, host: Host) -> None:
        """Belong to ``host``."""
        self._host = host
        self._pending = bytearray()
        self._allowance = Allowance(host.monotonic())
        self._transport: asyncio.Transport | None = None
        self.opened_at = host.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn from the kernel who it is."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  narrows asyncio's declared type
        self._transport = transport
        self.peer = Peer.of(transport.get_extra_info("socket"))
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        """Cut lines; whole ones are handed on, the rest waits, bounded."""
        self._pending += data
        *lines, rest = self._pending.split(b"\n") if b"\n" in data else (self._pending,)
        try:
            for line in lines:
                self._line(bytes(line))
            if len(rest) > MAX_LINE_BYTES:
                self._refuse_length(len(rest))
        except FrameRefusedError as refused:
            self.refuse(refused)
        else:
            self._pending = rest

    def _line(self, line: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        now = self._host.monotonic()
        if not self._allowance.spend(len(line), now):
            raise FrameRefusedError("too_fast", f"more than {FRAMES_PER_SECOND} frames a second")
        if len(line) > MAX_LINE_BYTES:
            self._refuse_length(len(line))
        frame = decode_object(line)
        if self.hello is None:
            self.hello = decode_hello(frame)
            self._host.greeted(self, self.hello)
        else:
            self._host.heard(self, frame)
        self._host.telemetry.frame("accepted")

    def _refuse_length(self, size: int) -> None:
        raise FrameRefusedError("too_long", f"a line of {size} bytes; at most {MAX_LINE_BYTES} are allowed")

    def refuse(self, refused: FrameRefusedError) -> None:
        """Count, say and close."""
        self._host.telemetry.frame(refused.reason)
        log.warning(
            "reporter of pid %s (uid %s) refused: %s",
            self.peer.pid,
            self.peer.uid,
            refused,
            extra={"reason": refused.reason},
        )
        self.abort()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one line. The agent writes so little that a reader who stops reading can't make it grow."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    @property
    def unread_bytes(self) -> int:
        """What was written and has not gone out, because the reporter does not read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def finish(self) -> None:
        """Close once what was sent is out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._pending.clear()
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Tell the server."""
        self._transport = None
        self._host.closed(self)
