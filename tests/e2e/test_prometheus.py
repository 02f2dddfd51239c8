"""A real Prometheus scrapes a real agent beside real Node processes."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import NODE_MAJORS, AgentHandle, agent, demo, get
from fakes.prometheus import job, prometheus

MOST_SERIES = 80


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[AgentHandle]:
    """An agent at its defaults."""
    with agent(tmp_path) as started:
        yield started


@pytest.mark.node
def test_queries_give_what_the_agent_says(watcher: AgentHandle, tmp_path: Path) -> None:
    """Values that stand still are equal; the target is up; histograms work as histograms."""
    with demo(watcher, 22) as (_, url), prometheus(tmp_path, job(watcher.url)) as server:
        get(f"{url}/garbage?mib=300")
        wait_for(lambda: server.query('up{job="heapwarden"} == 1'))
        wait_for(lambda: server.query("heapwarden_heap_live_bytes") or server.query("heapwarden_heap_used_bytes"))
        for name in ("heapwarden_heap_limit_bytes", "heapwarden_heap_effective_limit_bytes"):
            ((_, value),) = server.query(name)
            assert value == watcher.metric(name, process="server", worker="0", thread="main")
        quantile = "histogram_quantile(0.99, sum by (le) (heapwarden_gc_duration_seconds_bucket{kind='minor'}))"
        assert wait_for(lambda: server.query(quantile))[0][1] > 0
        info = server.query("heapwarden_process_info")
        assert info[0][0]["node"].startswith("22.")
        assert server.query("heapwarden_up{source='reporter'}")[0][1] == 1


@pytest.mark.node
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_a_process_keeps_its_budget_of_series(watcher: AgentHandle, major: int) -> None:
    """At most 80 series for one process with one isolate, whatever its Node has in heap spaces."""
    with demo(watcher, major, "--expose-gc") as (_, url):
        get(f"{url}/garbage?mib=200")
        wait_for(
            lambda: watcher.metric("heapwarden_gc_duration_seconds_count", process="server", worker="0", kind="minor")
        )
        wait_for(lambda: watcher.metric("heapwarden_container_memory_bytes", process="server", worker="0") is not None)
        own = [name for name, labels in watcher.metrics() if ("process", "server") in labels]
        assert 30 < len(own) <= MOST_SERIES


@pytest.mark.node
def test_promtool_has_no_complaint(watcher: AgentHandle) -> None:
    """`promtool check metrics` on a live scrape says nothing and succeeds."""
    with demo(watcher, 24):
        wait_for(lambda: watcher.metric("heapwarden_heap_used_bytes", process="server", worker="0", thread="main"))
        text = watcher.get("/metrics").text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
