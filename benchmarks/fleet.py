"""Fleet at 10,000 processes: the time of each of its queries, recorded against raw, and what the rules cost.

A real Prometheus on loopback holds two hours of synthetic processes, a sample each 30 s. Each query is sent as Grafana
sends it, with All chosen and 240 points. Raw queries take long and are asked once. All of it takes some four minutes,
3 GB of memory and 1 GB of disk.

``python benchmarks/fleet.py [PROCESSES]`` with ``tests`` on the PYTHONPATH.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import fleet_rules
from fakes.panels import Board, Query, View, asked, boards, queries
from fleet_data import STEP_SECONDS, Fleet, write
from fleet_raw import RAW
from fleet_server import Answer, Server, serving
from measure import table

PROCESSES = 10_000
AHEAD_SECONDS = 600
"""The history ends so long after the start, so that there are figures while rules are evaluated."""
VIEW = View(range=7200, points=240, scrape=STEP_SECONDS)
ROUNDS = 3
GOAL_SECONDS = 0.3


def main() -> None:
    """Print the tables."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else PROCESSES
    end = (int(time.time()) + AHEAD_SECONDS) // 60 * 60
    with serving() as server:
        load(server, Fleet(processes, end))
        groups = fleet_rules.recording_groups()
        with told("Recorded series"):
            series = fleet_rules.backfill(server, groups, end)
        with told("Rules"):
            rules(groups, series, {group["name"]: fleet_rules.cost(server, group) for group in groups})
        with told("Panels"):
            panels(server, boards()["heapwarden-fleet"], end)


def load(server: Server, fleet: Fleet) -> None:
    """Write the history, and say how far it is."""
    began = time.perf_counter()

    def done(count: int) -> None:
        say(f"\r{count:,} of {fleet.series_count:,} series, {time.perf_counter() - began:.0f} s ")

    count = write(server.address, fleet.series(), done)
    say("\n")
    samples = count * VIEW.points / 1e6
    print(
        f"{fleet.processes:,} processes, {count:,} series, {samples:,.0f} million samples: "
        f"{server.rss_mib:,.0f} MiB of memory and {server.disk_mib:,.0f} MiB of disk"
    )


def rules(groups: list[fleet_rules.Group], series: dict[str, int], seconds: dict[str, float]) -> None:
    """Print what each group costs."""
    rows = []
    for group in groups:
        name, interval = group["name"], fleet_rules.seconds(group["interval"])
        share = seconds[name] / interval
        rows.append((name, str(len(group["rules"])), f"{series[name]:,}", f"{seconds[name]:.2f} s", f"{share:.1%}"))
    table("Evaluation of recording rules", ("group", "rules", "series", "one evaluation", "of its interval"), rows)


def panels(server: Server, board: Board, end: int) -> None:
    """Print how long each query takes."""
    rows, slow = [], []
    for query in queries(board):
        say(f"\r{query.panel:60}")
        seconds = [ask(server, asked(board, query, VIEW), query, end) for _ in range(ROUNDS)]
        took = median(one.seconds for one in seconds)
        raw = RAW.get((query.panel, query.ref))
        rows.append(
            (
                f"{query.panel} {query.ref}",
                f"{seconds[0].series:,}",
                f"{took:.3f} s",
                *compared(server, query, raw, took, end),
            )
        )
        if took > GOAL_SECONDS:
            slow.append(query.panel)
    say("\r")
    table("Fleet's queries, medians of three", ("panel", "series", "as it is", "raw", "raw / as it is"), rows)
    print(f"\nAbove {GOAL_SECONDS} s: {', '.join(slow) or 'none'}")


def compared(server: Server, query: Query, raw: str | None, took: float, end: int) -> tuple[str, str]:
    """The time of the raw query, and how many times as long that is."""
    if raw is None:
        return "", ""
    seconds = ask(server, asked({"panels": []}, replace(query, expression=raw), VIEW), query, end).seconds
    return f"{seconds:.2f} s", f"{seconds / took:,.0f}"


def ask(server: Server, expression: str, query: Query, end: int) -> Answer:
    """Over the view's range, or at its end."""
    if query.instant:
        return server.at(expression, end)
    step = VIEW.step(query.interval)
    return server.over(expression, end - VIEW.range + step, end, step)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say what is under way, and how long it took."""
    say(f"{what} …\n")
    began = time.perf_counter()
    yield
    say(f"{what}: {time.perf_counter() - began:.0f} s\n")


def say(text: str) -> None:
    """To whoever waits; the tables are for standard output."""
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
