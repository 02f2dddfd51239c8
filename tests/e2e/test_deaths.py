"""Heaps driven to their end: the 503 comes before V8 gives up, every time; healthy heaps never lose their health."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, NODE_MAJORS, SPREAD_MAJORS, AgentHandle, Program, agent, app, demo, get, node

AT_ONCE = "defaults: {health: {heap_usage: {for: 0s}}}\n"
PREFILLED = 0.6
"""The first two thirds of a heap are no news; filling them at once keeps the test short."""
SHORT_SECONDS = 2.0
ASK_EVERY_SECONDS = 0.05
"""As a busy load balancer does; more would take the agent's time from it."""
DEADLINE_SECONDS = 240

pytestmark = pytest.mark.node


@dataclass
class Death:
    """One process on its way: what a load balancer that asks again and again was told last."""

    program: Program
    told: dict[int, float] = field(default_factory=dict)
    """Status → monotonic time at which it was first told."""
    ended_at: float | None = None


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[AgentHandle]:
    """An agent at its defaults, but for `for: 0s`."""
    with agent(tmp_path, AT_ONCE) as started:
        yield started


def _ask_until_the_end(watcher: AgentHandle, deaths: Sequence[Death]) -> None:
    """Ask for everybody's health again and again, by one request at a time, until all have ended."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (living := [death for death in deaths if death.ended_at is None]) and time.monotonic() < deadline:
        serving = {one["pid"]: one["serving"] for one in watcher.get("/healthz").json["processes"]}
        now = time.monotonic()
        for death in living:
            told = serving.get(death.program.pid)
            if told is not None:
                death.told.setdefault(200 if told else 503, now)
            if death.program.process.poll() is not None:
                death.ended_at = time.monotonic()
        time.sleep(ASK_EVERY_SECONDS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rate", [2, 20], ids=lambda rate: f"{rate}MBs")
@pytest.mark.parametrize("size", [64, 256], ids=lambda size: f"{size}MB")
def test_the_503_comes_before_the_end(watcher: AgentHandle, size: int, rate: int) -> None:
    """On every major a heap leaks until V8 aborts; each was told 503 first, and none before its heap was nearly full.

    Those that live for a moment only go one after another: five of them leave whoever asks no share of two cores.
    """
    at_once = len(NODE_MAJORS) if size * (1 - PREFILLED) / rate > SHORT_SECONDS else 1
    for first in range(0, len(NODE_MAJORS), at_once):
        _leak_to_the_end(watcher, NODE_MAJORS[first : first + at_once], size, rate)


def _leak_to_the_end(watcher: AgentHandle, majors: Sequence[int], size: int, rate: int) -> None:
    """So many at once, from their start to the last one's end."""
    with ExitStack() as stack:
        deaths = []
        for major in majors:
            environment = {"LEAK_MB_PER_S": str(rate), "LEAK_PREFILL_MB": str(int(size * PREFILLED))}
            option = f"--max-old-space-size={size}"
            leak = app(watcher, node(major), option, APPS / "leak_to_death.cjs", **environment)
            deaths.append(Death(stack.enter_context(leak)))
        _ask_until_the_end(watcher, deaths)
        for death, major in zip(deaths, majors, strict=True):
            assert death.ended_at is not None, f"Node {major} lived on"
            death.program.gathered()
            assert any("JavaScript heap out of memory" in line for line in death.program.err), f"Node {major}"
            assert 200 in death.told, f"Node {major} was never healthy"
            assert 503 in death.told, f"Node {major} died without a 503"
            assert death.told[200] < death.told[503] < death.ended_at


@pytest.mark.parametrize("major", SPREAD_MAJORS)
def test_a_large_static_cache_and_an_idle_app_stay_healthy(watcher: AgentHandle, major: int) -> None:
    """500 MB that stay, and nothing at all: never anything but healthy, though heapUsed / heapTotal is beyond .9."""
    with demo(watcher, major) as (started, url):
        wait_for(lambda: _state(watcher, started.pid) == "healthy")
        get(f"{url}/cache?mib=500")
        seen = set()

        def watched_long_enough() -> bool:
            entry = _entry(watcher, started.pid)
            # On a busy machine filling takes longer than figures count as fresh: the loop stands, and that is said.
            if "figures_stale" not in {reason["code"] for reason in entry["reasons"]}:
                seen.add(entry["status"])
            full = entry["memoryUsage"]["heapUsed"] > 400 * 2**20
            return full and time.monotonic() > deadline

        deadline = time.monotonic() + 5
        wait_for(watched_long_enough, 60)
        assert seen == {"healthy"}


def _entry(watcher: AgentHandle, pid: int) -> dict[str, object]:
    return next((one for one in watcher.get("/healthz").json["processes"] if one["pid"] == pid), {})


def _state(watcher: AgentHandle, pid: int) -> object:
    return _entry(watcher, pid).get("status")
