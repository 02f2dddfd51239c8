"""Ends that nobody prevented, in real containers: each gets its name, from the container beside."""

from collections.abc import Iterator

import pytest

from fakes.conditions import wait_for
from fakes.podman import Podman
from fakes.pods import Parts, RunningPod, play

LABELS = {"process": "demo", "worker": "0"}


def unguarded(parts: Parts, heap_mib: int) -> None:
    """No restart rule, and the app with a heap limit of its own."""
    parts.settings["sample_interval"] = "250ms"
    del parts.settings["processes"][0]["restart"]
    parts.set_variable("app", "NODE_OPTIONS", f"--require /reporter/heapwarden.cjs --max-old-space-size={heap_mib}")


@pytest.fixture(scope="module")
def high(images: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPod]:
    """A pod whose app may have a heap of 2 GiB in a container of 256 MiB."""
    with play(images, "sidecar", tmp_path_factory.mktemp("pod"), lambda parts: unguarded(parts, 2048)) as running:
        running.await_figures()
        yield running


@pytest.fixture(scope="module")
def low(images: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPod]:
    """A pod whose app has a heap of 48 MiB."""
    with play(images, "sidecar", tmp_path_factory.mktemp("pod"), lambda parts: unguarded(parts, 48)) as running:
        running.await_figures()
        yield running


def test_doctor_sees_the_kill_coming(high: RunningPod) -> None:
    """Before anything is wrong with memory: by the metric, too."""
    wait_for(lambda: high.problems() == ["heap_limit_above_container"])
    wait_for(lambda: high.agent.metric("heapwarden_config_problem", **LABELS, problem="heap_limit_above_container"))


def test_a_kill_by_the_kernel_is_named(high: RunningPod) -> None:
    """Twice, for the second one's cgroup is a new one: the app's container came back in between."""
    for kills in (1, 2):
        high.ask_app("/leak?mib=100")
        ended = wait_for(lambda: high.history("exit")[kills - 1 :], 90)  # noqa: B023  is over with its turn
        assert [one["what"] for one in ended] == ["cgroup_oom"]
        assert "killed 1 process of its container for memory" in ended[0]["text"]
        assert high.agent.metric("heapwarden_exits_total", **LABELS, reason="cgroup_oom") == kills
        high.await_figures()
        assert high.restarts("app") == kills
    assert high.restarts("heapwarden") == 0


def test_an_end_by_v8_is_named(low: RunningPod) -> None:
    """It aborts far below the container's limit."""
    low.ask_app("/leak?mib=20")
    wait_for(lambda: low.agent.metric("heapwarden_exits_total", **LABELS, reason="heap_oom") == 1, 90)
    (ended,) = wait_for(lambda: low.history("exit"))
    assert "the heap was at" in ended["text"]
    low.await_figures()
    assert low.restarts("app") == 1
