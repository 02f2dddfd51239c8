"""What a restart for memory costs: Heapwarden beside PM2, at the same time, on the same machine.

Each manager keeps two servers behind a HAProxy of its own. Four requests a second come in, each takes six seconds to
answer. From a random moment on one of the servers leaks 20 MiB a second; both managers are told to restart it at
200 MiB. A server answers what is under way when it is asked to end, and then ends by itself.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from fakes.conditions import wait_for
from fakes.haproxy import Server, haproxy
from fakes.leaks import LEAKY, Incident, Leaky, environment, guarded, incident
from fakes.machine import free_port, node
from measure import ROOT, table

PM2 = ROOT / "tests" / "nodes" / "node_modules" / "pm2" / "bin" / "pm2"
PM2_LOOKS_EVERY_SECONDS = 30.0
LIMIT_MIB = 200
CONFIG = f"""
processes:
  - name: app
    match: {{command: leaky}}
    restart: {{max_memory: {LIMIT_MIB}M, for: 0s, min_uptime: 0s, cooldown: 0s, drain: 5s, grace: 30s}}
"""

Started = AbstractContextManager[tuple[Leaky, Leaky]]


@contextmanager
def _heapwarden(folder: Path) -> Iterator[tuple[Leaky, Leaky]]:
    """Two servers, each under a `heapwarden run` of its own."""
    with ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            found.append(stack.enter_context(guarded(folder / name, CONFIG)))
        yield found[0], found[1]


@contextmanager
def _pm2(folder: Path, **more: int) -> Iterator[tuple[Leaky, Leaky]]:
    """Two servers under one PM2 with a home of its own; HAProxy asks the servers themselves."""
    ports = {name: free_port() for name in ("one", "two")}
    apps = [
        {
            "name": name,
            "script": str(LEAKY),
            "interpreter": node(22),
            "max_memory_restart": f"{LIMIT_MIB}M",
            "env": {"PORT": str(port)},
            "out_file": str(folder / f"{name}.log"),
            "error_file": str(folder / f"{name}.err"),
            **more,
        }
        for name, port in ports.items()
    ]
    file = folder / "apps.json"
    file.write_text(json.dumps({"apps": apps}))
    home = {**environment(0), "PM2_HOME": str(folder / "pm2"), "PM2_DISABLE_VERSION_CHECK": "true"}
    try:
        _run_pm2(home, "start", str(file))
        servers = [Leaky(Server(port, port), partial(_lines, folder / f"{name}.log")) for name, port in ports.items()]
        wait_for(lambda: all(leaky.said("listening") for leaky in servers))
        yield servers[0], servers[1]
    finally:
        _run_pm2(home, "kill")


def _run_pm2(home: dict[str, str], *arguments: str) -> None:
    command = [node(22), str(PM2), *arguments]
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def _rounds(start: Callable[[Path], Started], waits: list[float], all_ready: threading.Barrier) -> list[Incident]:
    """One incident after each wait, the servers in turn."""
    seen = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        stack.push(lambda kind, *_: all_ready.abort() if kind else None)  # nobody waits for one that has failed
        folder = Path(name)
        servers = stack.enter_context(start(folder))
        balancer = stack.enter_context(haproxy(folder, *(leaky.server for leaky in servers)))
        wait_for(balancer.all_up)
        for turn, wait in enumerate(waits):
            all_ready.wait()
            time.sleep(wait)
            seen.append(incident(balancer, servers[turn % 2]))
    return seen


def _row(name: str, seen: list[Incident]) -> list[str]:
    failures = sum((one.failures for one in seen), start=type(seen[0].failures)())
    failed, requests = failures.total(), sum(one.requests for one in seen)
    return [
        name,
        f"{len(seen)}",
        f"{failed} of {requests}",
        _range([one.acted_mib for one in seen]),
        _range([one.signalled_mib for one in seen]),
        _range([one.acted_after for one in seen]),
        _range([one.back_after for one in seen]),
    ]


def _range(values: list[float]) -> str:
    """Median, and the extremes."""
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="leaks for each manager (%(default)s)")
    options = parser.parse_args()
    contestants: dict[str, Callable[[Path], Started]] = {
        "Heapwarden": _heapwarden,
        "PM2": _pm2,
        "PM2, kill_timeout 10 s": partial(_pm2, kill_timeout=10_000),
    }
    version = json.loads((PM2.parents[1] / "package.json").read_text())["version"]
    # PM2 looks every 30 s: where in between the leak begins is left to chance, and the same for all.
    waits = [random.uniform(0, PM2_LOOKS_EVERY_SECONDS) for _ in range(options.rounds)]  # noqa: S311  no secret
    print(f"{options.rounds} leaks; that takes about {options.rounds + 1} minutes", file=sys.stderr)
    all_ready = threading.Barrier(len(contestants))
    with ThreadPoolExecutor(len(contestants)) as pool:
        running = {name: pool.submit(_rounds, start, waits, all_ready) for name, start in contestants.items()}
        rows = [_row(name, future.result()) for name, future in running.items()]
    head = [
        "manager",
        "leaks",
        "failed requests",
        "acted at, MiB",
        "signalled at, MiB",
        "acted after, s",
        "back after, s",
    ]
    title = f"A 20 MiB/s leak, a limit of {LIMIT_MIB} MiB, six-second requests; PM2 {version}, Node 22; median (range)"
    table(title, head, rows)


if __name__ == "__main__":
    main()
