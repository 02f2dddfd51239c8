"""Pods and containers of processes, on the layouts that real nodes have."""

from pathlib import Path

import pytest

from fakes.planting import plant, plant_text, stat_line
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.pod_path import NOWHERE, PodPath
from heapwarden.sources.cgroup import CgroupSource

CONTAINERD = PodPath("0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e01", "1a" * 32)
CRIO = PodPath("0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e02", "2b" * 32)
DOCKER = PodPath("1864dd0546310be9937c37cf88024cb8", "3c" * 32)
OTHER = PodPath(CRIO.uid, "4d" * 32)


def process(pid: int, namespace: str = "") -> Process:
    """A process of which only the identity matters."""
    return Process(ProcessId(pid, 5000, namespace), ("node", "server.js"), 0.0, "server")


def source(root: Path) -> CgroupSource:
    """A source on a planted tree, on a machine of 16 GB."""
    return CgroupSource(root / "proc", file_root=root, machine_bytes=16_000_000_000)


@pytest.mark.parametrize("driver", ["systemd", "cgroupfs"])
@pytest.mark.parametrize("version", [1, 2])
def test_each_runtime_and_driver(tmp_path: Path, version: int, driver: str) -> None:
    """Which pod, which container, and its limit."""
    cgroups = source(plant(f"cgroup/v{version}_kubepods_{driver}.tree", tmp_path))
    ones = [process(pid) for pid in (100, 101, 102)]
    figures = cgroups.read(ones, 7.0)
    assert [cgroups.pod_path(one.id) for one in ones] == [CONTAINERD, CRIO, DOCKER]
    assert [figures[one.id].limit_bytes for one in ones] == [300_000_000, 300_000_001, 300_000_002]
    assert {figures[one.id].oom_kills for one in ones} == {0}


@pytest.mark.parametrize("layout", ["v2_root", "v2_systemd_service", "v1_docker_host", "v1_docker_inside"])
def test_a_process_in_no_pod(tmp_path: Path, layout: str) -> None:
    """Is nowhere, which is known."""
    cgroups = source(plant(f"cgroup/{layout}.tree", tmp_path))
    cgroups.read([process(100)], 7.0)
    assert cgroups.pod_path(process(100).id) == NOWHERE


def test_nothing_is_known_before_the_first_reading(tmp_path: Path) -> None:
    """Nor of a process that can't be seen, or is gone."""
    cgroups = source(plant("cgroup/v2_kubepods_systemd.tree", tmp_path))
    assert cgroups.pod_path(process(100).id) is None
    cgroups.read([process(100), process(7), process(0, "pid:[1]")], 7.0)
    assert cgroups.pod_path(process(7).id) is None
    assert cgroups.pod_path(process(0, "pid:[1]").id) is None


def test_one_without_any_memory_controller_has_a_pod(tmp_path: Path) -> None:
    """An agent in a container without the node's cgroups mounted sees names and no figures."""
    tree = (
        f"=== proc/self/mountinfo\n\n=== proc/100/cgroup\n0::/../../kubepods-pod{CRIO.uid.replace('-', '_')}.slice/"
        f"crio-{CRIO.container_id}.scope\n=== proc/100/mountinfo\n\n=== proc/100/stat\n{stat_line(100, 5000)}"
    )
    cgroups = source(plant_text(tree, tmp_path))
    assert cgroups.read([process(100)], 7.0) == {}
    assert cgroups.pod_path(process(100).id) == CRIO


def test_one_that_moves_is_found_anew(tmp_path: Path) -> None:
    """As by a runtime that starts a process first and puts it into its cgroup then."""
    root = plant("cgroup/v2_kubepods_systemd.tree", tmp_path)
    cgroups = source(root)
    cgroups.read([process(100)], 7.0)
    (root / "proc" / "100" / "cgroup").write_text(f"0::/kubepods/pod{OTHER.uid}/{OTHER.container_id}\n")
    cgroups.read([process(100)], 8.0)
    assert cgroups.pod_path(process(100).id) == OTHER
