"""The sidecar's pod as it is shipped: one app that leaks, one agent beside it, in containers of their own."""

import json
from collections.abc import Iterator

import pytest

from fakes.conditions import wait_for
from fakes.podman import Podman
from fakes.pods import Parts, RunningPod, play

MIB = 2**20
LABELS = {"process": "demo", "worker": "0"}


def hurried(parts: Parts) -> None:
    """The settings that are shipped, with shorter times."""
    parts.settings["sample_interval"] = "250ms"
    (rule,) = parts.settings["processes"]
    rule["health"] = {"heap_usage": {"for": "0s"}}
    rule["restart"] |= {"min_uptime": "0s", "drain": "3s"}


@pytest.fixture(scope="module")
def pod(images: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPod]:
    """It runs, and the app's first figures are there."""
    with play(images, "sidecar", tmp_path_factory.mktemp("pod"), hurried) as running:
        running.await_figures()
        yield running


def test_figures_across_containers(pod: RunningPod) -> None:
    """Heap by the reporter, memory by the kernel, and the limit of the app's own container, not the agent's."""
    (one,) = pod.agent.processes()
    assert one["uid"] == 10001
    app = json.loads(pod.ask_app("/memory"))
    heap = wait_for(lambda: pod.agent.metric("heapwarden_heap_used_bytes", **LABELS, thread="main")) or 0
    assert heap == pytest.approx(app["heapUsed"], rel=0.5)
    assert pod.agent.metric("heapwarden_heap_effective_limit_bytes", **LABELS, thread="main") == 128 * MIB
    rss = wait_for(lambda: pod.agent.metric("heapwarden_rss_bytes", **LABELS)) or 0
    assert rss == pytest.approx(app["rss"], rel=0.5)
    wait_for(lambda: pod.agent.metric("heapwarden_container_limit_bytes", **LABELS) == 256 * MIB)
    memory = pod.agent.metric("heapwarden_container_memory_bytes", **LABELS) or 0
    assert 10 * MIB < memory < 256 * MIB
    for source in ("procfs", "cgroup", "reporter"):
        assert pod.agent.metric("heapwarden_up", **LABELS, source=source) == 1


def test_doctor_finds_nothing_to_mend(pod: RunningPod) -> None:
    """What is shipped is right: limits, reporter, and permissions without a capability. As `kubectl exec` would ask."""
    done = pod.exec("heapwarden", "heapwarden", "doctor", "--json")
    report = json.loads(done.stdout)
    assert [one["problems"] for one in report["processes"]] == [[]]
    assert done.returncode == 0
    (one,) = report["processes"]
    assert one["seenBy"] == "agent"
    assert one["heapLimitFrom"] == "--max-old-space-size=128 (NODE_OPTIONS)"


def test_a_leak_makes_the_pod_unready_and_then_is_restarted(pod: RunningPod) -> None:
    """503 at the readiness probe's path with the reason, then SIGTERM from the agent's container into the app's.

    The app's container comes back, as its policy says, and is ready; the agent was alive all the time.
    """
    before = pod.app_pid()
    assert pod.agent.get("/readyz").status == 200
    pod.ask_app("/cache?mib=85")
    pod.ask_app("/leak?mib=5")
    reasons = wait_for(lambda: refusal(pod), 90)["reasons"]
    assert any("of the effective heap limit" in reason["text"] for reason in reasons)
    assert pod.agent.get("/livez").status == 200
    restarts = {"reason": "heap_usage", "dry_run": "false"}
    wait_for(lambda: pod.agent.metric("heapwarden_restarts_total", **LABELS, **restarts) == 1, 90)
    wait_for(lambda: pod.agent.get("/readyz").status == 200, 90)
    pod.await_figures()
    assert pod.app_pid() not in (None, before)
    assert pod.agent.metric("heapwarden_exits_total", **LABELS, reason="memory_restart") == 1
    assert [pod.restarts(name) for name in ("app", "heapwarden")] == [1, 0]
    ended = wait_for(lambda: pod.history("exit"))
    assert "of its effective limit" in ended[-1]["text"]


def refusal(pod: RunningPod) -> dict[str, list[dict[str, str]]]:
    """The process as the readiness probe hears of it with a 503; empty with any other answer."""
    answer = pod.agent.get("/readyz")
    return answer.json["processes"][0] if answer.status == 503 else {}
