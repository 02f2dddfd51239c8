"""A heap close to its limit, where an observer of collections would make V8 collect without end."""

import pytest

from fakes.agent_socket import AgentSocket, Peer, Serve, config
from fakes.node_app import APPS, App, Node, Start

pytestmark = pytest.mark.node

FILL = """
globalThis.held = [];
for (let mb = 0; mb < 45; mb += 1) {
  for (let i = 0; i < 1000; i += 1) held.push({ payload: new Array(120).fill(i) });
  await new Promise((done) => setTimeout(done, 2));
}
return true
"""
"""45 MB of arrays, a megabyte a turn, so that the new space grows as in any busy app."""


@pytest.fixture
def cramped(node: Node, serve: Serve, start: Start) -> tuple[AgentSocket, Peer, App]:
    """45 of 64 MB are in use for good. The app counts by the profiler: an observer of its own would be to blame too."""
    agent = serve(config(100))
    app = start(node, "--expose-gc", "--max-old-space-size=64", APPS / "answers.cjs", COUNT_BY="profiler")
    agent.wait(lambda a: a.peers and a.peers[0].samples, "a first sample")
    app.tell(FILL)
    return agent, agent.peers[0], app


def majors(app: App) -> int:
    """Mark-compacts by the app's own count."""
    return int(app.tell("return figures()")["collections"].get("major", 0))


def reported(peer: Peer) -> int:
    """Mark-compacts in the newest sample."""
    return sum(peer.samples[-1]["gc"].get("major", {"n": [0]})["n"])


def more_samples(agent: AgentSocket, peer: Peer, number: int) -> None:
    """Wait for so many."""
    seen = len(peer.samples)
    agent.wait(lambda _: len(peer.samples) >= seen + number, f"{number} more samples")


def test_an_idle_heap_is_left_in_peace(cramped: tuple[AgentSocket, Peer, App]) -> None:
    """Each sample may cost it two mark-compacts or so. With an observer there are 40 to 60 a second, without end."""
    agent, peer, app = cramped
    more_samples(agent, peer, 2)
    before = majors(app)
    more_samples(agent, peer, 10)
    assert majors(app) - before < 10 * 3


def test_no_collection_is_lost_on_the_way_in_and_out(cramped: tuple[AgentSocket, Peer, App]) -> None:
    """The observer hands over to the profiler and takes over again, and every mark-compact is counted once."""
    agent, peer, app = cramped
    app.tell("for (let i = 0; i < 10; i += 1) globalThis.gc(); return true")
    for _ in range(2):
        before = majors(app)
        more_samples(agent, peer, 2)
        counted = reported(peer)
        assert before <= counted <= majors(app)
        app.tell("held.length = 0; globalThis.gc(); return true")
        more_samples(agent, peer, 14)  # the observer is back after ten in which there was room
    app.tell("globalThis.gc(); return true")
    assert agent.wait(
        lambda _: peer.samples[-1]["why"] == "gc", "a sample for a mark-compact, as only an observer gives"
    )


def test_counting_changes_hands_in_the_middle(node: Node, serve: Serve, start: Start) -> None:
    """With a mark-compact every few milliseconds the profiler takes over and gives back: none is missed or doubled."""
    agent = serve(config(100))
    app = start(node, "--expose-gc", APPS / "answers.cjs", COUNT_BY="profiler")
    peer = agent.wait(lambda a: a.peers if a.peers and a.peers[0].samples else None, "a first sample")[0]
    app.tell("globalThis.sleep = (ms) => new Promise((done) => setTimeout(done, ms)); return 1")
    app.tell("for (let i = 0; i < 200; i += 1) { globalThis.gc(); await sleep(4); } return 1")
    for _ in range(20):
        before = majors(app)
        more_samples(agent, peer, 2)
        counted = reported(peer)
        if before == majors(app):
            break
    assert counted == before
    assert before >= 200
