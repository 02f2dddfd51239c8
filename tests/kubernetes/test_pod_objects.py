"""Pods as the API writes them, and as nobody should."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.domain.exit import Termination
from heapwarden.kubernetes import pod_objects
from heapwarden.kubernetes.pod_objects import MOST_CHARACTERS, MalformedError
from heapwarden.kubernetes.pod_table import MOST_CONTAINERS, KnownPod

METADATA = {"uid": "u-1", "namespace": "apps", "name": "api-1", "resourceVersion": "12"}


def read(metadata: Any = METADATA, **parts: Any) -> KnownPod:
    """As it comes by the wire."""
    return pod_objects.pod(json.dumps({"kind": "Pod", "metadata": metadata, **parts}).encode())


def test_a_pod_that_runs() -> None:
    """Its names, those of its containers by their ids, and nothing else."""
    spec = {"nodeName": "node-1", "containers": [{"name": "app", "image": "x"}, {"name": "proxy"}], "volumes": []}
    statuses = [
        {"name": "app", "containerID": "containerd://aa", "state": {"running": {"startedAt": "now"}}, "lastState": {}},
        {"name": "proxy", "containerID": "cri-o://bb", "ready": True},
    ]
    known = read(spec=spec, status={"phase": "Running", "containerStatuses": statuses})
    assert known == KnownPod("u-1", "apps", "api-1", "12", names={"aa": "app", "bb": "proxy"})


@pytest.mark.parametrize(
    ("spec", "sole"),
    [
        pytest.param({"containers": [{"name": "app"}]}, "app", id="one"),
        pytest.param({"containers": [{"name": "app"}], "initContainers": [{"name": "init"}]}, "app", id="init ends"),
        pytest.param(
            {"containers": [{"name": "app"}], "initContainers": [{"name": "side", "restartPolicy": "Always"}]},
            "",
            id="a native sidecar goes on",
        ),
        pytest.param({"containers": [{"name": "app"}, {"name": "proxy"}]}, "", id="two"),
        pytest.param({"containers": None}, "", id="none"),
        pytest.param(None, "", id="nothing"),
    ],
)
def test_the_only_container(spec: Any, sole: str) -> None:
    """Its name is known before the kubelet has told its id."""
    assert read(spec=spec).sole == sole


def test_a_container_that_was_killed_and_is_there_again() -> None:
    """The kubelet tells how the last one ended; it is known by its own id."""
    end = {"exitCode": 137, "reason": "OOMKilled", "containerID": "containerd://aa", "finishedAt": "now"}
    status = {
        "name": "app",
        "containerID": "containerd://bb",
        "restartCount": 1,
        "state": {"running": {}},
        "lastState": {"terminated": end},
    }
    known = read(status={"containerStatuses": [status]})
    assert known.ends == {"aa": Termination("OOMKilled", 137)}
    assert known.names == {"aa": "app", "bb": "app"}


def test_a_container_that_waits_to_be_started_again() -> None:
    """CrashLoopBackOff: the id is that of the one that has ended."""
    end = {"exitCode": 134, "reason": "Error", "containerID": "containerd://aa"}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {"name": "app", "containerID": "containerd://aa", "state": state, "lastState": {"terminated": end}}
    assert read(status={"containerStatuses": [status]}).ends == {"aa": Termination("Error", 134)}


def test_containers_of_every_kind() -> None:
    """Native sidecars stand among init containers; what has just ended and has no successor yet is there too."""
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "containerID": "containerd://cc"}}
    known = read(
        status={
            "initContainerStatuses": [{"name": "side", "containerID": "containerd://bb", "state": {"running": {}}}],
            "containerStatuses": [{"name": "app", "containerID": "containerd://cc", "state": ended}],
            "ephemeralContainerStatuses": [{"name": "debugger", "containerID": "containerd://dd"}],
        }
    )
    assert known.names == {"bb": "side", "cc": "app", "dd": "debugger"}
    assert known.ends == {"cc": Termination("Completed", 0)}


def test_a_static_pod_has_the_kubelets_uid_too() -> None:
    """In an annotation; others are not looked at."""
    annotations = {"kubernetes.io/config.hash": "0" * 32, "other": "x"}
    assert read({**METADATA, "annotations": annotations}).static_uid == "0" * 32
    assert read({**METADATA, "annotations": None}).static_uid == ""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"metadata": {"name": "x"}}, id="no uid"),
        pytest.param({"metadata": {"uid": "x"}}, id="no name"),
        pytest.param({"metadata": METADATA, "status": {"containerStatuses": "x"}}, id="no list"),
        pytest.param({"metadata": {**METADATA, "name": 5}}, id="no text"),
        pytest.param([], id="no object"),
    ],
)
def test_what_is_no_pod_is_refused(body: Any) -> None:
    """One error for all."""
    with pytest.raises(MalformedError):
        pod_objects.pod(json.dumps(body).encode())


def test_a_list_with_one_that_can_not_be_read() -> None:
    """The others are taken."""
    items = [{"metadata": METADATA}, {"metadata": 5}, {"metadata": {**METADATA, "uid": "u-2"}}]
    body = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "next"}, "items": items}
    page = pod_objects.page(json.dumps(body).encode())
    assert ([pod.uid for pod in page.pods], page.version, page.following, page.malformed) == (
        ["u-1", "u-2"],
        "7",
        "next",
        1,
    )
    assert pod_objects.page(b'{"metadata": {}, "items": null}').pods == []


def test_names_and_numbers_are_bounded() -> None:
    """Whoever may write pods may write anything."""
    statuses = [{"name": "n" * 5_000, "containerID": f"containerd://{n}"} for n in range(500)]
    known = read({**METADATA, "name": "x" * 5_000}, status={"containerStatuses": statuses})
    assert len(known.name) == MOST_CHARACTERS
    assert len(known.names) == MOST_CONTAINERS
    assert {len(name) for name in known.names.values()} == {MOST_CHARACTERS}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("metadata", "status", "spec", "uid", "name", "items", "type", "object", "containerStatuses", "state")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON.map(json.dumps).map(str.encode) | st.binary(max_size=40))
def test_nothing_else_is_raised(data: bytes) -> None:
    """Whatever comes."""
    for read_it in (pod_objects.pod, pod_objects.page, pod_objects.event, pod_objects.version):
        try:
            read_it(data)
        except MalformedError:
            continue
    code, message = pod_objects.failure(data)
    assert isinstance(code, int)
    assert isinstance(message, str)
