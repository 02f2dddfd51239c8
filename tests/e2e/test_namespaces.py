"""PID namespaces, real ones: who the kernel says is there, and who only says so himself."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, DEMO, HEAPWARDEN, AgentHandle, agent, node, program, reporting

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make PID namespaces")

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[AgentHandle]:
    """An agent in this namespace."""
    with agent(tmp_path, "sample_interval: 250ms\n") as started:
        yield started


def test_an_app_in_an_inner_namespace_is_known_by_its_outer_pid(outside: AgentHandle) -> None:
    """A container as a node agent sees it: the app takes itself for pid 1, the kernel knows better."""
    with program((*UNSHARE, node(22), DEMO, "0"), outside.environment()) as started:
        started.line("demo app on ")
        (one,) = wait_for(outside.processes)
        wait_for(lambda: outside.metric("heapwarden_heap_used_bytes", process="server", worker="0", thread="main"))
        assert one["pid"] > 1
        wait_for(lambda: (outside.metric("heapwarden_rss_bytes", process="server", worker="0") or 0) > 2**20)
        assert outside.metric("heapwarden_agent_frames_total", result="pid_mismatch") is None


def test_apps_that_the_agent_can_not_see_report_all_the_same(tmp_path: Path) -> None:
    """A sidecar without a shared PID namespace: SO_PEERCRED reads 0, heap figures come, two apps stay two."""
    socket = tmp_path / "agent.sock"
    inner = (*HEAPWARDEN, "watch", "--socket", socket, "--listen", "127.0.0.1:0", "--log-format", "json")
    with program((*UNSHARE, *inner)) as started:
        port = json.loads(started.line('"port":'))["port"]
        hidden = AgentHandle(started, socket, f"http://127.0.0.1:{port}")
        with (
            program((node(22), DEMO, "0"), reporting(socket)) as one,
            program((node(20), DEMO, "0"), reporting(socket)),
        ):
            wait_for(lambda: len(hidden.processes()) == 2)
            for worker in ("0", "1"):
                labels = {"process": "server", "worker": worker}
                wait_for(lambda labels=labels: hidden.metric("heapwarden_heap_used_bytes", **labels, thread="main"))  # type: ignore[misc]  mypy can't see lambda defaults
                assert hidden.metric("heapwarden_rss_bytes", **labels) is None
                assert hidden.metric("heapwarden_process_start_time_seconds", **labels)
            one.signal(9)
            one.wait()
            wait_for(lambda: len(hidden.processes()) == 1, 60)


FULL = "const held = Buffer.alloc(210 * 1048576, 1); setInterval(() => held[0], 1000)"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param((node(22), APPS / "restartable.cjs"), "SIGTERM", id="a handler"),
        pytest.param((*UNSHARE, node(22), APPS / "restartable.cjs"), "SIGTERM 1 ", id="PID 1 with a handler"),
        pytest.param((*UNSHARE, node(22), "-e", FULL), "ended 143", id="PID 1 without, which the kernel shields"),
    ],
)
def test_an_app_that_the_agent_can_not_see_is_restarted_by_its_own_reporter(
    tmp_path: Path, command: tuple[str | Path, ...], says: str
) -> None:
    """No pid to signal: the reporter raises SIGTERM in its process, by Node's own figure of resident memory."""
    socket, config = tmp_path / "agent.sock", tmp_path / "heapwarden.yaml"
    rules = "max_memory: {above: 200M, for: 0s}, min_uptime: 0s, drain: 0s, cooldown: 10m"
    config.write_text(f"state_dir: {tmp_path}/state\ndefaults: {{restart: {{{rules}}}}}\n")
    options = ("--config", config, "--socket", socket, "--listen", "127.0.0.1:0", "--log-format", "json")
    with program((*UNSHARE, *HEAPWARDEN, "watch", *options)) as started:
        started.line('"port":')
        again = ("sh", "-c", 'while :; do "$@" & wait $!; echo ended $?; done', "sh", *command)
        with program(again, reporting(socket, FILL_MB="210"), start_new_session=True) as loop:
            try:
                loop.line(says, 60)
                started.line("/0: restarted:", 90)
                started.line("asked to end by reporter")
            finally:
                os.killpg(loop.pid, signal.SIGKILL)
