"""`semi`: heap_size_limit less three of them is the old space's limit, whatever options, threads and containers say."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.agent_socket import AgentSocket, Peer, Serve, config
from fakes.node_app import APPS, REPORTER, Node, Start

pytestmark = pytest.mark.node
MB = 2**20
ANSWERS = APPS / "answers.cjs"
CGROUP_V1 = Path("/sys/fs/cgroup/memory")

IN_A_WORKER = """
const { Worker } = require('worker_threads');
globalThis.worker = new Worker('setInterval(() => {}, 1000); require("worker_threads").parentPort.postMessage(' +
  'require("worker_threads").resourceLimits)', {eval: true, resourceLimits: %s});
return new Promise((done) => worker.once('message', done));
"""


def old_space_mb(peer: Peer) -> float:
    """The old space's limit as the agent will reckon it."""
    assert peer.hello is not None
    return float(peer.samples[0]["heap"]["limit"] - 3 * peer.hello["semi"]) / MB


def reporting(agent: AgentSocket, thread: int = 0, pid: int | None = None) -> Peer:
    """The connection of one thread, once it has sent a sample."""

    def find(agent: AgentSocket) -> Peer | None:
        for peer in agent.peers:
            if peer.samples and peer.hello and peer.hello["thread"] == thread and pid in (None, peer.hello["pid"]):
                return peer
        return None

    return agent.wait(find, f"samples of thread {thread}")


@pytest.fixture
def default_old_mb(node: Node, start: Start) -> float:
    """The limit that Node itself gives the old space here: a worker thread without limits is told it."""
    limits = start(node, ANSWERS, HEAPWARDEN_SOCKET="").tell(IN_A_WORKER % "undefined")
    return float(limits["maxOldGenerationSizeMb"])


CASES = [
    # NODE_OPTIONS, command line, old space in MB (None: the default), semi-space in MB (None: the default)
    ("", "", None, None),
    ("", "--max-old-space-size=64", 64, None),
    ("", "--max_old_space_size=300", 300, None),
    ("--max-old-space-size=300", "", 300, None),
    ("--max-old-space-size=300", "--max-old-space-size=200", 200, None),
    ("", "--max-semi-space-size=8", None, 8),
    ("", "--max-semi-space-size=24", None, 32),
    ('"--max_semi-space_size=3"', "", None, 4),
    ("--max-semi-space-size=2", "--max-semi-space-size=1", None, 1),
    ("--max-semi-space-size=64", "--max-old-space-size=2048", 2048, 64),
]


def test_options(node: Node, serve: Serve, start: Start, default_old_mb: float) -> None:
    """Options of both places, in both spellings, rounded as V8 rounds them; the command line wins."""
    agent = serve(config(60_000))
    apps = [start(node, *line.split(), ANSWERS, options=f"{env} --require {REPORTER}") for env, line, _, _ in CASES]
    for app, (env, line, old, semi) in zip(apps, CASES, strict=True):
        peer = reporting(agent, pid=app.process.pid)
        assert old_space_mb(peer) == (old or default_old_mb), (env, line)
        assert peer.hello is not None
        assert semi is None or peer.hello["semi"] == semi * MB, (env, line)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(("", "{maxOldGenerationSizeMb: 64}", 64, None), id="old space"),
        pytest.param(("", "{maxYoungGenerationSizeMb: 6}", None, 2), id="young"),
        pytest.param(("", "{maxOldGenerationSizeMb: 100, maxYoungGenerationSizeMb: 10}", 100, 4), id="both, rounded"),
        pytest.param(("--max-old-space-size=300", "{maxOldGenerationSizeMb: 64}", 300, None), id="V8's option wins"),
        pytest.param(("--max-semi-space-size=8", "{maxYoungGenerationSizeMb: 6}", None, 8), id="also for the young"),
    ],
)
def test_worker_threads(
    node: Node, serve: Serve, start: Start, default_old_mb: float, case: tuple[str, str, int | None, int | None]
) -> None:
    """A thread's resourceLimits hold where no option of V8's says otherwise."""
    option, limits, old, semi = case
    agent = serve(config(60_000))
    app = start(node, *option.split(), ANSWERS)
    app.tell(IN_A_WORKER % limits)
    peer = reporting(agent, thread=1)
    assert old_space_mb(peer) == (old or default_old_mb)
    assert peer.hello is not None
    assert semi is None or peer.hello["semi"] == semi * MB


@pytest.fixture
def small_container() -> Iterator[Path]:
    """A cgroup with a memory limit of 1 GiB, where Node makes semi-spaces smaller than a major's usual ones."""
    group = CGROUP_V1 / f"heapwarden-test-{os.getpid()}"
    if not os.access(CGROUP_V1, os.W_OK) or not (CGROUP_V1 / "memory.limit_in_bytes").exists():
        pytest.skip("needs a writable memory controller of cgroup v1")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(1024 * MB))
    yield group
    group.rmdir()


def test_in_a_container(small_container: Path, node: Node, serve: Serve, start: Start) -> None:
    """Node sizes both generations by the container's memory; the difference is right there too."""
    agent = serve(config(60_000))
    app = start(node, ANSWERS, through=small_container / "cgroup.procs")
    limits = app.tell(IN_A_WORKER % "undefined")
    peer = reporting(agent)
    assert old_space_mb(peer) == limits["maxOldGenerationSizeMb"]
    assert peer.hello is not None
    assert peer.hello["semi"] == limits["maxYoungGenerationSizeMb"] * MB // 3
    app.tell("return worker.terminate()")
    assert app.end() == (0, "")
