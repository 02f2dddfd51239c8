"""Real agents and real Node processes on this machine, started by a test and ended by it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fakes.conditions import wait_for
from heapwarden.reporter.install import SCRIPT, node_options

ROOT = Path(__file__).parents[2]
NODE_MAJORS = (18, 20, 22, 24, 26)
SPREAD_MAJORS = (18, 22, 26)
"""For what takes long, and rests on parts that are each tested with every major."""
DEMO = ROOT / "config" / "examples" / "demo" / "server.js"
APPS = ROOT / "tests" / "fixtures" / "apps"


def node(major: int) -> str:
    """The executable of one Node major, as `make test` has installed it."""
    path = ROOT / "tests" / "nodes" / "node_modules" / f"n{major}" / "bin" / "node"
    assert path.exists(), f"{path} is missing; run `make test` or: npm ci --ignore-scripts --prefix tests/nodes"
    return str(path)


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.text)


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, **headers: str) -> Answer:
    """GET; any status is an answer."""
    return _answer(Request(url, headers=headers))  # noqa: S310  loopback


def post(url: str, **headers: str) -> Answer:
    """POST without a body; any status is an answer."""
    return _answer(Request(url, b"", headers, method="POST"))  # noqa: S310  loopback


def _answer(request: Request) -> Answer:
    try:
        with urlopen(request, timeout=60) as response:  # noqa: S310  loopback
            return Answer(response.status, dict(response.headers.items()), response.read().decode())
    except HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers.items()), error.read().decode())


@dataclass
class Program:
    """A started process with its output gathered."""

    process: "subprocess.Popen[str]"
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Gather in the background."""
        self._threads = [
            threading.Thread(target=self._gather, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _gather(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(line.rstrip("\n") for line in stream)

    def gathered(self) -> None:
        """Wait until all of an ended process's output is there."""
        for thread in self._threads:
            thread.join(10)

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.process.pid

    def line(self, text: str, seconds: float = 30) -> str:
        """The first line of its output that has ``text``, once it is there."""

        def found() -> str | None:
            if self.process.poll() is not None and not any(text in line for line in (*self.out, *self.err)):
                raise AssertionError(f"ended with {self.process.returncode}: {self.err[-5:]}")
            return next((line for line in (*self.out, *self.err) if text in line), None)

        return str(wait_for(found, seconds))

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """The exit code (negative: the signal); all output has been gathered."""
        code = self.process.wait(seconds)
        self.gathered()
        return code


@contextmanager
def program(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Program]:
    """Start; end at last, by force if need be."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    started = Program(process)
    try:
        yield started
    finally:
        _end(process)
        started.gathered()


def _end(process: "subprocess.Popen[str]") -> None:
    """Ask first: what is killed can't end what it has started itself."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


@dataclass
class AgentHandle:
    """A running agent."""

    program: Program
    socket: Path
    url: str

    def get(self, path: str, **headers: str) -> Answer:
        """GET from it."""
        return get(f"{self.url}{path}", **headers)

    def processes(self) -> list[dict[str, Any]]:
        """What its JSON API lists as watched."""
        listed: list[dict[str, Any]] = self.get("/processes").json["processes"]
        return listed

    def process(self, pid: int) -> dict[str, Any] | None:
        """One of them."""
        return next((one for one in self.processes() if one["pid"] == pid), None)

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """All samples of /metrics."""
        from prometheus_client.parser import text_string_to_metric_families as parse  # noqa: PLC0415  few tests need it

        families = parse(self.get("/metrics").text)
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def metric(self, name: str, **labels: str) -> float | None:
        """One sample; None when it is not there."""
        return self.metrics().get((name, frozenset(labels.items())))

    def environment(self, **more: str) -> dict[str, str]:
        """What a Node process needs to report to it."""
        return reporting(self.socket, **more)


def reporting(socket: Path, **more: str) -> dict[str, str]:
    """The environment of an app that reports to ``socket``."""
    base = {key: value for key, value in os.environ.items() if key != "NODE_OPTIONS"}
    return {**base, "NODE_OPTIONS": node_options("", SCRIPT), "HEAPWARDEN_SOCKET": str(socket), **more}


HEAPWARDEN = (sys.executable, "-m", "heapwarden")


@contextmanager
def agent(folder: Path, config: str = "", *arguments: str, port: int = 0) -> Iterator[AgentHandle]:
    """`heapwarden watch` with its socket in ``folder``, watching what reports from there."""
    path = folder / "agent.sock"
    file = folder / "heapwarden.yaml"
    file.write_text(config)
    own = ("--socket", path, "--state-dir", folder / "state", "--listen", f"127.0.0.1:{port}")
    command = (*HEAPWARDEN, "watch", "--config", file, *own)
    options = ("--log-format", "json", *(arguments or ("--children-of", str(os.getpid()))))
    with program((*command, *options)) as started:
        line = json.loads(started.line('"port":'))
        yield AgentHandle(started, path, f"http://127.0.0.1:{line['port']}")


@contextmanager
def app(agent_handle: AgentHandle, *command: str | Path, **environment: str) -> Iterator[Program]:
    """A Node process that reports to the agent."""
    with program(command, agent_handle.environment(**environment)) as started:
        yield started


@contextmanager
def demo(agent_handle: AgentHandle, major: int, *options: str, mark: str = "") -> Iterator[tuple[Program, str]]:
    """The demo app, and its address; ``mark`` stands at the end of its command line."""
    with app(agent_handle, node(major), *options, DEMO, "0", *([mark] if mark else [])) as started:
        line = started.line("demo app on ")
        yield started, line.split()[3].rstrip("/")
