"""Every supported Node, measured for real: figures against the app's own, collections against the app's own count."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, NODE_MAJORS, AgentHandle, Program, agent, app, get, node

WITNESS = APPS / "witness.cjs"
BETWEEN_LOOKS_BYTES = 512 * 1024
"""What an app can allocate between two of its own looks, two milliseconds apart."""
RSS_SLACK_BYTES = 8 * 2**20
"""The kernel batches counts of resident pages by CPU, and Node's own figure is of another moment."""

pytestmark = [pytest.mark.node, pytest.mark.parametrize("major", NODE_MAJORS)]


@contextmanager
def witness(watcher: AgentHandle, major: int, *options: str, **environment: str) -> Iterator[tuple[Program, str]]:
    """The app that knows itself, and its address."""
    with app(watcher, node(major), *options, WITNESS, **environment) as started:
        yield started, started.line("witness on ").split()[-1]


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[AgentHandle]:
    """An agent that samples often."""
    with agent(tmp_path, "sample_interval: 250ms\ndefaults: {health: {stale_after: 2s}}\n") as started:
        yield started


def _entry(watcher: AgentHandle, pid: int) -> dict[str, object] | None:
    return next((one for one in watcher.get("/healthz").json["processes"] if one["pid"] == pid), None)


def test_figures_are_the_apps_own(watcher: AgentHandle, major: int) -> None:
    """Heap figures lie between what the app saw of itself meanwhile; RSS is the kernel's and agrees with Node's."""
    with witness(watcher, major) as (program, url):
        wait_for(lambda: (_entry(watcher, program.pid) or {}).get("status") == "healthy")
        labels = {"process": "witness", "worker": "0", "thread": "main"}
        names = {
            "heapUsed": "heapwarden_heap_used_bytes",
            "heapTotal": "heapwarden_heap_total_bytes",
            "external": "heapwarden_external_bytes",
            "arrayBuffers": "heapwarden_array_buffers_bytes",
        }
        metrics = watcher.metrics()
        seen = get(f"{url}/range").json
        for key, name in names.items():
            low, high = seen[key]
            value = metrics[name, frozenset(labels.items())]
            assert low - BETWEEN_LOOKS_BYTES <= value <= high + BETWEEN_LOOKS_BYTES, (key, low, value, high)

        def rss_agrees() -> bool:
            low, high = get(f"{url}/range").json["rss"]
            rss = watcher.metric("heapwarden_rss_bytes", process="witness", worker="0") or 0
            return bool(low - RSS_SLACK_BYTES <= rss <= high + RSS_SLACK_BYTES)

        wait_for(rss_agrees)


def test_every_collection_of_a_burst_is_counted(watcher: AgentHandle, major: int) -> None:
    """Hundreds of collections in one synchronous stretch: what the app counted by itself, to the last one."""
    with witness(watcher, major, "--max-semi-space-size=1") as (program, url):
        wait_for(lambda: _entry(watcher, program.pid))

        def counted() -> dict[str, int]:
            found = {
                dict(labels)["kind"]: int(value)
                for (name, labels), value in watcher.metrics().items()
                if name == "heapwarden_gc_duration_seconds_count"
            }
            return {kind: found.get(kind, 0) for kind in ("minor", "major", "incremental")}

        def both() -> tuple[dict[str, int], dict[str, int]] | None:
            """Heapwarden's count between two equal counts of the app: nothing was collected meanwhile."""
            before = get(f"{url}/collections").json
            ours = wait_for(lambda: _fresh(watcher, program.pid, counted))
            if get(f"{url}/collections").json != before:
                return None
            return {kind: before.get(kind, 0) for kind in ("minor", "major", "incremental")}, ours

        theirs_before, ours_before = wait_for(both)
        get(f"{url}/burst?300")

        def agree() -> bool:
            theirs, ours = wait_for(both)
            return all(theirs[k] - theirs_before[k] == ours[k] - ours_before[k] for k in theirs) and theirs["minor"] > 0

        wait_for(agree)
        theirs, _ = wait_for(both)
        assert theirs["minor"] - theirs_before["minor"] >= 20


def _fresh(watcher: AgentHandle, pid: int, read: Callable[[], dict[str, int]]) -> dict[str, int]:
    """What ``read`` gives, from figures that are newer than this call."""
    start = _sequence(watcher, pid)
    wait_for(lambda: _sequence(watcher, pid) != start)
    return read()


def _sequence(watcher: AgentHandle, pid: int) -> object:
    found = next((one for one in watcher.processes() if one["pid"] == pid), {})
    return found.get("sampledAt", found.get("heap"))


def test_cluster_workers_keep_their_slots_across_a_kill(watcher: AgentHandle, major: int) -> None:
    """A primary and four workers; one is killed; its successor goes on under the same labels, the others stay."""
    with witness(watcher, major, CLUSTER="4") as (program, url):

        def slots() -> dict[str, int] | None:
            found = {one["worker"]: one["pid"] for one in watcher.processes() if one["process"] == "witness"}
            pids = {program.pid, *get(f"{url}/pids").json}
            return found if set(found.values()) == pids and len(pids) == 5 else None

        before = wait_for(slots)
        assert sorted(before) == ["0", "1", "2", "3", "4"]
        slot, victim = next((slot, pid) for slot, pid in before.items() if pid != program.pid)
        os.kill(victim, signal.SIGKILL)
        after = wait_for(lambda: (now := slots()) and victim not in now.values() and now)
        assert after == before | {slot: after.get(slot)}


def test_worker_threads_report_for_themselves(watcher: AgentHandle, major: int) -> None:
    """Four threads: five isolates, their sum under `thread="workers"`; they end and only the main one is left."""
    with witness(watcher, major) as (program, url):
        wait_for(lambda: _entry(watcher, program.pid))
        for _ in range(4):
            get(f"{url}/worker")
        labels = {"process": "witness", "worker": "0"}
        wait_for(lambda: watcher.metric("heapwarden_isolates", **labels) == 5)
        wait_for(lambda: (watcher.metric("heapwarden_heap_used_bytes", **labels, thread="workers") or 0) > 4 * 2**20)
        get(f"{url}/workers/end")
        wait_for(lambda: watcher.metric("heapwarden_isolates", **labels) == 1)
        assert watcher.metric("heapwarden_heap_used_bytes", **labels, thread="workers") is None


def test_a_blocked_loop_is_seen_and_health_still_answers(watcher: AgentHandle, major: int) -> None:
    """While JavaScript spins: the age of the figures grows, the state turns unknown and says why, then it heals."""
    with witness(watcher, major) as (program, url):
        wait_for(lambda: (_entry(watcher, program.pid) or {}).get("status") == "healthy")
        blocked = threading.Thread(target=get, args=(f"{url}/block?5000",))
        blocked.start()
        unknown = wait_for(
            lambda: (one := _entry(watcher, program.pid)) and one["status"] == "unknown" and one, every=0.01
        )
        assert watcher.get("/healthz").status == 200
        assert unknown["sampleAge"] > 2
        assert "event loop" in unknown["reasons"][0]["text"]
        first = watcher.metric("heapwarden_sample_age_seconds", process="witness", worker="0")
        wait_for(lambda: (watcher.metric("heapwarden_sample_age_seconds", process="witness", worker="0") or 0) > first)
        assert (watcher.metric("heapwarden_rss_bytes", process="witness", worker="0") or 0) > 0
        blocked.join()
        wait_for(lambda: (_entry(watcher, program.pid) or {}).get("status") == "healthy")


def test_the_end_of_a_process_is_seen(watcher: AgentHandle, major: int) -> None:
    """One that exits at once leaves nothing; one killed with SIGKILL is gone from the list."""
    with app(watcher, node(major), "-e", "0") as short:
        assert short.wait() == 0
        assert short.err == []
    with witness(watcher, major) as (program, _):
        wait_for(lambda: _entry(watcher, program.pid))
        program.signal(9)
        program.wait()
        wait_for(lambda: _entry(watcher, program.pid) is None)
    assert watcher.program.process.poll() is None
