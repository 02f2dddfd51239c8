"""The files of ``deploy/pm2`` and ``deploy/supervisor`` with a real PM2 and a real supervisor."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from fakes.conditions import wait_for
from fakes.machine import DEMO, HEAPWARDEN, ROOT, AgentHandle, agent, free_port, get, node, program
from fakes.pm2 import pm2
from heapwarden.reporter.install import SCRIPT

SECONDS = 90
QUICK_PM2 = "max_memory_restart: {above: 300M, for: 0s}\n      min_uptime: 1s\n      drain: 1s\n"


def _shipped(name: str, changes: Mapping[str, object]) -> str:
    """A file with places of this machine in it; each change must be to something that is there."""
    text = (ROOT / "deploy" / name).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, str(new))
    return text


def _places() -> dict[str, object]:
    return {"/srv/api/server.js": DEMO, "/usr/local/lib/heapwarden/heapwarden.cjs": SCRIPT}


def _pids(watcher: AgentHandle) -> set[int]:
    """Of those called ``api`` that have told their heap."""
    return {one["pid"] for one in watcher.processes() if one["process"] == "api" and one["memoryUsage"]["heapUsed"]}


def test_pm2(tmp_path: Path) -> None:
    """Both workers of the cluster report; the one that grows too large is reloaded, and its sibling is left alone."""
    config = _shipped("pm2/heapwarden.yaml", {"max_memory_restart: 300M\n": QUICK_PM2})
    with agent(tmp_path, config, "--log-level", "info") as watcher, TemporaryDirectory(prefix="eco-") as name:
        ecosystem = Path(name) / "ecosystem.config.cjs"
        port = free_port()
        places = {
            **_places(),
            "kill_timeout: 30000": "kill_timeout: 3000",
            "instances: 2,": f"instances: 2, env: {{ PORT: '{port}' }},",
        }
        ecosystem.write_text(_shipped("pm2/ecosystem.config.cjs", places))
        with pm2() as manager:
            manager("start", ecosystem, HEAPWARDEN_SOCKET=str(watcher.socket))
            before = wait_for(lambda: len(found := _pids(watcher)) == 2 and found, SECONDS)
            get(f"http://127.0.0.1:{port}/buffers?mib=350")
            after = wait_for(lambda: len(found := _pids(watcher)) == 2 and found != before and found, SECONDS)
            assert len(before & after) == 1


def test_supervisor(tmp_path: Path) -> None:
    """It starts the agent and the program; what Heapwarden ends comes back."""
    port, agent_port = free_port(), free_port()
    socket, settings = tmp_path / "agent.sock", tmp_path / "heapwarden.yaml"
    settings.write_text(
        _shipped(
            "supervisor/heapwarden.yaml", {"max_memory: 300M": "max_memory: {above: 300M, for: 0s}, min_uptime: 1s"}
        )
    )
    options = f"--config {settings} --socket {socket} --state-dir {tmp_path}/state --listen 127.0.0.1:{agent_port}"
    watch = {"/opt/heapwarden/bin/heapwarden watch": f"{' '.join(HEAPWARDEN)} watch {options}"}
    places = {
        **_places(),
        "/run/heapwarden/agent.sock": socket,
        "/usr/bin/node": node(22),
        "environment=": f'environment=PORT="{port}",',
    }
    base = f"[supervisord]\nnodaemon=true\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n"
    file = tmp_path / "supervisord.conf"
    file.write_text(base + _shipped("supervisor/heapwarden.conf", watch) + _shipped("supervisor/api.conf", places))
    with program([sys.executable, "-m", "supervisor.supervisord", "-c", file], dict(os.environ)) as started:
        watcher = AgentHandle(started, socket, f"http://127.0.0.1:{agent_port}")
        wait_for(lambda: _answers(watcher), SECONDS)
        before = wait_for(lambda: _pids(watcher), SECONDS)
        get(f"http://127.0.0.1:{port}/buffers?mib=350")
        wait_for(lambda: (found := _pids(watcher)) and found.isdisjoint(before), SECONDS)


def _answers(watcher: AgentHandle) -> bool:
    try:
        return watcher.get("/livez").status == 200
    except OSError:
        return False
