"""Pods and containers, read off the paths of cgroups."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.domain.pod_path import NOWHERE, PodPath, located, pod_path

UID = "0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f"
UNDER = UID.replace("-", "_")
STATIC = "1864dd0546310be9937c37cf88024cb8"
ID = "7f3c9e" + "0" * 58
INNER = "ab" * 32
FULL = PodPath(UID, ID)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDER}.slice/cri-containerd-{ID}.scope",
            FULL,
            id="containerd, systemd",
        ),
        pytest.param(f"/kubepods/burstable/pod{UID}/{ID}", FULL, id="containerd or Docker, cgroupfs"),
        pytest.param(
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UNDER}.slice/crio-{ID}.scope",
            FULL,
            id="CRI-O, systemd",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{UNDER}.slice/crio-{ID}.scope/container", FULL, id="CRI-O with crun, v2"
        ),
        pytest.param(f"/kubepods/pod{UID}/crio-{ID}", FULL, id="CRI-O, cgroupfs"),
        pytest.param(f"/kubepods.slice/kubepods-pod{UNDER}.slice/docker-{ID}.scope", FULL, id="Docker, systemd"),
        pytest.param(f"/kubepods.slice/kubepods-pod{UNDER}.slice/cri-containerd-{ID}.scope", FULL, id="guaranteed"),
        pytest.param(f"/kubepods/besteffort/pod{UID}/{ID}", FULL, id="besteffort, cgroupfs"),
        pytest.param(
            f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
            f"kubelet-kubepods-besteffort-pod{UNDER}.slice/cri-containerd-{ID}.scope",
            FULL,
            id="kind",
        ),
        pytest.param(f"/docker/{INNER}/kubelet/kubepods/burstable/pod{UID}/{ID}", FULL, id="kind, cgroupfs, v1"),
        pytest.param(
            f"/system.slice/docker-{INNER}.scope/kubepods.slice/kubepods-pod{UNDER}.slice/crio-{ID}.scope",
            FULL,
            id="minikube in Docker",
        ),
        pytest.param(
            f"/system.slice/containerd.service/kubepods-burstable-pod{UNDER}.slice:cri-containerd:{ID}",
            FULL,
            id="drivers that differ",
        ),
        pytest.param(f"/kubepods/burstable/pod{UID}/{ID}/docker/{INNER}", FULL, id="a container within the container"),
        pytest.param(
            f"/kubepods/burstable/pod{STATIC}/{ID}/kubelet/kubepods/pod{UID}/{INNER}",
            PodPath(UID, INNER),
            id="a cluster within a pod",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC}.slice/crio-{ID}.scope",
            PodPath(STATIC, ID),
            id="static pod, systemd",
        ),
        pytest.param(f"/kubepods/burstable/pod{STATIC}/{ID}", PodPath(STATIC, ID), id="static pod, cgroupfs"),
        pytest.param(
            f"/../../../kubepods-besteffort.slice/kubepods-besteffort-pod{UNDER}.slice/cri-containerd-{ID}.scope",
            FULL,
            id="another pod, from a cgroup namespace",
        ),
        pytest.param(f"/kubepods/burstable/pod{UID}", PodPath(UID, ""), id="no container"),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{UNDER}.slice/crio-conmon-{ID}.scope", PodPath(UID, ""), id="CRI-O's monitor"
        ),
        pytest.param(f"/../cri-containerd-{ID}.scope", None, id="beside, in the same pod"),
        pytest.param("/", None, id="the reader's own"),
        pytest.param("/../..", None, id="above the reader's own"),
        pytest.param("", None, id="nothing"),
        pytest.param(f"/system.slice/docker-{ID}.scope", None, id="Docker without Kubernetes"),
        pytest.param(f"/docker/{ID}", None, id="Docker without Kubernetes, cgroupfs"),
        pytest.param(f"/machine.slice/libpod_pod_{ID}/libpod-{INNER}.scope", None, id="Podman's pods"),
        pytest.param("/system.slice/kubelet.service", None, id="the kubelet"),
        pytest.param("/user.slice/user-1000.slice/pod.slice", None, id="merely called so"),
        pytest.param(f"/kubepods/pod{UID[:-1]}/{ID}", None, id="too short a uid"),
        pytest.param(f"/kubepods/pod{UID}0/{ID}", None, id="too long a uid"),
    ],
)
def test_paths_of_real_nodes(path: str, found: PodPath | None) -> None:
    """Each runtime, driver and class."""
    assert pod_path(path) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(f"0::/kubepods/pod{UID}/{ID}\n", FULL, id="v2"),
        pytest.param(
            f"12:pids:/kubepods/pod{UID}/{ID}\n4:cpu,cpuacct:/kubepods/pod{UID}/{ID}\n1:name=systemd:/\n0::/\n",
            FULL,
            id="v1 and hybrid",
        ),
        pytest.param(f"2:rdma:/kubepods/pod{UID}\n1:memory:/kubepods/pod{UID}/{ID}\n", FULL, id="one ends at the pod"),
        pytest.param(f"0::/../cri-containerd-{ID}.scope\n", PodPath("", ID), id="beside a sidecar"),
        pytest.param(f"0::/../../crio-{ID}.scope/container\n", PodPath("", ID), id="beside a sidecar, with crun"),
        pytest.param(f"0::/../../../system.slice/docker-{ID}.scope\n", NOWHERE, id="in no pod, seen from within one"),
        pytest.param("0::/\n", NOWHERE, id="own namespace"),
        pytest.param(f"0::/docker/{ID}\n", NOWHERE, id="Docker without Kubernetes"),
        pytest.param("", NOWHERE, id="nothing"),
        pytest.param("no cgroup at all", NOWHERE, id="something else"),
    ],
)
def test_the_file_of_a_process(text: str, found: PodPath) -> None:
    """All hierarchies are looked at."""
    assert located(text) == found


HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
UIDS = st.uuids().map(str)
CLASSES = st.sampled_from(("", "burstable", "besteffort"))
RUNTIMES = st.sampled_from(("cri-containerd", "crio", "docker"))
ABOVE = st.lists(st.text("abcdefgh.-_", min_size=1, max_size=12), max_size=4).map(
    lambda parts: "".join(f"/{p}" for p in parts)
)


@given(ABOVE, UIDS, CLASSES, st.tuples(RUNTIMES, HEX), st.sampled_from(("", "/container", "/init.scope")))
def test_systemds_names_are_read_back(above: str, uid: str, kind: str, container: tuple[str, str], below: str) -> None:
    """Whatever stands above and below."""
    runtime, id_ = container
    prefix = f"kubepods-{kind}" if kind else "kubepods"
    path = f"{above}/kubepods.slice/{prefix}-pod{uid.replace('-', '_')}.slice/{runtime}-{id_}.scope{below}"
    assert pod_path(path) == (uid, id_)


@given(ABOVE, UIDS, CLASSES, HEX)
def test_cgroupfs_names_are_read_back(above: str, uid: str, kind: str, id_: str) -> None:
    """Likewise."""
    assert pod_path("/".join(filter(None, (above or "/", "kubepods", kind, f"pod{uid}", id_)))) == (uid, id_)


@given(st.text())
def test_whatever_is_there_is_no_fault(text: str) -> None:
    """Names of cgroups are anybody's; what comes out is short and plain, or nothing."""
    uid, container_id = located(text)
    assert len(uid) in (0, 32, 36)
    assert len(container_id) in (0, 64)
