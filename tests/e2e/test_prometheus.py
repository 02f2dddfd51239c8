"""A real Prometheus scrapes a real agent beside real Node processes."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from fakes.conditions import wait_for
from fakes.machine import NODE_MAJORS, AgentHandle, agent, demo, free_port, get, program

MOST_SERIES = 80


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that scrapes ``target`` each second; its address."""
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "heapwarden", "static_configs": [{"targets": [target]}]}],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    port = free_port()
    command = (
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with program(command):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _ready(url))
        yield url


def _ready(url: str) -> bool:
    try:
        return get(f"{url}/-/ready").status == 200
    except OSError:
        return False


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[AgentHandle]:
    """An agent at its defaults."""
    with agent(tmp_path) as started:
        yield started


def _query(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    body = get(f"{url}/api/v1/query?query={quote(expression)}").json
    assert body["status"] == "success", body
    return [(one["metric"], float(one["value"][1])) for one in body["data"]["result"]]


@pytest.mark.node
def test_queries_give_what_the_agent_says(watcher: AgentHandle, tmp_path: Path) -> None:
    """Values that stand still are equal; the target is up; histograms work as histograms."""
    with demo(watcher, 22) as (_, url), prometheus(tmp_path, watcher.url.removeprefix("http://")) as server:
        get(f"{url}/garbage?mib=300")
        wait_for(lambda: _query(server, 'up{job="heapwarden"} == 1'))
        wait_for(lambda: _query(server, "heapwarden_heap_live_bytes") or _query(server, "heapwarden_heap_used_bytes"))
        for name in ("heapwarden_heap_limit_bytes", "heapwarden_heap_effective_limit_bytes"):
            ((_, value),) = _query(server, name)
            assert value == watcher.metric(name, process="server", worker="0", thread="main")
        quantile = "histogram_quantile(0.99, sum by (le) (heapwarden_gc_duration_seconds_bucket{kind='minor'}))"
        assert wait_for(lambda: _query(server, quantile))[0][1] > 0
        info = _query(server, "heapwarden_process_info")
        assert info[0][0]["node"].startswith("22.")
        assert _query(server, "heapwarden_up{source='reporter'}")[0][1] == 1


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
