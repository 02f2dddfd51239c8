"""Real agents and Node apps beside an API server that speaks the protocol: evictions, and one replica at a time."""

import os
import re
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fakes.conditions import wait_for
from fakes.kubernetes import ApiServer, api_server
from fakes.kubernetes_objects import Cluster, Json
from fakes.machine import APPS, ROOT, AgentHandle, Program, agent, node, program

AGAIN = 'while :; do "$@" & wait $!; done'
"""A supervisor at its smallest, in place of whoever brings pods and containers back."""
RULES = "max_memory: {above: 200M, for: 0s}, min_uptime: 0s, drain: 1s, cooldown: 10m, max_cooldown: 10m"
UIDS = re.search(r"pod([0-9a-f_-]{36})", Path("/proc/self/cgroup").read_text())
METADATA = {"uid": UIDS[1].replace("_", "-")} if UIDS else {}
"""Where the tests themselves run in a pod, the kernel says in which."""


def documented_role() -> list[Json]:
    """The rules of the Role that the guide gives: they must do."""
    guide = (ROOT / "docs" / "kubernetes-api.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)]
    (rules,) = [block["rules"] for block in blocks if block.get("kind") == "Role"]
    return list(rules)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that lets agents do what the guide says, and nothing else."""
    with api_server(Cluster(rules=documented_role())) as listening:
        yield listening


@contextmanager
def replica(
    server: ApiServer, folder: Path, mark: str, rules: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[AgentHandle, Json]]:
    """An agent in a pod of its own, that watches what has ``mark`` in its command line."""
    (folder / mark).mkdir(exist_ok=True)
    pod = server.cluster.pods.get(("apps", mark)) or server.cluster.add_pod(mark, metadata=METADATA)
    with monkeypatch.context() as patch:
        for name, value in server.environment(folder / "account", pod).items():
            patch.setenv(name, value)
        settings = f"defaults: {{restart: {{{RULES}, {rules}}}}}\n"
        with agent(folder / mark, settings, "--command", f"restartable.*{mark}") as handle:
            yield handle, pod


@contextmanager
def leaky(handle: AgentHandle, mark: str) -> Iterator[Program]:
    """An app over its limit, that is brought back."""
    command = ("sh", "-c", AGAIN, "sh", node(22), APPS / "restartable.cjs", mark)
    with program(command, handle.environment(FILL_MB="210"), start_new_session=True) as started:
        try:
            yield started
        finally:
            os.killpg(started.pid, signal.SIGKILL)


def told(folder: Path, kind: str = "restart") -> list[tuple[str, float, str]]:
    """What the journal has of restarts: what, when, and the sentence."""
    with sqlite3.connect(f"file:{folder / 'state' / 'journal.sqlite3'}?mode=ro", uri=True) as database:
        try:
            rows = database.execute("SELECT what, wall, text FROM events WHERE kind = ? ORDER BY rowid", (kind,))
            return rows.fetchall()
        except sqlite3.OperationalError:  # nothing is in it yet
            return []


def done(folder: Path) -> bool:
    """Whether a restart is over."""
    return any(what == "done" for what, _, _ in told(folder))


def test_of_two_replicas_that_want_it_at_once_one_is_restarted_at_a_time(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits, serves, and says for whom; it goes when the first one's successor serves."""
    lease = "coordinate: {lease: api-restarts, max_unavailable: 1}"
    marks = ("api-1", "api-2")
    # Neither agent can have a place before both want one.
    server.fail("lease", status=503, retry_after=1, times=1_000_000)
    with (
        replica(server, tmp_path, marks[0], lease, monkeypatch) as (first, _),
        replica(server, tmp_path, marks[1], lease, monkeypatch) as (second, _),
        leaky(first, marks[0]),
        leaky(second, marks[1]),
    ):
        for handle in (first, second):
            wait_for(lambda handle=handle: _held(handle) == "coordination", 60)  # type: ignore[misc]
        assert not any(told(tmp_path / mark) for mark in marks)
        server.faults.clear()
        wait_for(lambda: all(done(tmp_path / mark) for mark in marks), 90)
        wait_for(lambda: server.cluster.holder("api-restarts") == "", 60)
    spans = sorted((told(tmp_path / mark)[0][1], told(tmp_path / mark)[-1][1]) for mark in marks)
    assert spans[0][1] <= spans[1][0]
    holders = [one.holder for one in server.cluster.written]
    changes = [holder for place, holder in enumerate(holders) if place == 0 or holders[place - 1] != holder]
    assert [holder.split("/")[0] for holder in changes] in (["api-1", "", "api-2", ""], ["api-2", "", "api-1", ""])


def _held(handle: AgentHandle) -> str | None:
    """The code of what stands against the only process's restart."""
    return next((one["held"]["code"] for one in handle.processes() if one["held"]), None)


def test_a_pod_is_evicted_once_its_disruption_budget_allows_it(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it serves, undrained, and says why; then it is asked to end by the kubelet alone."""
    server.cluster.budget = 0
    kubelet = Kubelet(server)
    with (
        replica(server, tmp_path, "api-1", "method: evict, grace: 20s", monkeypatch) as (handle, pod),
        leaky(handle, "api-1") as app,
    ):
        kubelet.pids = [int(app.line("listening").split()[1])]
        wait_for(lambda: _held(handle) == "disruption_budget", 60)
        wait_for(lambda: server.asked("eviction.*dryRun=All") >= 2, 60)
        assert handle.get("/readyz").status == 200
        assert told(tmp_path / "api-1") == []
        assert server.cluster.evictions == []
        server.cluster.budget = 1
        wait_for(lambda: done(tmp_path / "api-1"), 90)
        assert server.cluster.evictions == [(pod["metadata"]["uid"], 20)]
        assert sum("SIGTERM" in line for line in app.out) == 1
        whats = [what for what, _, _ in told(tmp_path / "api-1")]
        assert list(dict.fromkeys(whats)) == ["drain", "terminate", "successor", "done"]
        assert any("429 Cannot evict pod" in text for _, _, text in told(tmp_path / "api-1", "held"))


class Kubelet:
    """Ends those processes of an evicted pod that it was told of."""

    def __init__(self, server: ApiServer) -> None:
        """Listen to evictions."""
        self.pids: list[int] = []
        server.cluster.on_evicted = self.evicted

    def evicted(self, _pod: Json, _grace: int) -> None:
        """After the API has answered."""
        threading.Timer(0.2, lambda: [os.kill(pid, signal.SIGTERM) for pid in self.pids]).start()


def test_an_agent_that_goes_with_its_pod_is_followed_by_one_that_closes_the_restart(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state outlives the pod: the next finds that the process has ended as it was asked to, and closes it."""
    kubelet = Kubelet(server)
    rules = "method: evict, coordinate: api-restarts"
    with replica(server, tmp_path, "api-1", rules, monkeypatch) as (handle, pod), leaky(handle, "api-1") as app:
        kubelet.pids = [handle.program.pid, int(app.line("listening").split()[1])]
        assert handle.program.wait(60) == 0
        assert [uid for uid, _ in server.cluster.evictions] == [pod["metadata"]["uid"]]
        assert not done(tmp_path / "api-1")
        assert server.cluster.holder("api-restarts") not in (None, "")
        server.cluster.remove_pod("api-1")
        with replica(server, tmp_path, "api-1", rules, monkeypatch):
            wait_for(lambda: done(tmp_path / "api-1"), 90)
            wait_for(lambda: server.cluster.holder("api-restarts") == "", 60)
        assert len(server.cluster.evictions) == 1
        exits = [text for what, _, text in told(tmp_path / "api-1", "exit") if what == "memory_restart"]
        assert len(exits) == 1
