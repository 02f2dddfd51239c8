"""Two containers without a pod, each in a cgroup namespace of its own, as engines make them on cgroup v2."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.container_images import AGENT, NODE
from fakes.machine import ROOT
from fakes.podman import ContainedAgent, Podman, contained_agent
from heapwarden.reporter.install import install

MIB = 2**20
USER = 10001
LABELS = {"process": "server", "worker": "0"}
OWN = ("--cgroupns", "private", "--network", "none", "--read-only", "--cap-drop", "all", "--user", f"{USER}:{USER}")


@pytest.fixture
def agent(images: Podman, tmp_path: Path) -> Iterator[ContainedAgent]:
    """Beside an app whose PID namespace it shares, by `--pid container:NAME`."""
    install(tmp_path)
    os.chown(tmp_path, USER, USER)
    shared = ("--volume", f"{tmp_path}:/run/heapwarden")
    environment = (
        "NODE_OPTIONS=--require /run/heapwarden/heapwarden.cjs",
        "HEAPWARDEN_SOCKET=/run/heapwarden/agent.sock",
    )
    app = (*shared, *(part for one in environment for part in ("--env", one)), "--memory", f"{200 * MIB}")
    demo = ("--volume", f"{ROOT}/config/examples/demo:/app:ro")
    with (
        images.container(*OWN, *app, *demo, NODE, "node", "/app/server.js") as started,
        images.container(*OWN, *shared, "--memory", f"{100 * MIB}", "--pid", f"container:{started}", AGENT) as beside,
        contained_agent(images, beside) as running,
    ):
        namespaces = {images("exec", one, "readlink", "/proc/self/ns/cgroup") for one in (started, beside)}
        assert len(namespaces | {str(Path("/proc/self/ns/cgroup").readlink())}) == 3
        yield running


def test_a_neighbours_limit_is_found_across_cgroup_namespaces(agent: ContainedAgent) -> None:
    """Through the app's own mounts; neither the agent's limit nor the machine's memory is taken for it."""
    assert wait_for(lambda: agent.metric("heapwarden_container_limit_bytes", **LABELS), 60) == 200 * MIB
    memory = agent.metric("heapwarden_container_memory_bytes", **LABELS) or 0
    assert 5 * MIB < memory < 200 * MIB
    wait_for(lambda: agent.metric("heapwarden_heap_used_bytes", **LABELS, thread="main"), 60)
