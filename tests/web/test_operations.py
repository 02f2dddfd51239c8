"""Restart, drain and undrain over HTTP: who may, what is checked, what is answered, and what is written down."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from fakes.asgi import Client
from fakes.clock import FakeClock
from fakes.operator import FakeOperator
from fakes.snapshots import snapshot, watched
from heapwarden.domain.errors import RequestRefusedError
from heapwarden.domain.event import Event, EventKind
from heapwarden.exposition.text import page
from heapwarden.web.app import create_app
from heapwarden.web.gate import LATE_SECONDS, MOST_WAITING, Gate
from heapwarden.web.operations import REFUSED_EVERY_SECONDS, Operations
from heapwarden.web.options import WebOptions

TOKEN = "a-token-of-some-length"  # noqa: S105  of nothing
RIGHT = {"authorization": f"Bearer {TOKEN}"}
VERBS = ("restart", "drain", "undrain")


class World:
    """An app with an operator, a token and a clock that tests own."""

    def __init__(self) -> None:
        """Two workers of one name."""
        self.operator = FakeOperator()
        self.token: str | None = TOKEN
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.snapshot = snapshot(watched("api", "0", pid=4711), watched("api", "1", pid=4712))
        self.gate = Gate(lambda: self.token, self.clock.sleep)
        self.app = self.build(
            Operations(self.operator, self.gate, self.events.append, lambda: self.snapshot, self.clock)
        )

    def build(self, operations: Operations | None) -> Any:
        """The app over these operations."""
        return create_app(
            snapshot=lambda: self.snapshot,
            monotonic=self.clock.monotonic,
            options=WebOptions,
            metrics=lambda accept: page(CollectorRegistry(), accept),
            prom_client_metrics=lambda accept: page(CollectorRegistry(), accept),
            operations=operations,
        )

    def post(self, path: str, headers: Any = RIGHT, **options: Any) -> httpx.Response:
        """POST."""
        return Client(self.app).request("POST", path, headers=headers, **options)


@pytest.fixture
def world() -> World:
    """See :class:`World`."""
    return World()


def test_a_restart_is_accepted_and_told(world: World) -> None:
    """202, each restart with its id and stage, and where to look; the reason reaches the operator."""
    answer = world.post("/processes/api/restart", json={"reason": "config has changed"})
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": [
            {"process": "api", "worker": "0", "pid": 4711, "id": "r-api-0", "stage": "drain"},
            {"process": "api", "worker": "1", "pid": 4712, "id": "r-api-1", "stage": "drain"},
        ],
        "see": "/processes/api",
    }
    assert answer.headers["location"] == "/processes/api"
    assert answer.headers["cache-control"] == "no-store"
    assert world.operator.asked == [("restart", "api", "None", "config has changed")]


@pytest.mark.parametrize("verb", ["drain", "undrain"])
def test_drained_processes_are_told(world: World, verb: str) -> None:
    """202 with names and pids."""
    answer = world.post(f"/processes/api/{verb}?worker=1")
    assert (answer.status_code, answer.json()["accepted"]) == (202, [{"process": "api", "worker": "1", "pid": 4712}])
    assert world.operator.asked[0][:3] == (verb, "api", "1")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_it_is_posted_or_nothing(world: World, verb: str, method: str) -> None:
    """A link that a browser follows, or a crawler, changes nothing; nor is a page of elsewhere let in by CORS."""
    refused = Client(world.app).request(method, f"/processes/api/{verb}", headers=RIGHT)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert not [name for name in refused.headers if name.startswith("access-control")]
    assert world.operator.asked == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("token", [pytest.param(None, id="none"), pytest.param("", id="empty")])
def test_without_a_token_it_is_off(world: World, verb: str, token: str | None) -> None:
    """403 with what would turn it on, whatever the client brings."""
    world.token = token
    for headers in ({}, RIGHT, {"authorization": "Bearer "}):
        answer = world.post(f"/processes/api/{verb}", headers)
        assert (answer.status_code, answer.json()) == (403, {"detail": "off: set api.token_file"})
    assert world.operator.asked == []


def test_without_operations_it_is_off(world: World) -> None:
    """The same."""
    world.app = world.build(None)
    assert world.post("/processes/api/restart").json() == {"detail": "off: set api.token_file"}


WRONG = [
    pytest.param({"authorization": f"Bearer {TOKEN}x"}, id="another token"),
    pytest.param({"authorization": f"Bearer {TOKEN[:-1]}"}, id="a part of it"),
    pytest.param({"authorization": f"Basic {TOKEN}"}, id="another scheme"),
    pytest.param({"authorization": TOKEN}, id="no scheme"),
    pytest.param({"authorization": "Bearer"}, id="nothing after the scheme"),
    pytest.param({"authorization": "Bearer \xe9".encode("latin-1")}, id="no ASCII"),
    pytest.param([("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer no")], id="two of them"),
]


@pytest.mark.parametrize("headers", WRONG)
def test_a_wrong_token_is_refused_late(world: World, headers: Any) -> None:
    """401, a second later, with the scheme that is wanted; nothing was asked of anybody."""
    answer = world.post("/processes/api/restart", headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="heapwarden", error="invalid_token"'
    assert world.clock.slept == [LATE_SECONDS]
    assert world.operator.asked == []


def test_no_token_is_told_what_is_wanted(world: World) -> None:
    """401 at once: nothing was guessed."""
    answer = world.post("/processes/api/drain", {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="heapwarden"')
    assert world.clock.slept == []


def test_the_scheme_is_read_as_http_has_it(world: World) -> None:
    """In any case, with any spaces before the token."""
    assert world.post("/processes/api/drain", {"authorization": f"bearer   {TOKEN}"}).status_code == 202


def test_a_token_that_is_replaced_counts_at_once(world: World) -> None:
    """The old one is wrong from then on. One beyond ASCII, which a file may hold, is compared as UTF-8."""
    world.token = "ein-anderer-schl\xfcssel"  # noqa: S105  of nothing
    assert world.post("/processes/api/drain").status_code == 401
    right = f"Bearer {world.token}".encode()
    assert world.post("/processes/api/drain", {"authorization": right}).status_code == 202


def test_guessing_is_slow_and_locks_nobody_out() -> None:
    """While wrong tokens wait for their answers, further ones are sent away, and the right one is let in at once."""

    async def guess() -> None:
        over = asyncio.Event()

        async def sleep(_: float) -> None:
            await over.wait()

        gate = Gate(lambda: TOKEN, sleep)
        guesses = [asyncio.create_task(gate.refusal([f"Bearer {number}"])) for number in range(MOST_WAITING)]
        await asyncio.sleep(0)
        for number in range(100):
            refused = await gate.refusal([f"Bearer more {number}"])
            assert refused is not None
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert await gate.refusal([f"Bearer {TOKEN}"]) is None
        over.set()
        assert [refused and refused.status_code for refused in await asyncio.gather(*guesses)] == [401] * MOST_WAITING
        over.clear()
        again = asyncio.create_task(gate.refusal(["Bearer again"]))
        await asyncio.sleep(0)
        assert not again.done()
        over.set()
        await again

    asyncio.run(guess())


def refuse(code: Any, text: str = "the reason") -> RequestRefusedError:
    """What an operator raises."""
    return RequestRefusedError(code, text)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        pytest.param("busy", 409, id="busy"),
        pytest.param("not_possible", 409, id="not possible"),
        pytest.param("off", 403, id="off"),
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_a_refusal_keeps_its_reason(world: World, verb: str, code: str, status: int) -> None:
    """With the code for machines and the text for people."""
    world.operator.refusal = refuse(code)
    answer = world.post(f"/processes/api/{verb}")
    assert (answer.status_code, answer.json()) == (status, {"detail": "the reason", "code": code})


def test_an_unknown_name_or_worker_tells_what_there_is(world: World) -> None:
    """404, as the other endpoints."""
    world.operator.refusal = refuse("unknown")
    answer = world.post("/processes/wep/restart")
    assert (answer.status_code, answer.json()["known"]) == (404, ["api"])
    answer = world.post("/processes/api/restart?worker=7")
    assert (answer.status_code, answer.json()["workers"]) == (404, ["0", "1"])


@pytest.mark.parametrize("name", [pytest.param("a" * 5_000, id="long"), pytest.param("%00%1b[31m", id="control")])
def test_a_name_that_nothing_can_have_is_asked_of_nobody(world: World, name: str) -> None:
    """404; what is written down stays one short line."""
    answer = world.post(f"/processes/{name}/restart")
    assert (answer.status_code, world.operator.asked) == (404, [])
    (event,) = world.events
    assert len(event.text) < 300
    assert event.text.isprintable()
    assert event.process == ""


@pytest.mark.parametrize(
    "query", ["worke=0", "worker=", "worker=0&worker=1", "worker=0&force=1", "force=1", "worker=" + "1" * 21]
)
def test_a_query_that_is_not_understood_is_refused(world: World, query: str) -> None:
    """A misspelt worker must not restart all of them."""
    answer = world.post(f"/processes/api/restart?{query}")
    assert answer.status_code == 400
    assert "worker" in answer.json()["detail"]
    assert world.operator.asked == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"reason=none", id="form"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"[" * 1_000, id="deep"),
        pytest.param(b'{"reason": 5}', id="number"),
        pytest.param(b'{"reason": null}', id="null"),
        pytest.param(b'{"reason": ["a"]}', id="list for text"),
        pytest.param(b'{"reason": "two\\nlines"}', id="two lines"),
        pytest.param(b'{"reason": "\\u001b[2J"}', id="control characters"),
        pytest.param(b'{"reason": "\\ud800"}', id="half a character"),
        pytest.param(b'{"reason": "' + b"x" * 201 + b'"}', id="long"),
        pytest.param(b'{"worker": "0"}', id="unknown key"),
    ],
)
def test_a_body_that_is_not_understood_is_refused(world: World, body: bytes) -> None:
    """400 with what would be right, and nothing is done."""
    answer = world.post("/processes/api/restart", content=body)
    assert answer.status_code == 400
    assert "reason" in answer.json()["detail"]
    assert world.operator.asked == []


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"reason": ""}', b'{"reason": "  "}'])
def test_a_reason_may_be_left_out(world: World, body: bytes) -> None:
    """In every way that a client has."""
    assert world.post("/processes/api/restart", content=body).status_code == 202
    assert world.operator.asked[0][-1] == ""


def test_a_large_body_is_not_read(world: World) -> None:
    """413 as soon as there is more than a kilobyte, however much would follow."""
    sent: list[int] = []

    async def endless() -> Any:
        while True:
            sent.append(1)
            assert len(sent) < 100
            yield b"x" * 500

    assert world.post("/processes/api/restart", content=endless()).status_code == 413
    assert world.operator.asked == []


def test_each_request_with_the_token_is_written_down(world: World) -> None:
    """What was done and what was refused, with who asked, which process, and why."""
    world.post("/processes/api/restart?worker=1", json={"reason": "config has changed"})
    world.operator.refusal = refuse("busy", "api/1 is being restarted already")
    world.post("/processes/api/drain")
    world.post("/processes/api/drain?bad=1")
    assert [(event.kind, event.what, event.process, event.worker) for event in world.events] == [
        (EventKind.REQUEST, "restart", "api", "1"),
        (EventKind.REQUEST, "drain", "api", ""),
        (EventKind.REQUEST, "drain", "api", ""),
    ]
    assert [event.figures for event in world.events] == [
        {"from": "127.0.0.1", "status": status} for status in (202, 409, 400)
    ]
    assert world.events[0].text == "127.0.0.1 asked to restart 'api/1' (config has changed): 1 accepted"
    assert world.events[1].text == "127.0.0.1 asked to drain 'api': api/1 is being restarted already"
    assert world.events[0].wall == world.clock.wall()


def test_refused_ones_are_written_down_once_a_minute(world: World) -> None:
    """With the number of those left out; a flood of them does not push the history out of the journal."""
    for _ in range(50):
        world.post("/processes/nope/restart", {})
    (event,) = world.events
    assert (event.kind, event.what, event.process, event.figures["status"]) == (EventKind.REQUEST, "restart", "", 401)
    world.clock.advance(REFUSED_EVERY_SECONDS)
    world.post("/processes/api/drain", {"authorization": "Bearer no"})
    assert len(world.events) == 2
    assert world.events[1].text == "drain was refused to 127.0.0.1: this is not the token; 49 more before it"
    assert world.events[1].process == "api"


def test_the_token_is_told_to_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither right nor wrong ones stand in logs, events or answers."""
    caplog.set_level(logging.DEBUG)
    answers = [
        world.post("/processes/api/restart"),
        world.post("/processes/api/restart", {"authorization": "Bearer guessed-token"}),
        world.post("/processes/api/restart", {"authorization": TOKEN}),
    ]
    said = caplog.text + "".join(str(event) for event in world.events)
    said += "".join(answer.text + str(answer.headers) for answer in answers)
    assert "asked to restart" in said
    assert TOKEN not in said
    assert "guessed-token" not in said


def test_whatever_only_reads_stays_open(world: World) -> None:
    """Balancers and Prometheus have no token."""
    for path in ("/healthz", "/livez", "/metrics", "/processes/api"):
        assert Client(world.app).get(path).status_code == 200
