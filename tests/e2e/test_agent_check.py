"""A real HAProxy sends less to a server under pressure, and nobody new to one that is drained."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.haproxy import HaProxy, Server, haproxy
from fakes.machine import AgentHandle, agent, demo, free_port, get, post

TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105  of this test alone
CONFIG = """\
sample_interval: 200ms
agent_check: 127.0.0.1:{port}
api: {{token_file: {folder}/token}}
defaults: {{health: {{start_grace: 0s}}}}
processes: [{{name: api, match: {{command: demo-api}}}}]
"""
SECONDS = 60


class Scene:
    """One app with a 256 MB heap behind both of HAProxy's servers; of ``two`` no agent-check is told."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        """Start all."""
        (folder / "token").write_text(TOKEN)
        (folder / "token").chmod(0o600)
        self.port = free_port()
        self.watcher: AgentHandle = stack.enter_context(agent(folder, CONFIG.format(port=self.port, folder=folder)))
        options = ("--max-old-space-size=256", "--expose-gc")
        _, self.app_url = stack.enter_context(demo(self.watcher, 22, *options, mark="demo-api"))
        wait_for(lambda: self.watcher.get("/healthz/api").json["status"] == "healthy")
        app_port, health_port = (int(url.rsplit(":", 1)[1]) for url in (self.app_url, self.watcher.url))
        one = Server(app_port, health_port, self.port)
        self.balancer: HaProxy = stack.enter_context(haproxy(folder, one, Server(app_port, health_port)))
        wait_for(self.balancer.all_up)

    def ask(self, sent: bytes = b"") -> str:
        """What the port answers to a raw socket."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as client:
            client.sendall(sent)
            return b"".join(iter(lambda: client.recv(4096), b"")).decode()

    def level(self) -> str:
        """Of the app's pressure."""
        return str(self.watcher.get("/pressure/api").json["level"])

    def weight(self) -> int:
        """That the level stands for."""
        return {"normal": 100, "elevated": 75, "high": 50, "critical": 25}[self.level()]

    def request(self, verb: str) -> None:
        """Drain or undrain."""
        answer = post(f"{self.watcher.url}/processes/api/{verb}", authorization=f"Bearer {TOKEN}")
        assert answer.status in (200, 202), answer.text


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """See :class:`Scene`."""
    with ExitStack() as stack:
        yield Scene(stack, tmp_path)


def test_weight_and_drain(scene: Scene) -> None:
    """The weight is that of the level, and comes back; a drain is one for HAProxy too, and ends with it."""
    wait_for(lambda: scene.balancer.weights() == {"one": 100, "two": 100})
    while scene.level() == "normal":
        get(f"{scene.app_url}/cache?mib=15")
    wait_for(lambda: scene.balancer.weights() == {"one": scene.weight(), "two": 100} and scene.weight() < 100, SECONDS)
    wait_for(lambda: scene.ask() == scene.ask(b"api\n") == f"up {scene.weight()}% ready\n")
    get(f"{scene.app_url}/free")
    wait_for(lambda: scene.balancer.weights()["one"] == 100, SECONDS)

    scene.request("drain")
    wait_for(lambda: scene.ask(b"api\n") == "drain\n")
    wait_for(lambda: scene.balancer.servers() == {"one": "DOWN", "two": "DOWN"}, SECONDS)  # by their health
    scene.request("undrain")
    wait_for(scene.balancer.all_up, SECONDS)


def test_a_drain_by_agent_check_alone(scene: Scene) -> None:
    """Where health is not asked, the words `drain` and `ready` do it: HAProxy knows of no other end of a drain."""
    scene.balancer.operate("disable health app/one")
    scene.request("drain")
    wait_for(lambda: scene.balancer.status("one") == "DRAIN (agent)", SECONDS)
    scene.request("undrain")
    wait_for(lambda: scene.balancer.status("one") in ("UP", "no check"), SECONDS)


def test_a_name_that_is_not_there_is_down(scene: Scene) -> None:
    """With a reason that HAProxy shows; the agent's end is the end of the port."""
    wait_for(lambda: scene.ask(b"jobs\n").startswith("down #no process is called 'jobs'"), SECONDS)
    scene.watcher.program.signal(signal.SIGTERM)
    assert scene.watcher.program.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        scene.ask()
