"""The other pods under deploy/kubernetes that have a sidecar, as they are shipped."""

from pathlib import Path

import pytest

from fakes.podman import Podman
from fakes.pods import Parts, play

MIB = 2**20
EXISTING = "overlays/existing-deployment"


@pytest.mark.parametrize(
    ("kustomization", "user", "problems"),
    [
        pytest.param("native-sidecar", 10001, [], id="native"),
        # The app is as it was, and has V8's own choice of a heap limit: half of its container.
        pytest.param(f"{EXISTING}/sidecar", 1000, ["heap_limit_below_container"], id="added"),
        pytest.param(f"{EXISTING}/native-sidecar", 1000, ["heap_limit_below_container"], id="added native"),
    ],
)
def test_a_sidecar_sees_its_app(
    images: Podman, tmp_path: Path, kustomization: str, user: int, problems: list[str]
) -> None:
    """All of it: heap, kernel and container, without a missing permission."""
    with play(images, kustomization, tmp_path, _as_it_is) as pod:
        pod.await_figures()
        (one,) = pod.agent.processes()
        assert one["uid"] == user
        assert all(one["sources"].values())
        assert pod.problems() == problems


def test_a_pod_that_shares_no_processes(images: Podman, tmp_path: Path) -> None:
    """Without `shareProcessNamespace` the heap is known by the reporter alone, and doctor names the line."""
    with play(images, "sidecar", tmp_path, _apart) as pod:
        pod.await_figures()
        (one,) = pod.agent.processes()
        assert one["memoryUsage"]["heapUsed"] > MIB
        assert one["containerLimit"] is None
        assert pod.problems() == ["process_hidden"]
        assert "`shareProcessNamespace: true`" in pod.exec("heapwarden", "heapwarden", "doctor").stdout


def _as_it_is(parts: Parts) -> None:
    """No change."""


def _apart(parts: Parts) -> None:
    """Everybody is PID 1."""
    parts.spec["shareProcessNamespace"] = False
    # Nothing tells the app's command line then, by which a rule would name it.
    parts.settings["unmatched"] = "watch"
