"""`heapwarden restart`, `drain` and `undrain` against the real endpoints."""

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from fakes.clock import FakeClock
from fakes.machine import HEAPWARDEN, free_port
from fakes.operator import FakeOperator
from fakes.snapshots import snapshot, watched
from heapwarden.domain.errors import RequestRefusedError
from heapwarden.exposition.text import page
from heapwarden.settings.model import Listen
from heapwarden.web.app import create_app
from heapwarden.web.gate import Gate
from heapwarden.web.operations import Operations
from heapwarden.web.options import WebOptions
from heapwarden.web.server import HttpServer

TOKEN = "0123456789abcdef0123"  # noqa: S105  of nothing
VERBS = ("restart", "drain", "undrain")


class Agent:
    """The HTTP side of an agent with two workers called api, over a fake operator."""

    def __init__(self) -> None:
        """Not served yet."""
        self.operator = FakeOperator()
        self.token: str | None = TOKEN
        clock, known = FakeClock(), snapshot(watched("api", "0"), watched("api", "1", pid=4712))
        app = create_app(
            snapshot=lambda: known,
            monotonic=clock.monotonic,
            options=WebOptions,
            metrics=lambda accept: page(CollectorRegistry(), accept),
            prom_client_metrics=lambda accept: page(CollectorRegistry(), accept),
            operations=Operations(
                self.operator, Gate(lambda: self.token, clock.sleep), lambda _: None, lambda: known, clock
            ),
        )
        self.server = HttpServer(app, Listen("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.bind()[1]}"


@pytest.fixture
def agent() -> Iterator[Agent]:
    """One that answers."""
    serving = Agent()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serving.server.serve()))
    thread.start()
    yield serving
    loop.call_soon_threadsafe(serving.server.stop)
    thread.join()
    loop.close()


def heapwarden(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    return subprocess.run(
        [*HEAPWARDEN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def one_line(done: "subprocess.CompletedProcess[str]", code: int, said: str) -> None:
    """This exit code, and one clear printable line that does not hold the token."""
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip("\n").isprintable()
    assert said in done.stderr
    assert TOKEN not in done.stderr


def test_a_restart_is_asked_for_with_the_token_of_a_file(agent: Agent, tmp_path: Path) -> None:
    """Each process has a line with the restart's id, for `heapwarden history`."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    done = heapwarden("restart", "api", "--reason", "new config", "--url", agent.url, "--token-file", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "api/0 (pid 4711): restart accepted (r-api-0), stage drain\n"
        "api/1 (pid 4712): restart accepted (r-api-1), stage drain\n"
    )
    assert agent.operator.asked == [("restart", "api", "None", "new config")]


@pytest.mark.parametrize(
    ("verb", "said"), [("drain", "drained: load balancers are told 503"), ("undrain", "back in service")]
)
def test_one_worker_is_drained_with_the_token_of_the_environment(agent: Agent, verb: str, said: str) -> None:
    """And no other."""
    done = heapwarden(verb, "api", "--worker", "1", "--url", f"{agent.url}/", HEAPWARDEN_TOKEN=TOKEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"api/1 (pid 4712): {said}\n", "")
    assert agent.operator.asked[0][:3] == (verb, "api", "1")


def test_json_is_the_agents_own(agent: Agent) -> None:
    """For scripts."""
    done = heapwarden("restart", "api", "--json", "--url", agent.url, HEAPWARDEN_TOKEN=TOKEN)
    assert [one["id"] for one in json.loads(done.stdout)["accepted"]] == ["r-api-0", "r-api-1"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_refusal_is_failure_with_its_reason(agent: Agent, verb: str) -> None:
    """Exit code 1."""
    agent.operator.refusal = RequestRefusedError("busy", "api/0 is being restarted already")
    done = heapwarden(verb, "api", "--url", agent.url, HEAPWARDEN_TOKEN=TOKEN)
    one_line(done, 1, "the agent answers 409: api/0 is being restarted already")


def test_an_unknown_name_tells_the_known_ones(agent: Agent) -> None:
    """So that a slip of the pen is seen; signs that a URL gives a meaning to are part of the name."""
    agent.operator.refusal = RequestRefusedError("unknown", "there is no such process")
    done = heapwarden("restart", "w e?p#%2", "--url", agent.url, HEAPWARDEN_TOKEN=TOKEN)
    one_line(done, 1, "the agent answers 404: there is no such process; known: api")
    assert agent.operator.asked[0][:2] == ("restart", "w e?p#%2")
    one_line(
        heapwarden("drain", "api", "--worker", "7", "--url", agent.url, HEAPWARDEN_TOKEN=TOKEN), 1, "workers: 0, 1"
    )


def test_a_wrong_token_is_failure(agent: Agent) -> None:
    """As is an agent that has none."""
    done = heapwarden("restart", "api", "--url", agent.url, HEAPWARDEN_TOKEN="f" * 20)
    one_line(done, 1, "the agent answers 401: this is not the token")
    agent.token = None
    done = heapwarden("restart", "api", "--url", agent.url, HEAPWARDEN_TOKEN=TOKEN)
    one_line(done, 1, "the agent answers 403: off: set api.token_file")


def test_wrong_use_is_code_two(agent: Agent, tmp_path: Path) -> None:
    """No token, one that can't be, a file that is not there: nothing was asked."""
    url = ("--url", agent.url)
    (tmp_path / "short").write_text("abc")
    one_line(heapwarden("restart", "api", *url, HEAPWARDEN_TOKEN=""), 2, "--token-file FILE, or $HEAPWARDEN_TOKEN")
    one_line(heapwarden("restart", "api", *url, HEAPWARDEN_TOKEN=f"{TOKEN}\nx"), 2, "line ends")
    one_line(heapwarden("restart", "api", *url, "--token-file", tmp_path / "short"), 2, "fewer than")
    one_line(heapwarden("restart", "api", *url, "--token-file", tmp_path / "none"), 2, "can't be read")
    assert heapwarden("restart", *url).returncode == 2
    assert heapwarden("undrain", "api", "--reason", "x", *url).returncode == 2
    assert agent.operator.asked == []


def test_an_agent_that_is_not_there_is_said() -> None:
    """With the next step."""
    done = heapwarden("drain", "api", "--url", f"http://127.0.0.1:{free_port()}", HEAPWARDEN_TOKEN=TOKEN)
    one_line(done, 1, "name its address with --url")


class Stranger(BaseHTTPRequestHandler):
    """Some other program's HTTP; it writes down what it is asked for."""

    seen: list[str]
    status, body = 202, b"{}"

    def do_POST(self) -> None:
        """Answer, or send elsewhere on this very server."""
        self.seen.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        if self.status in (301, 302, 307, 308):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST  # noqa: N815  http.server's name

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def stranger(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """The address of such a program, and the paths that it is asked for."""
    kind = type("Kind", (Stranger,), {"status": status, "body": body, "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", kind.seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [301, 302, 307])
def test_the_token_is_not_sent_elsewhere(status: int) -> None:
    """A redirect is not followed: an agent makes none."""
    with stranger(status, b"{}") as (url, seen):
        one_line(heapwarden("restart", "api", "--url", url, HEAPWARDEN_TOKEN=TOKEN), 1, f"answers {status}")
        assert seen == ["/processes/api/restart"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(202, b"<html>", id="a web page"),
        pytest.param(202, b"{}", id="another JSON"),
        pytest.param(202, b'{"accepted": [{"process": "api"}]}', id="fields are missing"),
        pytest.param(202, b'{"accepted": 1}', id="no list"),
        pytest.param(404, b"not here", id="404"),
        pytest.param(500, b"[]", id="500"),
        pytest.param(404, b'{"detail": "\\u001b[2J", "known": [1]}', id="names are numbers"),
    ],
)
def test_another_programs_address_is_said(status: int, body: bytes) -> None:
    """What answers there is not Heapwarden, whatever it answers."""
    with stranger(status, body) as (url, _):
        one_line(heapwarden("restart", "api", "--url", url, HEAPWARDEN_TOKEN=TOKEN), 1, "is this Heapwarden's address?")
