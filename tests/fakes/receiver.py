"""A small HTTP server that takes POSTs, and answers well or badly."""

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came in; and what paths it has."""

    url: str = ""
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """Path, headers and decoded JSON of each request."""
    let_go: threading.Event = field(default_factory=threading.Event)
    """Set at last: what hangs may end."""


class _Server(ThreadingHTTPServer):
    received: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Keep it, and answer by path."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.got.append((self.path, dict(self.headers.items()), json.loads(body)))
        path = self.path.strip("/").partition("?")[0]
        match path.split("/"):
            case ["status", status]:
                self._answer(int(status), b"what \x1b[31mwent\r\nwrong")
            case ["redirect"]:
                self._answer(302, b"", Location=f"{self.server.received.url}/status/200")
            case ["hang"]:
                self.server.received.let_go.wait(60)
            case ["drip"]:
                self._endless(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", every=0.05)
            case ["huge"]:
                self._endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536, every=0)
            case ["garbage"]:
                self.wfile.write(b"\0\1\2 not HTTP\r\n\r\n")

    def do_GET(self) -> None:
        """Nobody should come here: a redirect that was followed would."""
        self.server.received.got.append((self.path, {}, "GET"))
        self._answer(200, b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self, beginning: bytes, more: bytes, every: float) -> None:
        with contextlib.suppress(OSError):  # the other side has had enough
            self.wfile.write(beginning)
            while not self.server.received.let_go.wait(every):
                self.wfile.write(more)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on the loopback address."""
    received = Receiver()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.received = received
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        received.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
