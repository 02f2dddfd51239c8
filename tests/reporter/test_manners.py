"""The app never notices the reporter: not by its exit, its timers, its listeners, nor by what an agent sends."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.agent_socket import Serve, config
from fakes.node_app import APPS, REPORTER, Node, Start

pytestmark = pytest.mark.node
ANSWERS = APPS / "answers.cjs"

AGENT_OF_ITS_OWN = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
reporter, _ = listener.accept()
reporter.recv(65536)
reporter.sendall(b'{"t": "config", "v": 1, "interval_ms": 60000, "gc_profiler": true}\\n')
reporter.recv(65536)
print("sampled", flush=True)
listener.accept()
"""

FILL_THE_SOCKET = """
const fs = require('fs');
const link = (fd) => { try { return fs.readlinkSync(`/proc/self/fd/${fd}`); } catch { return ''; } };
const fds = fs.readdirSync('/proc/self/fd').filter((fd) => link(fd).startsWith('socket:')).map(Number);
try { for (;;) fs.writeSync(fds[0], 'x'.repeat(1024)); } catch (error) { return [fds.length, error.code]; }
"""

A_FRAME_NOW = """
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
await sleep(60); globalThis.gc(); await sleep(5); return true
"""
"""Past the least gap between two frames, a mark-compact makes the reporter write one in the same turn of the loop."""


@pytest.fixture
def other_agent(socket_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An agent in a process of its own, which can be stopped: it asks for a frame a minute, and reads one."""
    command = [sys.executable, "-c", AGENT_OF_ITS_OWN, str(socket_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        assert agent.stdout.readline() == "listening\n"
        yield agent
        agent.kill()


@pytest.mark.parametrize(
    "fate", [pytest.param(signal.SIGSTOP, id="stopped"), pytest.param(signal.SIGKILL, id="killed")]
)
def test_an_agent_that_stops_or_dies_holds_nothing_up(
    node: Node, start: Start, other_agent: subprocess.Popen[str], fate: signal.Signals
) -> None:
    """A frame that meets a full socket is dropped. Left to libuv, it would keep the app for a minute or for ever."""
    app = start(node, "--expose-gc", ANSWERS)
    assert other_agent.stdout
    assert other_agent.stdout.readline() == "sampled\n"
    other_agent.send_signal(fate)
    if fate == signal.SIGSTOP:
        assert app.tell(FILL_THE_SOCKET) == [1, "EAGAIN"]
    assert app.tell(A_FRAME_NOW)
    assert app.end() == (0, "")


@pytest.mark.parametrize("place", ["nothing there", "nobody listens", "nobody accepts", "never answers"])
def test_no_agent(node: Node, start: Start, serve: Serve, socket_path: Path, place: str) -> None:
    """Without an agent the app works and ends as ever."""
    with socket.socket(socket.AF_UNIX) as listener:
        if place == "never answers":
            serve(None)
        elif place != "nothing there":
            listener.bind(str(socket_path))
        if place == "nobody accepts":
            listener.listen()
        app = start(node, "--expose-gc", ANSWERS)
        assert app.tell(A_FRAME_NOW)
        assert app.end() == (0, "")


def test_an_exit_code_stays(node: Node, start: Start, serve: Serve) -> None:
    """An exit in the middle and an uncaught exception end the app as they do without us."""
    serve()
    assert start(node, "-e", "setTimeout(() => process.exit(7), 30)").ended() == (7, "")
    code, stderr = start(node, "-e", "setTimeout(() => { throw new Error('the app') }, 30)").ended()
    assert code == 1
    assert "Error: the app" in stderr
    assert "heapwarden" not in stderr


def test_no_trace_but_one_symbol(node: Node, start: Start, serve: Serve) -> None:
    """Listeners, globals, active handles, environment and arguments are those of an app without the reporter."""
    look = """
        const listeners = process.eventNames().map((name) => [String(name), process.listenerCount(name)]);
        return {listeners, globals: Reflect.ownKeys(globalThis).map(String), own: Reflect.ownKeys(process).map(String),
          handles: process._getActiveHandles().length, requests: process._getActiveRequests().length,
          resources: process.getActiveResourcesInfo().sort(), argv: process.argv, execArgv: process.execArgv,
          enumerable: Object.keys(globalThis), prototypes: Object.keys(Object.prototype)};
    """
    without = start(node, ANSWERS, HEAPWARDEN_SOCKET="").tell(look)
    agent = serve()
    app = start(node, ANSWERS)
    agent.wait(lambda a: a.peers and len(a.peers[0].samples) > 1, "samples")
    with_it = app.tell(look)
    assert with_it.pop("globals") == [*without.pop("globals"), "Symbol(heapwarden.reporter)"]
    assert with_it == without


def test_without_a_socket_nothing_is_loaded(node: Node, start: Start) -> None:
    """Without HEAPWARDEN_SOCKET the preload loads no module of Node's and leaves no trace at all."""
    look = "console.log(JSON.stringify([process.moduleLoadList, Reflect.ownKeys(globalThis).map(String)]))"
    plain, with_it = (
        json.loads(start(node, "-e", look, options=options, HEAPWARDEN_SOCKET="").line())
        for options in (f"--require {APPS / 'empty.cjs'}", f"--require {REPORTER}")
    )
    assert with_it == plain


@pytest.mark.parametrize(
    "versions",
    [
        pytest.param({"node": "16.20.2"}, id="old"),
        pytest.param({"node": "22.1.0", "electron": "30.0.0"}, id="electron"),
        pytest.param({"node": "22.1.0", "bun": "1.2.0"}, id="bun"),
        pytest.param({}, id="nothing known"),
    ],
)
def test_an_odd_runtime_is_left_alone(node: Node, start: Start, tmp_path: Path, versions: dict[str, str]) -> None:
    """On a Node that is too old, or none, the reporter does nothing and says nothing."""
    disguise = tmp_path / "disguise.cjs"
    disguise.write_text(f"Object.defineProperty(process, 'versions', {{value: {json.dumps(versions)}}});\n")
    look = "console.log(Object.getOwnPropertySymbols(globalThis).includes(Symbol.for('heapwarden.reporter')))"
    app = start(node, "-e", look, options=f"--require {disguise} --require {REPORTER}")
    assert app.line() == "false\n"
    assert app.ended() == (0, "")


def test_loading_twice_is_loading_once(node: Node, start: Start, serve: Serve, tmp_path: Path) -> None:
    """Two copies from two places make one connection."""
    copy = tmp_path / "copy.cjs"
    shutil.copy(REPORTER, copy)
    agent = serve()
    app = start(node, ANSWERS, options=f"--require {REPORTER} --require {copy} --require {REPORTER}")
    agent.wait(lambda a: a.peers and len(a.peers[0].samples) > 2, "samples")
    assert app.end() == (0, "")
    assert len(agent.peers) == 1


def test_stop_is_for_good(node: Node, start: Start, serve: Serve) -> None:
    """Told to stop, it never comes back, while another one that was only dropped has come back three times."""
    agent = serve()
    stopped = start(node, ANSWERS)
    agent.wait(lambda a: a.peers and a.peers[0].samples, "a sample")
    agent.peers[0].send({"t": "stop"})
    agent.wait(lambda a: a.peers[0].closed, "its leaving")
    start(node, ANSWERS)
    for returns in range(1, 4):
        agent.wait(lambda a, n=returns: len(a.peers) > n and a.peers[n].samples, f"connection {returns} of the other")
        agent.peers[returns].close()
    assert [peer.hello["pid"] for peer in agent.peers if peer.hello].count(stopped.process.pid) == 1
    assert stopped.tell("return burst(10)")
    assert stopped.end() == (0, "")


def test_broken_agents(node: Node, start: Start, serve: Serve) -> None:
    """What breaks the protocol costs the connection, and the reporter comes back; the app sees nothing of it."""
    agent = serve()
    app = start(node, ANSWERS)
    broken = [
        b"hello?\n",
        b"null\n",
        b"\xff\xfe\x00\n",
        b'{"t": "config", "v": 2, "interval_ms": 1000}\n',
        b'{"t": "config", "v": 1, "interval_ms": "1s"}\n{"t": "config"',
        b'{"t": "config", "v": 1, "interval_ms": 1}\n',
        b"x" * 70_000,
    ]
    for turn, line in enumerate(broken):
        agent.wait(lambda a, n=turn: len(a.peers) > n and a.peers[n].samples, f"connection {turn}")
        agent.peers[turn].send(line)
    agent.wait(lambda a: len(a.peers) > len(broken) and a.peers[-1].samples, "the last return")
    assert all(peer.closed for peer in agent.peers[:-1])
    assert app.end() == (0, "")


def test_unknown_keys_and_messages_are_ignored(node: Node, start: Start, serve: Serve) -> None:
    """A newer agent may say more; lines may come in pieces; a new config holds at once."""
    agent = serve(config(60_000))
    app = start(node, ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    peer.send(b'{"t": "pressure", "level": "high"}\n{"t": "config", "v": 1, "interval_ms": 100, "mo')
    peer.send(b're": [1]}\n[]\n{}\n')
    agent.wait(lambda _: len(peer.samples) > 3, "samples at the new interval")
    assert app.end() == (0, "")
    assert len(agent.peers) == 1


def test_the_apps_fake_timers_do_not_reach_it(node: Node, start: Start, serve: Serve) -> None:
    """With time, timers, randomness and file system replaced by what throws, it samples on and reconnects."""
    agent = serve()
    app = start(node, ANSWERS)
    first = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell(
        """
        const no = () => { throw new Error('the reporter used a fake'); };
        const fakes = [[globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval']],
          [require('timers'), ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval']],
          [Date, ['now']], [Math, ['random']], [performance, ['now', 'eventLoopUtilization']],
          [process, ['hrtime', 'memoryUsage']], [JSON, ['parse']],
          [require('fs'), ['writeSync', 'readFileSync', 'readlinkSync']],
          [require('net'), ['connect', 'createConnection']], [require('net').Socket.prototype, ['connect']]];
        for (const [object, names] of fakes) for (const name of names) Object.defineProperty(object, name, {value: no});
        return true
        """
    )
    seen = len(first.samples)
    agent.wait(lambda _: len(first.samples) > seen + 2, "samples among fakes")
    first.close()
    agent.wait(lambda a: len(a.peers) > 1 and len(a.peers[1].samples) > 1, "the return among fakes")
    assert app.end() == (0, "")


def test_a_burst_turns_the_profiler_off(node: Node, start: Start, serve: Serve) -> None:
    """After many collections at once the profiler rests: the next mark-compact is counted, and not weighed."""
    agent = serve()
    app = start(node, "--expose-gc", "--max-semi-space-size=1", ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    app.tell("for (let i = 0; i < 100; i += 1) globalThis.gc({type: 'minor'}); globalThis.gc(); return true")
    app.tell("await new Promise((done) => setTimeout(done, 5)); return true")
    seen = len(peer.samples)
    agent.wait(lambda _: len(peer.samples) > seen + 2, "samples after the burst")
    before = peer.samples[-1]["gc"]["major"]
    app.tell("globalThis.held = Array.from({length: 300000}, (_, i) => ({i})); return true")
    app.tell("globalThis.gc(); return true")
    counted = sum(before["n"])
    after = agent.wait(
        lambda _: [s for s in peer.samples[seen:] if sum(s["gc"]["major"]["n"]) > counted], "the next mark-compact"
    )[-1]
    assert after["gc"]["major"]["freed"] == before["freed"]
    assert after["live"] == pytest.approx(app.tell("return figures()")["memory"]["heapUsed"], abs=3 * 2**20)


def test_ways_to_start(node: Node, start: Start, serve: Serve, tmp_path: Path) -> None:
    """A program from -e, from stdin, from the test runner, and a reporter in a folder with a space and a quote."""
    folder = tmp_path / 'a "folder'
    folder.mkdir()
    shutil.copy(REPORTER, folder / "heapwarden.cjs")
    go = tmp_path / "go"
    look = f"if (require('fs').existsSync({json.dumps(str(go))}))"
    wait = f"const t = setInterval(() => {{ {look} clearInterval(t) }}, 10)"
    (tmp_path / "waits.cjs").write_text(wait)
    in_test = wait.replace("clearInterval(t)", "done(clearInterval(t))")
    (tmp_path / "waits.test.cjs").write_text(f"require('node:test')('waits', (_, done) => {{ {in_test} }})")
    agent = serve()
    quoted = str(folder / "heapwarden.cjs").replace('"', '\\"')
    from_stdin = start(node, "-")
    assert from_stdin.process.stdin
    from_stdin.process.stdin.write(wait)
    from_stdin.process.stdin.close()
    apps = [
        from_stdin,
        start(node, "-e", wait),
        start(node, "--test", "waits.test.cjs"),
        start(node, "waits.cjs", options=f'--require "{quoted}"'),
    ]
    agent.wait(lambda a: len([peer for peer in a.peers if peer.samples]) == 5, "four programs and the runner's child")
    go.touch()
    assert [app.ended() for app in apps] == [(0, "")] * 4


def test_permission_model(node: Node, start: Start, serve: Serve) -> None:
    """Under --permission it reports where it is allowed to connect, and is silent where not."""
    if node.major < 20:  # no such model
        return
    agent = serve()
    permission = ["--permission" if node.major > 20 else "--experimental-permission", "--no-warnings"]
    may_read = [f"--allow-fs-read={path}" for path in (REPORTER, ANSWERS)]
    app = start(node, *permission, *may_read, ANSWERS)
    if node.major >= 26:
        assert app.tell("await new Promise((done) => setTimeout(done, 50)); return true")
        assert not agent.peers
        assert app.end() == (0, "")
        app = start(node, *permission, *may_read, "--allow-net", ANSWERS)
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a sample")[0]
    assert peer.hello is not None
    assert (peer.hello["start"], peer.hello["ns"]) == (0, "")
    assert app.end() == (0, "")
