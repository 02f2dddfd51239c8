"""Which pod a process is in, as a sidecar knows it."""

from pathlib import Path

import pytest

from heapwarden.domain.identity import ProcessId
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.ports import Pod

UID = "0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f"
VARIABLES = {"HEAPWARDEN_POD_NAMESPACE": "apps", "HEAPWARDEN_POD_NAME": "api-1", "HEAPWARDEN_POD_UID": UID}
POD = Pod("apps", "api-1", UID)


def proc(folder: Path, cgroup: str) -> Path:
    """A /proc in which pid 7 is in ``cgroup``."""
    (folder / "7").mkdir()
    (folder / "7" / "cgroup").write_text(cgroup)
    return folder


@pytest.mark.parametrize(
    "cgroup",
    [
        pytest.param("0::/\n", id="own namespace"),
        pytest.param("0::/../cri-containerd-abc.scope\n", id="another container of a namespace"),
        pytest.param("0::/../../crio-abc.scope/container\n", id="another container, CRI-O with crun"),
        pytest.param(f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-1.scope\n", id="systemd"),
        pytest.param(f"4:memory:/kubepods/burstable/pod{UID}/abc\n0::/\n", id="cgroupfs, v1"),
    ],
)
def test_what_it_watches_is_in_its_own_pod(tmp_path: Path, cgroup: str) -> None:
    """As the Downward API says."""
    assert OwnPod(VARIABLES, proc(tmp_path, cgroup)).pod_of(ProcessId(7, 1)) == POD


@pytest.mark.parametrize(
    "cgroup",
    [
        pytest.param(f"0::/kubepods.slice/kubepods-pod{UID.replace('0', '1').replace('-', '_')}.slice\n", id="systemd"),
        pytest.param(f"4:memory:/kubepods/burstable/pod{UID.replace('0', '1')}/abc\n", id="cgroupfs, v1"),
        pytest.param("0::/kubepods/pod0f3c1a527a0e4a0b9d5e2f1b6c7d8e90/abc\n", id="a static pod"),
        pytest.param("0::/../../../../system.slice/shop.service\n", id="the host's own"),
        pytest.param(f"0::/../../../system.slice/docker-{'7' * 64}.scope\n", id="a container that is no pod's"),
    ],
)
def test_one_in_another_pod_is_nobodys(tmp_path: Path, cgroup: str) -> None:
    """An agent that sees other pods' processes must not evict its own for them."""
    assert OwnPod(VARIABLES, proc(tmp_path, cgroup)).pod_of(ProcessId(7, 1)) is None


def test_a_hosts_process_is_in_no_pod_where_the_agents_own_cgroup_names_one(tmp_path: Path) -> None:
    """With the host's cgroup namespace paths are whole: what has no pod in them is in none."""
    folder = proc(tmp_path, "0::/system.slice/shop.service\n")
    (folder / "self").mkdir()
    (folder / "self" / "cgroup").write_text(
        f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-1.scope\n"
    )
    assert OwnPod(VARIABLES, folder).pod_of(ProcessId(7, 1)) is None


def test_one_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    """What can't be read is not guessed."""
    assert OwnPod(VARIABLES, tmp_path).pod_of(ProcessId(7, 1)) is None


def test_one_in_a_pid_namespace_of_its_own_is_in_the_pod(tmp_path: Path) -> None:
    """It has reached the socket, which the containers of the pod share."""
    assert OwnPod(VARIABLES, tmp_path).pod_of(ProcessId(0, 1, "4026532")) == POD


@pytest.mark.parametrize("missing", VARIABLES)
def test_without_one_of_the_variables_nothing_is_known(tmp_path: Path, missing: str) -> None:
    """Not even half."""
    folder = tmp_path / "account"
    variables = {key: value for key, value in VARIABLES.items() if key != missing}
    found = OwnPod({**variables, "HEAPWARDEN_SERVICE_ACCOUNT": str(folder)}, proc(tmp_path, "0::/\n"))
    assert found.pod_of(ProcessId(7, 1)) is None


@pytest.mark.parametrize("odd", ["apps/../shop", "apps?dryRun=All", "Apps", "..", "a" * 254, " apps", "apps\n"])
@pytest.mark.parametrize("key", ["HEAPWARDEN_POD_NAMESPACE", "HEAPWARDEN_POD_NAME"])
def test_what_can_be_no_name_is_none(tmp_path: Path, key: str, odd: str) -> None:
    """It would become part of an address, and mean another."""
    found = OwnPod({**VARIABLES, key: odd, "HEAPWARDEN_SERVICE_ACCOUNT": str(tmp_path)}, tmp_path)
    assert found.pod is None
    assert odd not in (found.namespace, found.where)


def test_the_namespace_is_the_service_accounts(tmp_path: Path) -> None:
    """Where the variable is not there."""
    (tmp_path / "namespace").write_text("shop\n")
    found = OwnPod({**VARIABLES, "HEAPWARDEN_POD_NAMESPACE": "", "HEAPWARDEN_SERVICE_ACCOUNT": str(tmp_path)})
    assert (found.namespace, found.where) == ("shop", "api-1")
    assert OwnPod({}).where
