"""A Kubernetes API server on the loopback address: HTTP and JSON over TLS, with a bearer token, and what goes wrong.

What it keeps and answers is in :mod:`fakes.kubernetes_objects`; here are the wire, the token, and faults on request.
"""

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trustme

from fakes.kubernetes_objects import Asked, Cluster, Json, status

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v1(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
VERBS = {"POST": "create", "PUT": "update"}


@dataclass
class Fault:
    """What happens to the next requests that match, instead of an answer or on the way to it."""

    match: str
    """Searched in ``METHOD path?query``."""
    status: int = 0
    """Answered instead; 0: see the others."""
    retry_after: int | None = None
    how: str = ""
    """``hang``, ``huge``, ``garbage``, ``html``, ``bare``, ``elsewhere`` or ``close`` instead of an answer; ``lost``:
    done, and not answered."""
    elsewhere: str = ""
    """The address to ask instead."""
    times: int = 1


@dataclass
class ApiServer:
    """One that listens."""

    port: int
    cluster: Cluster
    ca: bytes
    token: str = "token-1"  # noqa: S105  nobody's
    """The only one that is taken."""
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """``METHOD path?query`` of each, in order."""
    let_go: threading.Event = field(default_factory=threading.Event)
    """Set at last: what hangs may end."""
    connections: set[socket.socket] = field(default_factory=set)

    def fail(self, match: str, **fault: Any) -> None:
        """Let it go wrong, once if nothing else is said."""
        self.faults.append(Fault(match, **fault))

    def account(self, folder: Path, namespace: str = "apps") -> Path:
        """The files of a service account in ``folder``, as the kubelet mounts them."""
        folder.mkdir(exist_ok=True)
        (folder / "token").write_text(self.token)
        (folder / "ca.crt").write_bytes(self.ca)
        (folder / "namespace").write_text(namespace)
        return folder

    def environment(self, folder: Path, pod: Json | None = None) -> dict[str, str]:
        """What a container of ``pod`` has, its service account in ``folder``."""
        variables = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
            "HEAPWARDEN_SERVICE_ACCOUNT": str(self.account(folder)),
        }
        if pod is not None:
            keys = ("namespace", "name", "uid")
            variables |= {f"HEAPWARDEN_POD_{key.upper()}": str(pod["metadata"][key]) for key in keys}
        return variables

    def asked(self, match: str) -> int:
        """How many requests matched."""
        return sum(1 for request in self.requests if re.search(match, request))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: ApiServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on stderr: clients go away in the middle, which is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        api, url = self.server.api, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = f"{self.command} {self.path}"
        api.requests.append(line)
        fault = self._fault(line)
        if fault is not None and fault.how != "lost":
            self._go_wrong(fault)
            return
        if self.headers.get("Authorization") != f"Bearer {api.token}":
            self._answer(*status(401, "Unauthorized"))
            return
        found = PATH.fullmatch(url.path)
        if found is None:
            self._answer(*status(404, "the server could not find the requested resource"))
            return
        resource = "/".join(part for part in (found["resource"], found["sub"]) if part)
        query = dict(parse_qsl(url.query))
        verb = VERBS.get(self.command) or ("get" if found["name"] else "watch" if "watch" in query else "list")
        given = json.loads(body) if body else {}
        asked = Asked(verb, found["group"] or "", resource, found["namespace"] or "", found["name"] or "", query, given)
        if verb == "watch":
            refused = api.cluster.refusal(asked)
            if refused is None:
                self._stream(asked)
            else:
                self._answer(*refused)
            return
        code, answer = api.cluster.answer(asked)
        if fault is not None:
            self.close_connection = True
            return
        self._answer(code, answer)

    def _fault(self, line: str) -> Fault | None:
        for fault in self.server.api.faults:
            if fault.times > 0 and re.search(fault.match, line):
                fault.times -= 1
                return fault
        return None

    def _go_wrong(self, fault: Fault) -> None:
        self.close_connection = fault.how in ("close", "hang", "huge")
        match fault.how:
            case "hang":
                self.server.api.let_go.wait(60)
            case "huge":
                self._send(200, b'{"x": "' + b"x" * 4_000_000 + b'"}')
            case "garbage":
                self._send(fault.status or 200, b"\0\1\2 not JSON")
            case "html":
                self._send(502, b"<html>Bad Gateway</html>", **{"Content-Type": "text/html"})
            case "bare":
                self.send_response(fault.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "elsewhere":
                self._send(307, b"", Location=fault.elsewhere, **{"Content-Type": "text/plain"})
            case "":
                details = {} if fault.retry_after is None else {"retryAfterSeconds": fault.retry_after}
                self._answer(*status(fault.status, "it goes wrong", **details))

    def _answer(self, code: int, answer: Json) -> None:
        after = answer.get("details", {}).get("retryAfterSeconds") if answer.get("kind") == "Status" else None
        headers = {} if after is None else {"Retry-After": str(after)}
        self._send(code, json.dumps(answer).encode(), **headers)

    def _send(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, asked: Asked) -> None:
        """A line of JSON for each event, in chunks, until the watch is closed."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.server.api.cluster.watch(asked):
            if self.server.api.let_go.is_set():
                break
            if event is not None:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def setup(self) -> None:
        """Remember the connection, to close it at last."""
        super().setup()
        self.server.api.connections.add(self.connection)

    def finish(self) -> None:
        """Forget it."""
        self.server.api.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def api_server(cluster: Cluster | None = None) -> Iterator[ApiServer]:
    """Listen on the loopback address, with a certificate of an authority made for this run of the tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert("127.0.0.1").configure_cert(context)
    server = _Server(("127.0.0.1", 0), _Handler)
    # The handshake is made by each connection's own thread, when it first reads.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    ca = _authority().cert_pem.bytes()
    api = server.api = ApiServer(server.server_address[1], cluster or Cluster(), ca)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.let_go.set()
        api.cluster.close_watches()
        server.shutdown()
        thread.join()
        for connection in list(api.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
