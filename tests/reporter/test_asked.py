"""What an agent may ask of the app's main thread: pressure, drain, one collection, a signal; on every major."""

import signal
from pathlib import Path

import pytest

from fakes.agent_socket import AgentSocket, Message, Peer, Serve, config
from fakes.node_app import APPS, REPORTER, App, Node, Start

pytestmark = pytest.mark.node
ANSWERS = APPS / "answers.cjs"

LISTEN = """
globalThis.heard = [];
process.on('heapwarden:pressure', (event) => heard.push(event));
process.on('heapwarden:drain', (event) => heard.push(event));
process.on('warning', ({ name, message }) => heard.push({ name, message }));
return true
"""
AHEAD = """
const real = process.hrtime;
process.hrtime = (since) => { const [s, n] = real(since); return [s + (globalThis.ahead || 0), n]; };
"""
"""A clock that the app can put forward, for the reporter that is loaded after this."""


@pytest.fixture
def asked(node: Node, serve: Serve, start: Start) -> tuple[AgentSocket, Peer, App]:
    """An agent, its connection to the main thread of an app that keeps what it hears, and the app."""
    agent = serve()
    app = start(node, "--no-warnings", ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell(LISTEN)
    return agent, peer, app


def pressure(level: str, ratio: object = 0.5, nearer: object = "heap") -> Message:
    """As the agent tells it."""
    return {"t": "pressure", "level": level, "ratio": ratio, "nearer": nearer}


def more_samples(agent: AgentSocket, peer: Peer, number: int = 2) -> None:
    """Wait for so many; whatever was sent before has been heard by then."""
    seen = len(peer.samples)
    agent.wait(lambda _: len(peer.samples) >= seen + number, f"{number} more samples")


def test_the_app_hears_changes_of_pressure(asked: tuple[AgentSocket, Peer, App]) -> None:
    """Each change once, the all-clear included; what is not of the protocol is not passed on."""
    agent, peer, app = asked
    for message in (
        pressure("elevated", 0.71),
        pressure("elevated", 0.74),
        pressure("critical", 0.95, "container"),
        pressure("worse"),
        pressure("high", "0.8"),
        pressure("high", None),
        pressure("high", -1),
        pressure("high", 0.8, "disk"),
        {"t": "pressure"},
        pressure("normal", 0.1),
    ):
        peer.send(message)
    more_samples(agent, peer)
    assert app.tell("return heard") == [
        {"level": "elevated", "ratio": 0.71, "nearer": "heap"},
        {"level": "critical", "ratio": 0.95, "nearer": "container"},
        {"level": "normal", "ratio": 0.1, "nearer": "heap"},
    ]
    assert len(agent.peers) == 1, "nothing of it broke the connection"


def test_a_listener_that_throws_is_told_of_and_harms_nothing(asked: tuple[AgentSocket, Peer, App]) -> None:
    """It becomes a warning; the app lives, the connection too, and the next change is heard."""
    agent, peer, app = asked
    app.tell(
        """
        const oddities = [new Error('the cache is broken'), 'a text', null, Object.create(null)];
        process.on('heapwarden:pressure', () => { throw oddities.shift(); }); return true
        """
    )
    for level in ("elevated", "high", "critical", "normal"):
        peer.send(pressure(level))
    more_samples(agent, peer)
    heard = app.tell("return heard")
    assert [event["level"] for event in heard if "level" in event] == ["elevated", "high", "critical", "normal"]
    text = "a listener of 'heapwarden:pressure' threw: "
    warnings = [event for event in heard if "name" in event]
    assert warnings == [
        {"name": "HeapwardenWarning", "message": text + thrown} for thrown in ("the cache is broken", "a text", "null")
    ], "what can't be put into words is not told"
    assert len(agent.peers) == 1
    assert app.end() == (0, "")


def test_after_a_reconnection_only_a_change_is_heard(asked: tuple[AgentSocket, Peer, App]) -> None:
    """The agent tells the level again; the app has heard it."""
    agent, peer, app = asked
    peer.send(pressure("high"))
    more_samples(agent, peer)
    peer.close()
    again = agent.wait(lambda a: a.peers[1] if len(a.peers) > 1 and a.peers[1].samples else None, "its return")
    again.send(pressure("high"))
    again.send(pressure("elevated"))
    more_samples(agent, again)
    assert [event["level"] for event in app.tell("return heard")] == ["high", "elevated"]


def test_without_an_agent_the_pressure_is_off(node: Node, serve: Serve, start: Start, tmp_path: Path) -> None:
    """Half a minute after the agent was lost for good the app gets the all-clear: it must not shed load for ever."""
    clock = tmp_path / "ahead.cjs"
    clock.write_text(AHEAD)
    agent = serve()
    app = start(node, ANSWERS, options=f"--require {clock} --require {REPORTER}")
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell(LISTEN)
    peer.send(pressure("high"))
    more_samples(agent, peer)
    agent.close()
    later = "globalThis.ahead = (globalThis.ahead || 0) + 40; await new Promise((done) => setTimeout(done, 20));"
    wait = f"while (heard.length < 2) {{ {later} }} return heard"
    assert app.tell(wait)[1] == {"level": "normal", "ratio": None, "nearer": None}
    assert app.end() == (0, "")


def test_who_sheds_all_load_learns_that_there_is_room_again(node: Node, serve: Serve, start: Start) -> None:
    """Without allocations V8 collects nothing; where the app listens and the level stays high, the reporter does."""
    agent = serve()
    app = start(node, "--no-warnings", ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell(LISTEN)
    app.tell("globalThis.held = Array.from({length: 300000}, (_, i) => ({i, a: [i]})); return true")
    more_samples(agent, peer)
    full = peer.samples[-1]["mem"]["heapUsed"]
    peer.send(pressure("high", 0.84))
    app.tell("held.length = 0; return true")
    agent.wait(lambda _: peer.samples[-1]["mem"]["heapUsed"] < full - 10 * 2**20, "a collection")
    assert app.end() == (0, "")


def test_drained_is_said_once(asked: tuple[AgentSocket, Peer, App]) -> None:
    """However often the app says so; and who ends an earlier drain late has not ended the present one."""
    agent, peer, app = asked

    def drained() -> int:
        return [line["t"] for line in peer.samples].count("drained")

    for within in (1_000, 5_000, "1s", -1):
        peer.send({"t": "drain", "within_ms": within})
    more_samples(agent, peer)
    assert app.tell("return heard.map(({ within, done }) => [within, typeof done])") == [
        [1_000, "function"],
        [5_000, "function"],
    ]
    app.tell("heard[0].done(); return true")
    more_samples(agent, peer)
    assert drained() == 0
    app.tell("heard[1].done(); heard[1].done(); heard[0].done(); return true")
    more_samples(agent, peer)
    assert drained() == 1
    assert app.end() == (0, "")


def test_drained_is_said_after_a_reconnection_too(asked: tuple[AgentSocket, Peer, App]) -> None:
    """An agent that comes back in the middle of a drain hears of its end."""
    agent, peer, app = asked
    peer.send({"t": "drain", "within_ms": 60_000})
    more_samples(agent, peer)
    peer.close()
    agent.wait(lambda _: peer.closed, "the end of the connection")
    app.tell("heard[0].done(); return true")
    agent.wait(
        lambda a: len(a.peers) > 1 and any(line["t"] == "drained" for line in a.peers[1].samples), "drained, later"
    )


def test_a_collection_on_request(asked: tuple[AgentSocket, Peer, App]) -> None:
    """What the app has let go is gone from the figures that follow, and `gc` shows nowhere in the app.

    Asked ten times at once it collects once: a collection pauses the app.
    """
    agent, peer, app = asked
    app.tell("globalThis.held = Array.from({length: 300000}, (_, i) => ({i, a: [i]})); return true")
    more_samples(agent, peer)
    before = peer.samples[-1]
    counted = app.tell("return figures()")["collections"].get("major", 0)
    app.tell("held.length = 0; return true")
    seen = len(peer.samples)
    for _ in range(10):
        peer.send({"t": "gc"})
    after = agent.wait(
        lambda _: [s for s in peer.samples[seen:] if s["why"] == "gc" and s["live"] is not None], "a sample for it"
    )[-1]
    assert after["mem"]["heapUsed"] < before["mem"]["heapUsed"] - 10 * 2**20
    assert after["live"] == pytest.approx(after["mem"]["heapUsed"], abs=2 * 2**20)
    more_samples(agent, peer)
    assert app.tell("return figures()")["collections"]["major"] == counted + 1
    assert sum(peer.samples[-1]["gc"]["major"]["n"]) == counted + 1
    look = "return [typeof gc, require('vm').runInNewContext('typeof gc'), process.execArgv]"
    assert app.tell(look) == ["undefined", "undefined", ["--no-warnings"]]
    assert app.end() == (0, "")


def test_a_collection_where_gc_is_exposed(node: Node, serve: Serve, start: Start) -> None:
    """V8's own function is used, not what the app has put in its place; new contexts have it as before."""
    agent = serve()
    app = start(node, "--expose-gc", ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell("globalThis.gc = () => { throw new Error('the app calls this one') }; return true")
    peer.send({"t": "gc"})
    agent.wait(lambda _: any(s["gc"].get("major") for s in peer.samples), "the collection")
    assert app.tell("return require('vm').runInNewContext('typeof gc')") == "function"
    assert len(agent.peers) == 1
    assert app.end() == (0, "")


def test_signals(node: Node, serve: Serve, start: Start) -> None:
    """Those that end a process arrive like any other; all else is ignored, and a worker thread is not asked."""
    agent = serve()
    app = start(node, ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell("globalThis.got = []; process.on('SIGTERM', (name) => got.push(name)); return true")
    app.tell("new (require('worker_threads').Worker)('setInterval(() => {}, 1000)', {eval: true}); return true")
    worker = agent.wait(lambda a: a.peers[1] if len(a.peers) > 1 and a.peers[1].samples else None, "the worker thread")
    for message in (
        {"t": "signal", "signal": name} for name in ("SIGUSR1", "SIGSTOP", "sigkill", 9, None, ["SIGKILL"])
    ):
        peer.send(message)
    for unheard in ("SIGKILL", "SIGTERM"):
        worker.send({"t": "signal", "signal": unheard})
    more_samples(agent, worker)
    peer.send({"t": "signal", "signal": "SIGTERM"})
    more_samples(agent, peer)
    assert app.tell("return got") == ["SIGTERM"]
    assert len(agent.peers) == 2
    peer.send({"t": "signal", "signal": "SIGKILL"})
    assert app.ended() == (-signal.SIGKILL, "")


def test_nothing_is_heard_where_nobody_listens(node: Node, serve: Serve, start: Start) -> None:
    """Without listeners no event is emitted, and a message before the configuration is not heard either."""
    agent = serve(None)
    app = start(node, ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].lines else None, "a hello")[0]
    app.tell("globalThis.emitted = []; process.emit = (...all) => emitted.push(String(all[0])); return true")
    app.tell("process.on('heapwarden:drain', () => emitted.push('drain')); return true")
    peer.send({"t": "drain", "within_ms": 1})
    peer.send(config())
    peer.send(pressure("high"))
    more_samples(agent, peer)
    assert app.tell("return emitted.filter((name) => name.includes('drain') || name.includes('heapwarden'))") == []


def test_the_hello_names_what_can_be_asked(asked: tuple[AgentSocket, Peer, App]) -> None:
    """Of the main thread; a worker thread can't speak for the process."""
    agent, peer, app = asked
    assert peer.hello is not None
    assert peer.hello["can"] == ["pressure", "drain", "gc", "signal", "bye"]
    app.tell("new (require('worker_threads').Worker)('setInterval(() => {}, 1000)', {eval: true}); return true")
    worker = agent.wait(lambda a: a.peers[1] if len(a.peers) > 1 and a.peers[1].lines else None, "the worker thread")
    assert worker.hello is not None
    assert worker.hello["can"] == []
