"""What the agent costs: CPU and memory while it watches 1, 10 and 100 processes that report once a second.

One process is a real, idle Node. The larger numbers are small processes that speak the reporter's protocol: what the
agent does for them (connection, frame, /proc, cgroup, verdict, series) is the same.
"""

import argparse
import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.conditions import wait_for
from fakes.machine import AgentHandle, agent, demo
from fakes.reporters import Reporter, sample
from measure import cpu_seconds, rss_mib, table


async def _report(socket: Path) -> None:
    reporter = await Reporter.greet(socket)
    await reporter.receive()
    turn = 0
    while not reporter.writer.is_closing():
        turn += 1
        reporter.send(sample(40 + turn % 10, seq=turn, minor=turn * 3, major=turn // 10))
        await asyncio.sleep(1)


@contextmanager
def _simulated(socket: Path, count: int) -> Iterator[None]:
    """So many forks of this process, each of which reports for itself."""
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(_report(socket))
            finally:
                os._exit(0)
        pids.append(pid)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _measure(watcher: AgentHandle, processes: int, seconds: int) -> list[str]:
    wait_for(lambda: sum(1 for one in watcher.processes() if one["isolates"]) == processes, 60)
    time.sleep(5)  # what connecting costs is not what watching costs
    pid = watcher.program.pid
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    return [str(processes), f"{share:.2%}", f"{share / processes:.3%}", f"{rss_mib(pid):.1f}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 10, 100])
    options = parser.parse_args()
    rows = []
    for count in options.processes:
        with tempfile.TemporaryDirectory() as folder, agent(Path(folder)) as watcher:
            if count == 1:
                with demo(watcher, 22):
                    rows.append(_measure(watcher, count, options.seconds))
            else:
                with _simulated(watcher.socket, count):
                    rows.append(_measure(watcher, count, options.seconds))
    head = ["processes", "CPU of a core", "a process", "RSS MiB"]
    table(f"Cost of the agent at one sample a second, over {options.seconds} s", head, rows)


if __name__ == "__main__":
    main()
