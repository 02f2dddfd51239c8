"""A server that leaks behind a real load balancer, and what its end costs the requests that are under way."""

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.conditions import wait_for
from fakes.haproxy import HaProxy, Server
from fakes.load import Load
from fakes.machine import APPS, HEAPWARDEN, free_port, get, node, program

MIB = 2**20
LEAKY = APPS / "leaky.cjs"
REQUEST_MS = 6_000
ENDS = ("SIGTERM", "SIGINT")


@dataclass(frozen=True)
class Leaky:
    """``leaky.cjs``, whoever has started it and starts it again."""

    server: Server
    lines: Callable[[], list[str]]
    """What it has written so far, in all its lives."""

    def said(self, *what: str) -> list[dict[str, Any]]:
        """Its lines of these kinds, oldest first."""
        found = [json.loads(line) for line in self.lines() if line.startswith('{"what"')]
        return [line for line in found if line["what"] in what]

    def leak(self, mib_per_second: int) -> int:
        """Make it leak; its pid."""
        answer = get(f"http://127.0.0.1:{self.server.port}/leak?mib={mib_per_second}")
        return int(answer.json["pid"])

    def refuses(self) -> bool:
        """Whether its health check says 503."""
        with contextlib.suppress(OSError):
            return get(f"http://127.0.0.1:{self.server.health_port}/readyz").status == 503
        return False


@contextmanager
def guarded(folder: Path, config: str, *, major: int = 22) -> Iterator[Leaky]:
    """The server under `heapwarden run` with these settings, its files in ``folder``."""
    app, health = free_port(), free_port()
    settings = folder / "heapwarden.yaml"
    settings.write_text(config)
    options = ("--config", settings, "--socket", folder / "agent.sock", "--state-dir", folder / "state")
    command = (*HEAPWARDEN, "run", *options, "--listen", f"127.0.0.1:{health}", "--", node(major), LEAKY)
    with program(command, environment(app)) as started:
        leaky = Leaky(Server(app, health), lambda: started.out)
        wait_for(lambda: leaky.said("listening"))
        yield leaky


def environment(port: int) -> dict[str, str]:
    """What the server is started with."""
    return {**{key: value for key, value in os.environ.items() if key != "NODE_OPTIONS"}, "PORT": str(port)}


@dataclass(frozen=True)
class Incident:
    """One leak, from its beginning until both servers serve again. Sizes are MiB, times seconds since it began."""

    requests: int
    failures: Counter[str]
    acted_mib: float
    """Resident when the process was taken out of service, or else was signalled."""
    acted_after: float
    signalled_mib: float
    back_after: float


def incident(balancer: HaProxy, leaky: Leaky, *, mib_per_second: int = 20, seconds: float = 90.0) -> Incident:
    """Let it leak under load until it has been restarted; within ``seconds``, or it fails."""
    began, ends = time.time(), len(leaky.said(*ENDS))
    with Load(f"{balancer.url}/slow?ms={REQUEST_MS}") as load:
        pid = leaky.leak(mib_per_second)
        acted = wait_for(lambda: _acted(leaky, pid, ends), seconds, every=0.02)
        signalled = wait_for(lambda: leaky.said(*ENDS)[ends:], seconds)[0]
        wait_for(lambda: leaky.said("listening")[-1]["pid"] != pid, seconds)
        wait_for(balancer.all_up, seconds)
        back = time.time()
    at, mib = acted
    return Incident(load.requests, load.failures, mib, at - began, signalled["rss"] / MIB, back - began)


def _acted(leaky: Leaky, pid: int, ends: int) -> tuple[float, float] | None:
    """When, and at which size; None as long as nothing is done."""
    if leaky.refuses():
        return time.time(), resident_mib(pid)
    for line in leaky.said(*ENDS)[ends:]:
        return line["at"], line["rss"] / MIB
    return None


def resident_mib(pid: int) -> float:
    """As the kernel has it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
