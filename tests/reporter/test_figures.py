"""What the reporter says is true: against the app's own figures, on every supported major."""

import json
import tomllib
from pathlib import Path

import psutil
import pytest

from fakes.agent_socket import AgentSocket, Message, Peer, Serve, config
from fakes.node_app import APPS, ROOT, Node, Start
from heapwarden.sources.reporter.frames import decode_hello, decode_object, decode_sample

pytestmark = pytest.mark.node
MB = 2**20


def only_peer(agent: AgentSocket) -> Peer:
    """The one reporter, once it has sent a sample."""
    agent.wait(lambda a: a.peers and a.peers[0].samples, "a first sample")
    assert len(agent.peers) == 1
    return agent.peers[0]


def next_sample(agent: AgentSocket, peer: Peer) -> Message:
    """A sample that was certainly begun after this call: the one after the next."""
    seen = len(peer.samples)
    agent.wait(lambda _: len(peer.samples) >= seen + 2, "two more samples")
    return peer.samples[-1]


def check_all(peer: Peer) -> None:
    """Every line keeps the protocol, by the agent's own decoder."""
    hello = decode_hello(decode_object(peer.lines[0]))
    for line in peer.lines[1:]:
        decode_sample(decode_object(line), hello, taken_at=0.0)
    assert [sample["seq"] for sample in peer.samples] == list(range(1, len(peer.samples) + 1))


def counts(sample: Message) -> dict[str, int]:
    """Collections by kind."""
    return {kind: sum(totals["n"]) for kind, totals in sample["gc"].items()}


def test_figures_lie_between_the_apps_own(node: Node, serve: Serve, start: Start) -> None:
    """Nothing is collected between two readings of the app itself, so every figure of a sample lies between them.

    The slack is for V8's sweepers, which go on behind, and the buffers that it cuts objects from.
    """
    agent = serve()
    app = start(node, APPS / "answers.cjs")
    app.tell("globalThis.held = [Array.from({length: 200000}, (_, i) => ({i})), Buffer.alloc(20 << 20, 1)]")
    peer = only_peer(agent)
    for _ in range(20):  # a collection in between is nobody's fault: then once more
        before = app.tell("return figures()")
        sample = next_sample(agent, peer)
        after = app.tell("return figures()")
        if before["collections"] == after["collections"]:
            break
    for name in ("heapUsed", "heapTotal", "external", "arrayBuffers"):
        low, high = sorted((before["memory"][name], after["memory"][name]))
        assert low - MB / 2 <= sample["mem"][name] <= high + MB / 2, name
    assert abs(sample["mem"]["rss"] - after["memory"]["rss"]) < 16 * MB
    assert sample["mem"]["arrayBuffers"] >= 20 * MB
    assert sum(used for _, used, _ in sample["spaces"].values()) == pytest.approx(sample["mem"]["heapUsed"], rel=0.02)
    assert app.end() == (0, "")
    check_all(peer)


def test_every_collection_of_a_synchronous_burst_is_counted(node: Node, serve: Serve, start: Start) -> None:
    """The app counts every entry with an observer of its own: the reporter's counts are the same, kind by kind."""
    agent = serve()
    app = start(node, "--max-semi-space-size=1", APPS / "answers.cjs")
    peer = only_peer(agent)
    app.tell("return burst(400)")
    for _ in range(20):
        before = app.tell("return figures()")["collections"]
        counted = counts(next_sample(agent, peer))
        after = app.tell("return figures()")["collections"]
        if before == after:
            break
    assert counted == before == after
    assert counted["minor"] > 50
    check_all(peer)


def test_values_of_collections(node: Node, serve: Serve, start: Start) -> None:
    """A mark-compact that the app asks for frees what it let go, and what lives after it is what the app holds."""
    agent = serve(config(60_000))
    app = start(node, "--expose-gc", APPS / "answers.cjs")
    peer = only_peer(agent)
    app.tell("globalThis.held = Array.from({length: 300000}, (_, i) => ({i})); return true")
    app.tell("held.length = 0; globalThis.gc(); return true")
    sample = agent.wait(lambda _: [s for s in peer.samples if s["why"] == "gc"], "a sample for the mark-compact")[-1]
    used = app.tell("return figures()")["memory"]["heapUsed"]
    assert sample["gc"]["major"]["freed"] > 5 * MB
    assert sample["live"] == pytest.approx(used, abs=2 * MB)
    check_all(peer)


def test_without_the_profiler(node: Node, serve: Serve, start: Start) -> None:
    """When the agent forbids the profiler, nothing is known of what was freed, and the live set still is."""
    agent = serve(config(60_000, gc_profiler=False))
    app = start(node, "--expose-gc", APPS / "answers.cjs")
    peer = only_peer(agent)
    app.tell("globalThis.held = Array.from({length: 300000}, (_, i) => ({i})); return true")
    app.tell("globalThis.gc(); return true")
    sample = agent.wait(lambda _: [s for s in peer.samples if s["why"] == "gc"], "a sample for the mark-compact")[-1]
    used = app.tell("return figures()")["memory"]["heapUsed"]
    assert {totals["freed"] for totals in sample["gc"].values()} == {None}
    assert sample["live"] == pytest.approx(used, abs=2 * MB)


def test_collections_go_on_counting_while_no_agent_listens(node: Node, serve: Serve, start: Start) -> None:
    """Totals grow across a lost connection by what happened meanwhile, and frames are numbered anew."""
    agent = serve()
    app = start(node, APPS / "answers.cjs", "--max-semi-space-size=1")
    before = counts(next_sample(agent, only_peer(agent)))
    agent.close()
    app.tell("return burst(200)")
    agent = serve()
    peer = agent.wait(lambda a: [p for p in a.peers if p.samples], "the reporter's return")[0]
    own = app.tell("return figures()")["collections"]
    after = counts(next_sample(agent, peer))
    assert peer.samples[0]["seq"] == 1
    assert after["minor"] > before.get("minor", 0)
    assert all(after[kind] >= count for kind, count in own.items())
    check_all(peer)


def test_a_block_right_after_a_sample_shows(node: Node, serve: Serve, start: Start) -> None:
    """Node's histogram forgets at each reset when it last fired; a block in that gap is seen all the same."""
    agent = serve(config(60_000))
    app = start(node, "--expose-gc", APPS / "answers.cjs")
    peer = only_peer(agent)
    app.tell(
        """
        const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
        await sleep(60); globalThis.gc(); await sleep(2);
        const end = Date.now() + 300; while (Date.now() < end); await sleep(2);
        globalThis.gc(); return true
        """
    )
    agent.wait(lambda _: len(peer.samples) >= 3, "samples for two mark-compacts")
    loop = peer.samples[2]["loop"]
    assert loop["max"] >= 250
    assert loop["p50"] <= loop["p99"] <= loop["max"]
    assert 0.5 < loop["elu"] <= 1


def test_hello_tells_who_it_is(node: Node, serve: Serve, start: Start) -> None:
    """Pid, start time and namespace are the kernel's; versions and arguments are the process's; the version ours."""
    agent = serve()
    app = start(node, APPS / "answers.cjs", "x")
    hello = only_peer(agent).hello
    pid = app.process.pid
    stat = Path(f"/proc/{pid}/stat").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert hello is not None
    assert (hello["t"], hello["v"], hello["reporter"], hello["thread"]) == ("hello", 1, version, 0)
    assert (hello["pid"], hello["start"]) == (pid, int(stat[stat.rindex(")") + 2 :].split()[19]))
    assert hello["ns"] == str(Path(f"/proc/{pid}/ns/pid").readlink())
    assert hello["argv"] == [str(node.binary), str(APPS / "answers.cjs")]
    assert hello["node"] == app.tell("return process.versions.node")
    assert hello["v8"] == app.tell("return process.versions.v8")


def test_esm(node: Node, serve: Serve, start: Start, tmp_path: Path) -> None:
    """An app of ES modules with a top-level await reports like any other."""
    script = tmp_path / "app.mjs"
    script.write_text(f"await import({json.dumps(str(APPS / 'answers.cjs'))});\n")
    agent = serve()
    app = start(node, script)
    peer = only_peer(agent)
    assert app.tell("return burst(10)")
    next_sample(agent, peer)
    assert peer.hello is not None
    assert peer.hello["argv"][1] == str(script)
    assert app.end() == (0, "")
    check_all(peer)


def test_cluster_workers(node: Node, serve: Serve, start: Start, tmp_path: Path) -> None:
    """The primary and each worker report for themselves, under their own pids, and the workers end when told."""
    script = tmp_path / "cluster.cjs"
    script.write_text(
        "const cluster = require('cluster'); const http = require('http');\n"
        "if (cluster.isPrimary) { cluster.fork(); cluster.fork(); process.stdin.resume(); \n"
        "  process.stdin.on('end', () => cluster.disconnect()); }\n"
        "else http.createServer((_, r) => r.end()).listen(0, '127.0.0.1');\n"
    )
    agent = serve()
    app = start(node, script)
    agent.wait(lambda a: len([p for p in a.peers if p.samples]) == 3, "three processes")
    pids = {peer.hello["pid"] for peer in agent.peers if peer.hello}
    children = {child.pid for child in psutil.Process(app.process.pid).children()}
    assert pids == children | {app.process.pid}
    assert {peer.hello["pid"] for peer in agent.peers if peer.hello and peer.hello["cluster"]} == children
    assert app.end() == (0, "")
    for peer in agent.peers:
        check_all(peer)


def test_worker_threads(node: Node, serve: Serve, start: Start) -> None:
    """Each thread's isolate reports its own heap and limits, and its connection ends with it."""
    agent = serve()
    app = start(node, APPS / "answers.cjs")
    only_peer(agent)
    app.tell(
        """
        const { Worker } = require('worker_threads');
        globalThis.held = Array.from({length: 500000}, (_, i) => ({i}));
        const source = 'setInterval(() => {}, 1000); require("worker_threads").parentPort.unref()';
        globalThis.small = new Worker(source, {eval: true,
          resourceLimits: {maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 6}});
        globalThis.plain = new Worker('require("worker_threads").parentPort.once("message", () => {})', {eval: true});
        globalThis.plainEnds = new Promise((done) => plain.once('exit', done));
        return true;
        """
    )
    agent.wait(lambda a: len([p for p in a.peers if p.samples]) == 3, "three isolates")
    main, *workers = sorted(agent.peers, key=lambda peer: peer.hello["thread"] if peer.hello else 0)
    small = workers[0]
    assert small.hello is not None
    assert small.hello["semi"] == 2 * MB
    assert small.samples[0]["heap"]["limit"] - 3 * small.hello["semi"] == 64 * MB
    assert small.samples[0]["mem"]["heapUsed"] < next_sample(agent, main)["mem"]["heapUsed"] / 2
    assert app.tell("plain.postMessage('end'); return plainEnds") == 0
    assert app.tell("return small.terminate()") == 1
    agent.wait(lambda _: all(worker.closed for worker in workers), "the ends of both connections")
    next_sample(agent, main)
    assert app.end() == (0, "")
    for peer in agent.peers:
        check_all(peer)
