"""What the reporter costs the app: requests a second and latency, beside prom-client and beside nothing.

Three servers run at once and are loaded in turn, in another order each round, so that what else the machine does falls
on all alike. A round's figures are divided by those of the server with nothing in the same round.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

from fakes.machine import Program, agent, node, program, reporting
from measure import ROOT, cpu_seconds, spread, table

VARIANTS = ("nothing", "nothing again", "heapwarden", "prom-client")
CONNECTIONS = 16


def _load(port: int, seconds: int) -> tuple[float, float]:
    """Requests a second and the 99th percentile of latency in ms, by wrk."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    assert rate, said
    assert latency, said
    return float(rate[1]), float(latency[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[latency[2]]


def _scrape_each_second(port: int, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            answer.read()


def _start(stack: ExitStack, name: str, executable: str, socket: Path) -> tuple[Program, int]:
    environment = reporting(socket)
    if name != "heapwarden":
        environment = {k: v for k, v in environment.items() if k not in ("NODE_OPTIONS", "HEAPWARDEN_SOCKET")}
    if name == "prom-client":
        environment |= {"PROM_CLIENT": "1", "NODE_PATH": str(ROOT / "tests" / "nodes" / "node_modules")}
    started = stack.enter_context(program([executable, ROOT / "benchmarks" / "app_server.cjs"], environment))
    started.line("")
    return started, int(started.out[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--major", type=int, default=22)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=3, help="of load a server and round")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    tails: dict[str, list[float]] = {name: [] for name in VARIANTS}
    costs: dict[str, list[float]] = {name: [] for name in VARIANTS}
    stop = threading.Event()
    with ExitStack() as stack:
        watcher = stack.enter_context(agent(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        servers = {name: _start(stack, name, node(options.major), watcher.socket) for name in VARIANTS}
        scraper = threading.Thread(target=_scrape_each_second, args=(servers["prom-client"][1], stop))
        scraper.start()
        for turn in range(-1, options.rounds):
            figures: dict[str, tuple[float, float, float]] = {}
            for name in random.sample(VARIANTS, len(VARIANTS)):
                started, port = servers[name]
                before = cpu_seconds(started.pid)
                rate, tail = _load(port, options.seconds)
                figures[name] = (rate, tail, (cpu_seconds(started.pid) - before) / (rate * options.seconds))
            print(f"\rround {turn + 1} of {options.rounds}", end="", file=sys.stderr, flush=True)
            if turn < 0:
                continue  # a first round warms the compilers
            for name, (rate, tail, cost) in figures.items():
                base = figures["nothing"]
                rates[name].append(rate / base[0])
                tails[name].append(tail / base[1])
                costs[name].append(cost / base[2])
        stop.set()
        scraper.join()
    rows = [[name, spread(rates[name]), spread(tails[name]), spread(costs[name])] for name in VARIANTS[1:]]
    head = ["beside nothing", "requests/s", "p99 latency", "CPU a request"]
    table(f"Cost in the app, Node {options.major}: ratios, median (middle half) of {options.rounds} rounds", head, rows)


if __name__ == "__main__":
    main()
