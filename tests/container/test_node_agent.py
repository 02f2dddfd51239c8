"""One agent for a node, neither root nor the app's user: with the machine's PID namespace and its cgroups."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from fakes.conditions import wait_for
from fakes.container_images import AGENT, NODE
from fakes.machine import ROOT
from fakes.podman import ContainedAgent, Network, Podman, contained_agent, own_cgroup
from heapwarden.reporter.install import install

MIB = 2**20
APP_USER, AGENT_USER = 1000, 10001
LOCKED = ("--network", "none", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
SETTINGS = """
socket_mode: "0666"
sample_interval: 250ms
unmatched: ignore
processes:
  - name: shop
    match: {command: '/app/server\\.js'}
"""


@dataclass(frozen=True)
class Node:
    """A machine with one app and one agent, in containers of their own."""

    app: str
    pod: str
    """Its uid, as the app's cgroup has it."""
    agent: ContainedAgent


@pytest.fixture
def node(images: Podman, tmp_path: Path) -> Iterator[Node]:
    """The app in a cgroup as the kubelet names it, the agent as the DaemonSet has it."""
    install(tmp_path / "reporter")
    (tmp_path / "socket").mkdir()
    os.chown(tmp_path / "socket", AGENT_USER, AGENT_USER)
    (tmp_path / "heapwarden.yaml").write_text(SETTINGS)
    pod = str(uuid4())
    with (
        own_cgroup(f"/kubepods/burstable/pod{pod}") as cgroup,
        images.container(*LOCKED, *_app(tmp_path, cgroup), NODE, "node", "/app/server.js") as app,
        images.container(*LOCKED, *_agent(tmp_path), "--pid", "host", AGENT) as beside,
        contained_agent(images, beside) as agent,
    ):
        yield Node(app, pod, agent)


def _app(folder: Path, cgroup: str) -> tuple[str, ...]:
    return (
        *("--user", f"{APP_USER}:{APP_USER}", "--restart", "always"),
        *("--memory", f"{200 * MIB}", "--cgroup-parent", cgroup),
        *("--env", "NODE_OPTIONS=--require /reporter/heapwarden.cjs --max-old-space-size=100"),
        *("--env", "HEAPWARDEN_SOCKET=/run/heapwarden/agent.sock"),
        *("--volume", f"{folder}/reporter:/reporter:ro", "--volume", f"{folder}/socket:/run/heapwarden:ro"),
        *("--volume", f"{ROOT}/config/examples/demo:/app:ro"),
    )


def _agent(folder: Path) -> tuple[str, ...]:
    return (
        *("--env", "HEAPWARDEN_NODE_NAME=here"),
        *("--volume", f"{folder}/socket:/run/heapwarden", "--volume", "/sys/fs/cgroup:/host/sys/fs/cgroup:ro"),
        *(
            "--volume",
            f"{folder}/heapwarden.yaml:/etc/heapwarden/heapwarden.yaml:ro",
            "--volume",
            "/var/lib/heapwarden",
        ),
    )


def test_figures_of_another_users_container(node: Node) -> None:
    """All of them, and whose they are; only its environment stays closed."""
    wait_for(lambda: [one for one in node.agent.processes() if (one["setup"] or {}).get("heapKnown")], 60)
    (one,) = node.agent.processes()
    assert one["uid"] == APP_USER
    assert one["containerLimit"] == 200 * MIB
    assert one["heapEffectiveLimit"] == 100 * MIB
    assert all(one["sources"].values())
    assert [problem["code"] for problem in one["problems"]] == ["environ_unreadable"]
    assert one["pod"]["uid"] == node.pod
    assert node.app.startswith(one["pod"]["container"])


def test_a_kill_by_the_kernel_is_named(node: Node, images: Podman) -> None:
    """By the node's cgroups; and its successor is taken for what it is."""
    (first,) = wait_for(lambda: [one["pid"] for one in node.agent.processes() if one["containerLimit"]], 60)
    with contextlib.closing(Network(images.pid(node.app))) as network, contextlib.suppress(ConnectionError):
        wait_for(lambda: _ask(network, "/memory"))
        network.get("http://127.0.0.1:3000/buffers?mib=300")  # there is no answer
    wait_for(lambda: _exits(node.agent), 60)
    (labels,) = _exits(node.agent)
    assert (labels["reason"], labels["pod"]) == ("cgroup_oom", node.pod)
    wait_for(lambda: [one for one in node.agent.processes() if one["connected"] and one["pid"] != first], 60)


def _exits(agent: ContainedAgent) -> list[dict[str, str]]:
    """Labels of what has ended."""
    return [dict(labels) for name, labels in agent.metrics() if name == "heapwarden_exits_total"]


def _ask(network: Network, path: str) -> bool:
    with contextlib.suppress(OSError):
        return network.get(f"http://127.0.0.1:3000{path}").status == 200
    return False
