"""``/live/events`` over a real connection: who gets what, who may look, and how it ends."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.error import HTTPError

import pytest

from fakes.asgi import Client
from fakes.conditions import eventually
from fakes.event_source import EventSource, event_source, rows_of
from fakes.snapshots import MIB, NOW, fleet, snapshot, watched
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.runtime.columns import COLUMNS
from heapwarden.runtime.entries import Entries
from heapwarden.runtime.history import History
from heapwarden.settings.model import Listen
from heapwarden.web import live_events as module
from heapwarden.web.app import create_app
from heapwarden.web.event_stream import EventStream, Seats
from heapwarden.web.live_events import MOST_STREAMS, Live
from heapwarden.web.live_view import MOST_POINTS
from heapwarden.web.options import Page, WebOptions
from heapwarden.web.overview import EVERY_PROCESSES, MOST_PROCESSES
from heapwarden.web.server import HttpServer

pytestmark = pytest.mark.anyio

ONE = "?process=api&worker=0"


def entry(text: str, process: str = "api", wall: float = 1.0) -> Event:
    """An event of the journal."""
    return Event(wall, EventKind.RESTART, "drain", text, process=process, worker="0", restart="r-1")


@dataclass
class Agent:
    """What the page is fed by, with tests in the place of watch and journal."""

    history: History = field(default_factory=lambda: History(8 * MIB))
    entries: Entries = field(default_factory=lambda: Entries(3))
    journal: list[Event] = field(default_factory=list)
    """Newest first."""
    snapshot: Snapshot = field(default_factory=snapshot)
    port: int = 0

    def __post_init__(self) -> None:
        """Put it together as the agent does."""
        self.live = Live(self.snapshot, self.history, self.entries, self.recent, WebOptions)
        self.history.on_recorded = self.live.recorded
        self.entries.on_new = self.live.wake

    async def recent(self, most: int, process: str | None) -> Sequence[Event]:
        """As the journal's."""
        return [one for one in self.journal if process in (None, one.process)][:most]

    def tick(self, *processes: Watched, seconds: float = 1.0, clock_set: float = 0.0) -> None:
        """A tick that has found these processes, so long after the last one."""
        at = self.snapshot.at + seconds
        wall = self.snapshot.wall + seconds + clock_set
        self.snapshot = replace(snapshot(*processes), at=at, wall=wall, last_tick_at=at)
        self.history.published(self.snapshot)

    def app(self) -> Any:
        """All endpoints."""
        return create_app(
            snapshot=lambda: self.snapshot,
            monotonic=lambda: self.snapshot.at,
            options=WebOptions,
            metrics=_no_page,
            prom_client_metrics=_no_page,
            live=self.live,
        )

    def url(self, query: str = "", path: str = "/live/events") -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}{path}{query}"


def _no_page(accept: str) -> Page:
    raise NotImplementedError(accept)


@asynccontextmanager
async def running(agent: Agent, **options: Any) -> AsyncIterator[HttpServer]:
    """Serve it."""
    server = HttpServer(agent.app(), Listen("127.0.0.1", 0), **options)
    _, agent.port = server.bind()
    task = asyncio.create_task(server.serve())
    try:
        yield server
    finally:
        agent.live.stop()
        server.stop()
        await asyncio.wait_for(task, 15)


@dataclass
class Looker:
    """A client in a thread of its own, as others are on machines of their own."""

    stack: ExitStack

    async def open(self, url: str) -> "Reading":
        """Connect."""
        return Reading(await asyncio.to_thread(self.stack.enter_context, event_source(url)))


@dataclass
class Reading:
    """One stream."""

    source: EventSource

    async def any(self) -> tuple[str, Any]:
        """See EventSource."""
        return await asyncio.to_thread(self.source.any)

    async def next(self, name: str) -> Any:
        """See EventSource."""
        return await asyncio.to_thread(self.source.next, name)

    async def names(self, count: int) -> list[str]:
        """Of the next events."""
        return [(await self.any())[0] for _ in range(count)]


@pytest.fixture
async def agent() -> Agent:
    """One healthy process has been watched for a tick."""
    made = Agent()
    made.tick(watched())
    return made


async def test_the_list_comes_at_once_and_with_each_tick(agent: Agent) -> None:
    """Then what was told of all processes; new entries don't wait for a tick."""
    agent.entries.add(entry("older"))
    async with running(agent):
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url())
            assert reading.source.headers["content-type"] == "text/event-stream"
            assert reading.source.headers["cache-control"] == "no-store"
            assert reading.source.line() == "retry: 2000"
            first = await reading.next("overview")
            assert (first["status"], first["interval"], first["more"]) == ("healthy", 1.0, 0)
            assert [one["process"] for one in first["processes"]] == ["api"]
            assert [one["text"] for one in (await reading.next("entries"))["entries"]] == ["older"]
            agent.tick(watched(), watched(worker="1"))
            assert len((await reading.next("overview"))["processes"]) == 2
            agent.entries.add(entry("newer", "web"))
            expected = {"wall": 1.0, "kind": "restart", "what": "drain", "text": "newer", "process": "web"}
            assert (await reading.next("entries"))["entries"] == [expected | {"worker": "0", "restart": "r-1"}]


async def test_one_process_comes_with_its_history_and_goes_on(agent: Agent) -> None:
    """History, figures and entries at once; then a row and the figures with each tick."""
    async with running(agent):
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url(ONE))
            assert (await reading.any())[0] == "overview"
            name, history = await reading.any()
            assert (name, history["process"], history["worker"]) == ("history", "api", "0")
            (row,) = rows_of(history)
            assert (row["time"], row["rss"]) == (pytest.approx(agent.snapshot.wall), 120 * MIB)
            detail = await reading.next("detail")
            assert (detail["pid"], detail["script"], detail["wrapper"]) == (4711, "api", None)
            assert "--token=secret" not in str(detail)
            agent.tick(watched(limit_bytes=None))
            assert await reading.names(2) == ["entries", "overview"]
            name, point = await reading.any()
            assert (name, len(point["row"])) == ("point", len(COLUMNS))
            figures = dict(zip(COLUMNS, point["row"], strict=True))
            assert (figures["time"], figures["rss"]) == (round(agent.snapshot.wall, 3), 120 * MIB)
            assert figures["containerLimit"] is None
            assert figures["loopP99"] == 0.0125
            assert await reading.names(1) == ["detail"]


async def test_a_process_that_ends_is_gone_and_its_successor_goes_on(agent: Agent) -> None:
    """`gone` once, not with each tick; the successor's rows continue those of the slot."""
    async with running(agent):
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url(ONE))
            await reading.next("entries")
            agent.tick()
            assert await reading.names(1) == ["overview"]
            assert await reading.any() == ("gone", {"process": "api", "worker": "0"})
            agent.tick()
            assert await reading.names(1) == ["overview"]
            agent.tick(watched(pid=4712))
            assert await reading.names(2) == ["overview", "point"]
            assert (await reading.next("detail"))["pid"] == 4712


async def test_who_connects_again_gets_everything_again(agent: Agent) -> None:
    """So that nothing has to be kept for anybody; a slot that nobody is in yet is no error."""
    async with running(agent):
        for count in (1, 2):
            with ExitStack() as stack:
                reading = await Looker(stack).open(agent.url(ONE))
                assert len(rows_of(await reading.next("history"))) == count
            agent.tick(watched())
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url("?process=nobody&worker=7"))
            assert await reading.names(4) == ["overview", "history", "gone", "entries"]


@pytest.mark.parametrize(
    ("ticks", "clock_set", "expected"),
    [
        pytest.param(3, 0.0, ["point"] * 3, id="a few ticks were missed"),
        pytest.param(MOST_POINTS + 1, 0.0, ["history"], id="many were"),
        pytest.param(1, -3_600.0, ["history"], id="the clock was set"),
    ],
)
async def test_who_reads_slowly_gets_what_it_has_missed(
    agent: Agent, ticks: int, clock_set: float, expected: list[str]
) -> None:
    """As rows, or as everything anew where that is less, or where the times of all rows have changed."""
    pieces = agent.live._pieces(module.Name("api", "0"))
    names = [await anext(pieces) for _ in range(5)]
    assert names[-1].startswith(b"event: entries")
    for _ in range(ticks):
        agent.tick(watched(), clock_set=clock_set)
    found = [(await anext(pieces)).split(b"\n")[0].decode() for _ in range(len(expected) + 2)]
    assert found == [f"event: {name}" for name in ("overview", *expected, "detail")]
    await pieces.aclose()


async def test_entries_of_one_name_come_from_the_journal_where_memory_is_short(agent: Agent) -> None:
    """Each once: those that memory has let go come from there, oldest first."""
    for number in range(5):
        agent.journal.insert(0, entry(f"of api {number}", wall=float(number)))
        agent.journal.insert(0, entry("of web", "web", wall=number + 0.5))
    agent.entries.seed(agent.journal)
    async with running(agent):
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url(ONE))
            texts = [one["text"] for one in (await reading.next("entries"))["entries"]]
    assert texts == [f"of api {number}" for number in range(5)]


async def test_a_heartbeat_tells_that_it_lives(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment, where there is nothing to tell; proxies end what is silent."""
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)
    async with running(agent):
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url())
            await reading.next("entries")
            assert await asyncio.to_thread(reading.source.line) == ""
            assert await asyncio.to_thread(reading.source.line) == ":"


async def test_only_so_many_may_look(agent: Agent) -> None:
    """The next one is told so, health checks are answered, and who leaves makes room."""
    async with running(agent):
        with ExitStack() as others, ExitStack() as one:
            looker = Looker(others)
            for _ in range(MOST_STREAMS - 1):
                await (await looker.open(agent.url())).next("overview")
            await (await Looker(one).open(agent.url(ONE))).next("overview")
            with pytest.raises(HTTPError) as caught:
                await looker.open(agent.url())
            with caught.value as refused:
                assert (refused.code, refused.headers["retry-after"]) == (503, "5")
                assert b"too many" in refused.read()
            async with asyncio.timeout(15):
                await asyncio.to_thread(_healthy, agent)
            one.close()
            await eventually(lambda: agent.live._seats._free == 1)
            await (await looker.open(agent.url())).next("overview")
    assert agent.live._seats._free == MOST_STREAMS


def _healthy(agent: Agent) -> None:
    with event_source(agent.url(path="/healthz")) as source:
        assert source.line().startswith('{"status":"healthy"')


async def test_stop_ends_every_stream_at_once(agent: Agent) -> None:
    """In order, so that clients know that it is not their network; nothing is left running."""
    async with running(agent):
        with ExitStack() as stack:
            readings = [await Looker(stack).open(agent.url(query)) for query in ("", ONE)]
            for reading in readings:
                await reading.next("entries")
            agent.live.stop()
            assert all([await asyncio.to_thread(reading.source.ended) for reading in readings])
        await eventually(lambda: not any("EventStream" in repr(task) for task in asyncio.all_tasks()))


async def test_the_first_processes_are_listed_at_once() -> None:
    """However many they are: nobody is told for a minute that there are none."""
    agent = Agent()
    async with running(agent) as _:
        with ExitStack() as stack:
            reading = await Looker(stack).open(agent.url())
            assert (await reading.next("overview"))["processes"] == []
            agent.tick(*fleet(5 * EVERY_PROCESSES).processes)
            assert len((await reading.next("overview"))["processes"]) == MOST_PROCESSES


async def test_who_does_not_read_is_dropped_and_keeps_nobody_waiting(agent: Agent) -> None:
    """The kernel gives its connection up; meanwhile others see every tick."""
    many = fleet(EVERY_PROCESSES - 1)
    agent.tick(*many.processes)
    async with running(agent, stalled_seconds=0.5) as server:
        connections = server._server.server_state.connections
        with ExitStack() as stack:
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.connect(("127.0.0.1", agent.port))
            deaf.sendall(b"GET /live/events HTTP/1.1\r\nHost: agent\r\n\r\n")
            await eventually(lambda: len(connections) == 1)
            reading = await Looker(stack).open(agent.url())
            for _ in range(1_000):
                agent.tick(*many.processes)
                overview = await reading.next("overview")
                if len(connections) == 1:
                    break
            assert len(connections) == 1
            assert overview["at"] > NOW
            await eventually(lambda: agent.live._seats._free == MOST_STREAMS - 1)


async def test_who_has_left_is_let_go_whatever_happens_meanwhile() -> None:
    """A cancellation that is lost on the way must not keep a seat taken for ever."""
    sent: list[bytes] = []
    left = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes]:
        yield b"first"
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        while True:
            yield b"for nobody"

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if sent[-1] == b"first":
            left.set()

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    seats = Seats(1)
    async with asyncio.timeout(15):
        await EventStream(pieces(), seats)({"type": "http", "method": "GET"}, receive, send)
    assert sent == [b"", b"first"]
    with seats.one() as free:
        assert free


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        pytest.param("/live/events?process=api", "*/*", 400, id="half a slot"),
        pytest.param("/live/events?process=api&worker=0&worker=1", "*/*", 400, id="two slots"),
        pytest.param("/live/events?process=api&worker=0&more=1", "*/*", 400, id="something else"),
        pytest.param("/live/events?process=&worker=0", "*/*", 400, id="no name"),
        pytest.param(f"/live/events?process={'x' * 200}&worker=0", "*/*", 400, id="too long a name"),
        pytest.param("/live/events?process=%0A&worker=0", "*/*", 400, id="no printable name"),
        pytest.param("/live/events", "application/json", 406, id="not as JSON"),
    ],
)
async def test_what_is_no_right_request_is_told_so(agent: Agent, path: str, accept: str, status: int) -> None:
    """At once, as JSON."""
    client = Client(agent.app())
    refused = await asyncio.to_thread(client.get, path, headers={"accept": accept})
    assert refused.status_code == status
    assert refused.json()["detail"]


async def test_head_ends(agent: Agent) -> None:
    """With the headers of GET, and no stream."""
    answer = await asyncio.to_thread(Client(agent.app()).head, "/live/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert agent.live._seats._free == MOST_STREAMS


async def test_the_list_comes_less_often_where_it_is_long(agent: Agent) -> None:
    """Every fourth tick for 600 processes; one process in detail comes with each."""
    many = fleet(600).processes
    name = many[0].name
    agent.history = History(8 * MIB, soon=lambda call: call())
    agent.history.on_recorded = agent.live.recorded
    agent.live._history = agent.history
    pieces = agent.live._pieces(name)
    while not (await anext(pieces)).startswith(b"event: entries"):
        pass
    seen: list[str] = []
    for _ in range(8):
        agent.tick(*many)
        piece = b""
        while not piece.startswith(b"event: detail"):
            piece = await anext(pieces)
            seen.append(piece.split(b"\n")[0].decode().removeprefix("event: "))
    await pieces.aclose()
    assert (seen.count("overview"), seen.count("point")) == (2, 8)
