"""A Node of each supported major, with the reporter preloaded, and an agent's socket that it finds."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.agent_socket import AgentSocket, Message, Serve, agent_socket, config
from fakes.node_app import MAJORS, REPORTER, App, Node, Start


@pytest.fixture(params=[pytest.param(major, id=f"node{major}", marks=pytest.mark.node) for major in MAJORS])
def node(request: pytest.FixtureRequest) -> Node:
    """Each supported major in turn."""
    return Node(request.param)


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    """Where the agent listens, if it does."""
    return tmp_path / "agent.sock"


@pytest.fixture
def serve(socket_path: Path) -> Iterator[Serve]:
    """Starts an agent that answers each hello with its argument (by default a config for 100 ms)."""
    with ExitStack() as agents:

        def listen(answer: Message | None = config()) -> AgentSocket:  # noqa: B008  never changed
            return agents.enter_context(agent_socket(socket_path, answer))

        yield listen


@pytest.fixture
def start(socket_path: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a Node with the reporter preloaded, in an environment that holds nothing else of this one."""
    apps: list[App] = []

    def launch(
        node: Node,
        *arguments: str | Path,
        options: str = f"--require {REPORTER}",
        through: Path | None = None,
        **env: str,
    ) -> App:
        basics = {"PATH": os.environ["PATH"], "NODE_OPTIONS": options, "HEAPWARDEN_SOCKET": str(socket_path)}
        command: list[str | Path] = [str(node.binary), *arguments]
        if through:  # the shell enters a cgroup and becomes the app
            command = ["sh", "-c", 'echo $$ > "$0"; exec "$@"', through, *command]
        apps.append(App(command, {**basics, **env}, tmp_path))
        return apps[-1]

    yield launch
    for app in apps:
        app.close()
