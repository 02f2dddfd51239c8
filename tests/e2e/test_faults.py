"""What goes wrong around an app, and that the app never notices."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, DEMO, HEAPWARDEN, AgentHandle, agent, app, demo, get, node, program, reporting

WITNESS = APPS / "witness.cjs"
FAST = "sample_interval: 200ms\ndefaults: {health: {stale_after: 2s}}\n"
MAJORS = [pytest.param(major, id=f"node{major}") for major in (18, 22, 26)]


def _status(watcher: AgentHandle, pid: int) -> str | None:
    entries = watcher.get("/healthz").json["processes"]
    return next((one["status"] for one in entries if one["pid"] == pid), None)


def _minor_collections(watcher: AgentHandle) -> float:
    labels = {"process": "witness", "worker": "0", "kind": "minor"}
    return watcher.metric("heapwarden_gc_duration_seconds_count", **labels) or 0


@pytest.mark.parametrize("major", MAJORS)
def test_without_an_agent_the_app_is_as_ever(tmp_path: Path, major: int) -> None:
    """No socket at all: same output, same exit code, nothing on standard error."""
    environment = reporting(tmp_path / "nobody.sock")
    script = "setTimeout(() => { console.log('done'); process.exitCode = 4 }, 500)"
    done = subprocess.run(
        [node(major), "-e", script], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, "done\n", "")


@pytest.mark.parametrize("major", MAJORS)
def test_an_agent_that_comes_back_finds_its_figures_again(tmp_path: Path, major: int) -> None:
    """Killed under load and started again on the same socket: the app serves all the while, the counts go on."""
    with agent(tmp_path, FAST) as first:
        environment = first.environment()
        with program((node(major), WITNESS), environment) as started:
            url = started.line("witness on ").split()[-1]
            wait_for(lambda: _status(first, started.pid) == "healthy")
            get(f"{url}/burst?50")
            before = wait_for(
                lambda: first.metric(
                    "heapwarden_gc_duration_seconds_count", process="witness", worker="0", kind="minor"
                )
            )
            first.program.signal(signal.SIGKILL)
            first.program.wait()
            assert (tmp_path / "agent.sock").exists(), "kill -9 leaves the socket behind"
            assert get(f"{url}/burst?50").status == 200
            with agent(tmp_path, FAST) as second:
                wait_for(lambda: _status(second, started.pid) == "healthy")
                after = wait_for(
                    lambda: second.metric(
                        "heapwarden_gc_duration_seconds_count", process="witness", worker="0", kind="minor"
                    )
                )
                assert after > before, "collections while nobody listened are counted"
            assert get(f"{url}/memory").status == 200


@pytest.mark.parametrize("major", MAJORS)
def test_a_stopped_agent_does_not_hold_up_an_exit(tmp_path: Path, major: int) -> None:
    """SIGSTOP on the agent: the app goes on serving and exits by itself when it has nothing left to do."""
    script = (
        "const s = require('net').createServer().listen(0, '127.0.0.1', () => console.log('up'));"
        "process.once('SIGUSR2', () => s.close())"
    )
    with agent(tmp_path, "sample_interval: 100ms\n") as watcher, app(watcher, node(major), "-e", script) as started:
        started.line("up")
        wait_for(lambda: _status(watcher, started.pid) == "healthy")
        watcher.program.signal(signal.SIGSTOP)
        started.signal(signal.SIGUSR2)
        assert started.wait(10) == 0
        watcher.program.signal(signal.SIGCONT)
        wait_for(lambda: _status(watcher, started.pid) is None)


def test_an_app_without_the_reporter_is_shown_by_the_kernels_figures(tmp_path: Path) -> None:
    """Started without the reporter: RSS is there, health is unknown and serves, and it says why."""
    with (
        agent(tmp_path, "defaults: {health: {start_grace: 0s}}\n") as watcher,
        program((node(20), DEMO, "0")) as started,
    ):
        started.line("demo app on ")
        body = wait_for(lambda: _status(watcher, started.pid) == "unknown" and watcher.get("/healthz"))
        assert body.status == 200
        assert "without the reporter" in body.json["processes"][0]["reasons"][0]["text"]
        wait_for(lambda: (watcher.metric("heapwarden_rss_bytes", process="server", worker="0") or 0) > 2**20)
        assert watcher.metric("heapwarden_heap_used_bytes", process="server", worker="0", thread="main") is None


def test_a_node_too_old_for_the_reporter_is_left_alone(tmp_path: Path) -> None:
    """Node 16 with the reporter preloaded: it runs as ever and says nothing; the kernel's figures are there."""
    with agent(tmp_path, "defaults: {health: {start_grace: 0s}}\n") as watcher:
        script = "console.log(process.eventNames(), Object.getOwnPropertySymbols(globalThis)); process.exitCode = 6"
        alone = subprocess.run([node(16), "-e", script], capture_output=True, text=True, timeout=30, check=False)
        with app(watcher, node(16), "-e", script) as short:
            assert (short.wait(), short.out, short.err) == (6, alone.stdout.splitlines(), [])
        with app(watcher, node(16), DEMO, "0") as started:
            started.line("demo app on ")
            wait_for(lambda: _status(watcher, started.pid) == "unknown")
            wait_for(lambda: (watcher.metric("heapwarden_rss_bytes", process="server", worker="0") or 0) > 2**20)


def test_bad_frames_are_refused_and_make_no_tick_late(tmp_path: Path) -> None:
    """Noise from a thousand connections and every kind of broken frame: counted; an honest app is measured on."""
    with agent(tmp_path) as watcher, demo(watcher, 20) as (started, _):
        wait_for(lambda: _status(watcher, started.pid) == "healthy")
        late = watcher.metric("heapwarden_agent_ticks_late_total")
        hello = {"t": "hello", "v": 1, "reporter": "0", "start": 0, "ns": "", "thread": 0, "node": "20", "v8": "1"}
        hello |= {"argv": [], "semi": 0}
        lies = {
            "not_json": b'{"t": "hel\n',
            "too_long": b"x" * 70_000,
            "wrong_version": json.dumps({**hello, "pid": os.getpid(), "v": 99}).encode() + b"\n",
            "wrong_type": b"[]\n",
            "bad_value": json.dumps({**hello, "pid": "1"}).encode() + b"\n",
            "pid_mismatch": json.dumps({**hello, "pid": started.pid}).encode() + b"\n",
        }
        for data in lies.values():
            liar = _connect(watcher.socket)
            liar.sendall(data)
            assert _closed(liar)
            liar.close()

        def refused(reason: str) -> float:
            return watcher.metric("heapwarden_agent_frames_total", result=reason) or 0

        for reason in lies:
            wait_for(lambda reason=reason: refused(reason) == 1)  # type: ignore[misc]  mypy can't see lambda defaults
        idle = [_connect(watcher.socket) for _ in range(1_000)]
        wait_for(lambda: refused("too_many") + refused("no_hello") == 1_000)
        for one in idle:
            one.close()
        assert _status(watcher, started.pid) == "healthy"
        assert watcher.metric("heapwarden_agent_ticks_late_total") == late
        assert watcher.program.process.poll() is None


def _closed(connected: socket.socket) -> bool:
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True


def _connect(path: Path) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(20)
    connected.connect(str(path))
    return connected


def test_settings_are_read_again_and_bad_ones_change_nothing(tmp_path: Path) -> None:
    """SIGHUP: a new name and new marks hold; then a bad file is said, counted, and the old ones stay."""
    with agent(tmp_path, FAST) as watcher, demo(watcher, 22) as (started, _):
        wait_for(lambda: _status(watcher, started.pid) == "healthy")
        file = tmp_path / "heapwarden.yaml"
        file.write_text(FAST + "processes: [{name: api, match: {command: server}}]\n")
        watcher.program.signal(signal.SIGHUP)
        wait_for(lambda: watcher.processes()[0]["process"] == "api")
        file.write_text("sample_interval: 100\n")
        watcher.program.signal(signal.SIGHUP)
        said = watcher.program.line("the old ones stay in force")
        assert "heapwarden.yaml:1:" in said
        assert watcher.processes()[0]["process"] == "api"
        assert watcher.metric("heapwarden_agent_config_reloads_total", result="failed") == 1
        assert watcher.metric("heapwarden_agent_config_reloads_total", result="ok") == 1


def test_two_agents_do_not_share_a_socket(tmp_path: Path) -> None:
    """The second one ends with the reason and the next step; the first goes on."""
    with agent(tmp_path) as first:
        second = [*HEAPWARDEN, "watch", "--socket", str(first.socket), "--listen", "127.0.0.1:0"]
        done = subprocess.run(second, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "another agent listens here" in done.stderr
        assert first.get("/livez").status == 200
