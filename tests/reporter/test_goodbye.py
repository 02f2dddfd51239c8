"""The last thing that a process says of itself: the code with which it is about to end, where it ends by itself."""

import signal

import pytest

from fakes.agent_socket import AgentSocket, Message, Peer, Serve, config
from fakes.node_app import APPS, Node, Start

pytestmark = pytest.mark.node
ANSWERS = APPS / "answers.cjs"
LATER = "setTimeout(() => {{ {} }}, 1); return true"


def with_bye() -> Message:
    """The configuration of an agent that wants to hear it."""
    return {**config(), "bye": True}


def connected(agent: AgentSocket) -> Peer:
    """The newest connection, once it has sent a sample."""
    found = agent.wait(lambda a: a.peers[-1] if a.peers and a.peers[-1].samples else None, "a sample")
    assert isinstance(found, Peer)
    return found


def goodbyes(agent: AgentSocket, peer: Peer) -> list[int]:
    """Codes that were said, once the connection is over; nothing comes after them."""
    agent.wait(lambda _: peer.closed, "the end of the connection")
    codes = [line["code"] for line in peer.samples if line["t"] == "bye"]
    assert not codes or peer.samples[-1]["t"] == "bye"
    return codes


@pytest.mark.parametrize(
    ("how", "code"),
    [
        pytest.param("process.stdin.destroy()", 0, id="nothing left to do"),
        pytest.param("process.exit(7)", 7, id="exit"),
        pytest.param("process.exit(-1)", 255, id="a code that the kernel cuts"),
        pytest.param("process.exitCode = 3; process.stdin.destroy()", 3, id="exit code set"),
        pytest.param("process.on('SIGTERM', () => process.exit(0)); process.kill(process.pid)", 0, id="handled signal"),
    ],
)
def test_the_code_is_what_the_kernel_says(node: Node, serve: Serve, start: Start, how: str, code: int) -> None:
    """Whichever way an app ends by itself."""
    agent = serve(with_bye())
    app = start(node, ANSWERS)
    peer = connected(agent)
    app.tell(LATER.format(how))
    assert app.ended() == (code, "")
    assert goodbyes(agent, peer) == [code]


def test_an_uncaught_exception_is_a_crash_with_a_code(node: Node, serve: Serve, start: Start) -> None:
    """It has a code, and so differs from an end by a signal."""
    agent = serve(with_bye())
    app = start(node, ANSWERS)
    peer = connected(agent)
    app.tell(LATER.format("throw new Error('the app')"))
    code, stderr = app.ended()
    assert (code, goodbyes(agent, peer)) == (1, [1])
    assert "Error: the app" in stderr
    assert "heapwarden" not in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_killed_says_nothing(node: Node, serve: Serve, start: Start, number: signal.Signals) -> None:
    """Silence is what tells a signal from an exit."""
    agent = serve(with_bye())
    app = start(node, ANSWERS)
    peer = connected(agent)
    app.process.send_signal(number)
    assert app.ended() == (-number, "")
    assert goodbyes(agent, peer) == []


def test_an_exit_listener_of_the_app_may_change_the_code(node: Node, serve: Serve, start: Start) -> None:
    """The app's own listener, there before the agent answered, has the last word."""
    agent = serve(with_bye())
    script = "process.on('exit', () => { process.exitCode = 9; }); setTimeout(() => {}, 60000).ref()"
    app = start(node, "-e", f"{script}; process.stdin.on('data', () => process.exit(1))")
    peer = connected(agent)
    assert app.process.stdin
    app.process.stdin.write("x\n")
    app.process.stdin.flush()
    assert app.ended() == (9, "")
    assert goodbyes(agent, peer) == [9]


def test_it_is_one_listener_that_the_app_may_remove(node: Node, serve: Serve, start: Start) -> None:
    """Nothing else of the app's listeners changes; without ours it ends as ever, unsaid."""
    agent = serve(with_bye())
    app = start(node, ANSWERS)
    peer = connected(agent)
    assert app.tell("return process.listenerCount('exit')") == 1
    assert app.tell("process.removeAllListeners('exit'); return process.listenerCount('exit')") == 0
    assert app.end() == (0, "")
    assert goodbyes(agent, peer) == []


def test_a_worker_thread_does_not_speak_for_the_process(node: Node, serve: Serve, start: Start) -> None:
    """It ends with a code of its own."""
    agent = serve(with_bye())
    app = start(node, ANSWERS)
    connected(agent)
    run = "require('worker_threads').parentPort.once('message', () => process.exit(5))"
    app.tell(f'globalThis.other = new (require("worker_threads").Worker)("{run}", {{eval: true}}); return true')
    worker = agent.wait(lambda a: a.peers[1] if len(a.peers) > 1 and a.peers[1].samples else None, "the worker thread")
    app.tell("other.postMessage(1); return true")
    assert goodbyes(agent, worker) == []
    assert app.end() == (0, "")


def test_an_agent_that_has_gone_hears_none(node: Node, serve: Serve, start: Start) -> None:
    """It costs the app nothing."""
    agent = serve(with_bye())
    app = start(node, ANSWERS)
    connected(agent)
    agent.close()
    assert app.end() == (0, "")
