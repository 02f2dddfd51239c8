"""What health answers and scrapes cost the agent, for 1, 100 and 1,000 processes.

A child process serves a synthetic snapshot through the real app and server on loopback; its CPU time is read from its
CPU clock, so what the clients cost is not in it. ``python benchmarks/scrape.py`` with ``tests`` on the PYTHONPATH.
"""

import asyncio
import http.client
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

SIZES = (1, 100, 1_000)
HEALTH_REQUESTS = 500
SCRAPES = 5
PAUSE_SECONDS = 0.001
"""Between health checks while a scrape is under way."""

IMPORTS = """
import time
def rss():
    return int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20
before, began = rss(), time.process_time()
import asyncio
import heapwarden.web.app, heapwarden.web.server, heapwarden.exposition.text, heapwarden.exposition.agent_metrics
print(before, rss(), time.process_time() - began)
"""

SCRAPER = """
import http.client, sys
connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=60)
for _ in range(int(sys.argv[2])):
    connection.request('GET', '/metrics', headers={'Accept-Encoding': sys.argv[3]})
    answer = connection.getresponse()
    while answer.read(2**16):
        pass
"""


@dataclass(frozen=True)
class Server:
    """The child."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Its CPU time so far; the clock's number is made from the pid as clock_getcpuclockid(3) does."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def connect(self) -> http.client.HTTPConnection:
        """A client."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


@dataclass(frozen=True)
class Cost:
    """Of one request, medians."""

    cpu_seconds: float
    wall_seconds: float
    answer_bytes: int


@contextmanager
def serving(processes: int) -> Iterator[Server]:
    """A child that serves so many processes."""
    child = subprocess.Popen([sys.executable, __file__, "--serve", str(processes)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield Server(child.pid, int(child.stdout.readline()))
    finally:
        child.terminate()
        child.wait()


async def serve(processes: int) -> None:
    """In the child: serve until terminated."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from fakes.snapshots import NOW, fleet  # noqa: PLC0415  only the child needs it
    from heapwarden.exposition import families  # noqa: PLC0415
    from heapwarden.exposition.agent_metrics import AgentMetrics  # noqa: PLC0415
    from heapwarden.exposition.collector import SnapshotCollector  # noqa: PLC0415
    from heapwarden.exposition.text import page  # noqa: PLC0415
    from heapwarden.settings.model import Listen  # noqa: PLC0415
    from heapwarden.web.app import create_app  # noqa: PLC0415
    from heapwarden.web.options import WebOptions  # noqa: PLC0415
    from heapwarden.web.server import HttpServer  # noqa: PLC0415

    snapshot = fleet(processes)
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(families.FAMILIES, lambda: snapshot, lambda: NOW))
    AgentMetrics(registry, "0.0.0")
    app = create_app(
        snapshot=lambda: snapshot,
        monotonic=lambda: NOW,
        options=WebOptions,
        metrics=lambda accept: page(registry, accept),
        prom_client_metrics=lambda accept: page(registry, accept),
    )
    server = HttpServer(app, Listen("127.0.0.1", 0))
    _, port = server.bind()
    print(port, flush=True)
    await server.serve()


def request(client: http.client.HTTPConnection, path: str, encoding: str = "identity") -> int:
    """One GET; the answer's size."""
    client.request("GET", path, headers={"Accept-Encoding": encoding})
    answer = client.getresponse()
    if answer.status != 200:
        raise SystemExit(f"{path} answered {answer.status}")
    return len(answer.read())


def cost(server: Server, ask: Callable[[http.client.HTTPConnection], int], times: int) -> Cost:
    """Ask one after the other; the first answer is not counted."""
    client = server.connect()
    size = ask(client)
    walls = []
    cpu = server.cpu_seconds()
    for _ in range(times):
        began = time.perf_counter()
        ask(client)
        walls.append(time.perf_counter() - began)
    return Cost((server.cpu_seconds() - cpu) / times, median(walls), size)


def health_during_scrapes(server: Server, encoding: str) -> list[float]:
    """Latencies of health checks while another process scrapes again and again."""
    client = server.connect()
    request(client, "/healthz")
    scraper = subprocess.Popen([sys.executable, "-c", SCRAPER, str(server.port), str(SCRAPES), encoding])
    latencies = []
    while scraper.poll() is None:
        began = time.perf_counter()
        request(client, "/healthz")
        latencies.append(time.perf_counter() - began)
        time.sleep(PAUSE_SECONDS)
    return sorted(latencies)


def row(processes: int) -> str:
    """One line of the table."""
    with serving(processes) as server:
        health = cost(server, lambda client: request(client, "/healthz"), HEALTH_REQUESTS)
        plain = cost(server, lambda client: request(client, "/metrics"), SCRAPES)
        zipped = cost(server, lambda client: request(client, "/metrics", "gzip"), SCRAPES)
        beside = health_during_scrapes(server, "identity")
        beside_zipped = health_during_scrapes(server, "gzip")
    cells = [
        f"{processes:,}",
        f"{health.cpu_seconds * 1e3:.2f} ms",
        f"{health.wall_seconds * 1e3:.2f} ms",
        *(
            f"{one.cpu_seconds * 1e3:.1f} ms CPU, {one.wall_seconds * 1e3:.1f} ms, {one.answer_bytes / 1e3:,.0f} kB"
            for one in (plain, zipped)
        ),
        *(f"{found[len(found) // 2] * 1e3:.1f} / {found[-1] * 1e3:.1f} ms" for found in (beside, beside_zipped)),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the tables."""
    head = ("processes", "health: agent CPU", "health: latency", "scrape", "scrape, gzip")
    beside = ("health while scraped: median / longest", "the same, gzip")
    print(f"| {' | '.join((*head, *beside))} |")
    print("|" + "---|" * 7)
    for processes in SIZES:
        print(row(processes), flush=True)
    figures = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout.split()
    bare, loaded, seconds = map(float, figures)
    print(f"\nImporting the HTTP side and metrics: {bare:.1f} MB → {loaded:.1f} MB RSS, {seconds:.2f} s CPU")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2])))
    else:
        main()
