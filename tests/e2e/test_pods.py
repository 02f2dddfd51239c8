"""Real agents, real Nodes in cgroups as the kubelet makes them, and an API server that speaks the protocol."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fakes.cgroups import inside, kubepods, needs_v1, unaccounted
from fakes.conditions import wait_for
from fakes.kubernetes import ApiServer, api_server
from fakes.kubernetes_objects import Cluster, Json
from fakes.machine import APPS, ROOT, AgentHandle, agent, app, node

pytestmark = needs_v1
ID = "7f3c9e12ab34" + "0" * 52
GUIDE = (ROOT / "docs" / "kubernetes-api.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]
(READ_PODS,) = [block["rules"] for block in BLOCKS if block.get("kind") == "ClusterRole"]
"""What the guide gives; it must do."""
LABELS = ("namespace", "pod", "container")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that lets agents read pods, and nothing else."""
    with api_server(Cluster(rules=READ_PODS)) as listening:
        yield listening


@contextmanager
def per_node(
    server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch, mark: str, settings: str = ""
) -> Iterator[AgentHandle]:
    """An agent that is told which node it is on, and in which pod it is itself."""
    own = server.cluster.add_pod("heapwarden-1", "heapwarden")
    with monkeypatch.context() as patch:
        for name, value in (server.environment(folder / "account", own) | {"HEAPWARDEN_NODE_NAME": "node-1"}).items():
            patch.setenv(name, value)
        with agent(folder, settings, "--command", mark) as handle:
            yield handle


def places(handle: AgentHandle, pid: int, name: str = "heapwarden_rss_bytes") -> list[tuple[str, ...]]:
    """The labels of the place that a metric of this process has."""
    listed = handle.process(pid)
    if listed is None:
        return []
    wanted = (listed["process"], listed["worker"])
    every = ((metric, dict(labels)) for metric, labels in handle.metrics())
    return [
        tuple(labels.get(label, "?") for label in LABELS)
        for metric, labels in every
        if metric == name and (labels.get("process"), labels.get("worker")) == wanted
    ]


def container(handle: AgentHandle, pid: int) -> str | None:
    """The name of the container that a process is said to be in."""
    listed = handle.process(pid)
    return None if listed is None or listed["pod"] is None else str(listed["pod"]["container"])


def status(id_: str = ID, **state: Json) -> Json:
    """Of a pod with one container."""
    one = {"name": "app", "containerID": f"containerd://{id_}", "state": {"running": {}}, **state}
    return {"phase": "Running", "containerStatuses": [one]}


def test_figures_have_the_pods_names(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On each series of the process; empty labels on those of a process that is in no pod."""
    pod = server.cluster.add_pod("api-1")
    server.cluster.change_pod("api-1", status=status())
    mark = f"restartable.*{tmp_path}"
    with (
        kubepods(pod["metadata"]["uid"], ID) as cgroup,
        per_node(server, tmp_path, monkeypatch, mark) as handle,
        app(handle, *inside(cgroup, node(22), APPS / "restartable.cjs", tmp_path)) as started,
        app(handle, node(22), APPS / "restartable.cjs", tmp_path) as other,
    ):
        wait_for(lambda: places(handle, started.pid) == [("apps", "api-1", "app")], 60)
        wait_for(lambda: places(handle, started.pid, "heapwarden_heap_used_bytes") == [("apps", "api-1", "app")], 60)
        wait_for(lambda: places(handle, other.pid) == [("", "", "")], 60)
        listed = handle.process(started.pid)
        assert listed is not None
        uid = pod["metadata"]["uid"]
        assert listed["pod"] == {"namespace": "apps", "name": "api-1", "uid": uid, "container": "app"}
        lacking = [
            name
            for name, labels in handle.metrics()
            if not name.startswith(("heapwarden_agent", "process_", "python_")) and not set(LABELS) <= set(dict(labels))
        ]
        assert lacking == []


def test_without_rights_uids_are_names_until_there_are_rights(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """403 is said once, with what is missing."""
    server.cluster.rules = []
    pod = server.cluster.add_pod("api-1")
    uid = pod["metadata"]["uid"]
    mark = f"restartable.*{tmp_path}"
    with (
        kubepods(uid, ID) as cgroup,
        per_node(server, tmp_path, monkeypatch, mark) as handle,
        app(handle, *inside(cgroup, node(22), APPS / "restartable.cjs", tmp_path)) as started,
    ):
        wait_for(lambda: places(handle, started.pid) == [("", uid, ID[:12])], 60)
        wait_for(lambda: server.asked("/pods") >= 2, 60)
        said = [line for line in (*handle.program.out, *handle.program.err) if "needs `list` and `watch`" in line]
        assert len(said) == 1
        server.cluster.rules = READ_PODS
        wait_for(lambda: places(handle, started.pid) == [("apps", "api-1", "app")], 90)


def exits(handle: AgentHandle) -> dict[str, tuple[str, ...]]:
    """The reasons of all ends, with the labels of their places."""
    every = ((name, dict(labels)) for name, labels in handle.metrics())
    return {
        labels["reason"]: tuple(labels.get(label, "?") for label in LABELS)
        for name, labels in every
        if name == "heapwarden_exits_total"
    }


OOM_KILLED = {"exitCode": 137, "reason": "OOMKilled", "containerID": f"containerd://{ID}"}


def two_containers(server: ApiServer) -> str:
    """A pod of which nobody can tell which is which before the kubelet has; gives its uid."""
    return str(server.cluster.add_pod("api-1", containers=[{"name": "app"}, {"name": "proxy"}])["metadata"]["uid"])


def told(server: ApiServer, container: Callable[[], object]) -> None:
    """The kubelet tells which is which; wait until the agent knows, which can only be by its watch."""
    wait_for(lambda: server.asked("watch"), 60)
    server.cluster.change_pod("api-1", status=status())
    wait_for(lambda: container() == "app", 60)


def killed(server: ApiServer) -> None:
    """The kubelet tells: the container is gone, and there again."""
    server.cluster.change_pod("api-1", status=status("a" * 64, lastState={"terminated": OOM_KILLED}))


def test_an_end_is_named_by_the_kubelets_word(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel says SIGKILL and not why: it comes after the end, which has waited for it."""
    with (
        kubepods(two_containers(server), ID, accounted=False) as cgroup,
        per_node(server, tmp_path, monkeypatch, f"restartable.*{tmp_path}") as handle,
        app(handle, *unaccounted(cgroup, node(22), APPS / "restartable.cjs", tmp_path)) as started,
    ):
        wait_for(lambda: places(handle, started.pid) == [("apps", "api-1", "")], 60)
        told(server, lambda: container(handle, started.pid))
        started.process.kill()
        started.process.wait()
        killed(server)
        wait_for(lambda: exits(handle) == {"cgroup_oom": ("apps", "api-1", "app")}, 60)


def test_the_kernels_own_count_is_the_stronger_word(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has killed nobody in this container, whatever the kubelet says of it."""
    pod = server.cluster.add_pod("api-1")
    server.cluster.change_pod("api-1", status=status())
    with (
        kubepods(pod["metadata"]["uid"], ID) as cgroup,
        per_node(server, tmp_path, monkeypatch, f"restartable.*{tmp_path}") as handle,
        app(handle, *inside(cgroup, node(22), APPS / "restartable.cjs", tmp_path)) as started,
    ):
        wait_for(lambda: places(handle, started.pid) == [("apps", "api-1", "app")], 60)
        killed(server)
        started.process.kill()
        wait_for(lambda: exits(handle) == {"crash": ("apps", "api-1", "app")}, 60)


def test_a_sidecar_hears_of_its_own_pod_and_adds_no_labels(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever scrapes it knows where it is; why containers ended it knows from the API."""
    uid = two_containers(server)
    with monkeypatch.context() as patch:
        for name, value in server.environment(tmp_path / "account", server.cluster.pods["apps", "api-1"]).items():
            patch.setenv(name, value)
        settings = "kubernetes: {pods: own}\n"
        with (
            kubepods(uid, ID, accounted=False) as cgroup,
            agent(tmp_path, settings, "--command", f"restartable.*{tmp_path}") as handle,
            app(handle, *unaccounted(cgroup, node(22), APPS / "restartable.cjs", tmp_path)) as started,
        ):
            told(server, lambda: container(handle, started.pid))
            assert places(handle, started.pid) == [("?", "?", "?")]
            killed(server)
            started.process.kill()
            wait_for(lambda: exits(handle) == {"cgroup_oom": ("?", "?", "?")}, 60)


def test_the_pod_that_is_evicted_is_the_processs_own(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never that of the agent, which stands for a whole node."""
    server.cluster.rules = [*READ_PODS, {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}]
    pod = server.cluster.add_pod("api-1")
    rules = "max_memory: {above: 200M, for: 0s}, min_uptime: 0s, drain: 0s, grace: 5s, method: evict"
    settings = f"defaults: {{restart: {{{rules}, successor_timeout: 1s}}}}\n"
    with (
        kubepods(pod["metadata"]["uid"], ID) as cgroup,
        per_node(server, tmp_path, monkeypatch, f"restartable.*{tmp_path}", settings) as handle,
        app(handle, *inside(cgroup, node(22), APPS / "restartable.cjs", tmp_path), FILL_MB="210"),
    ):
        wait_for(lambda: server.cluster.evictions == [(pod["metadata"]["uid"], 5)], 90)
        assert server.asked("eviction") == server.asked("/namespaces/apps/pods/api-1/eviction") >= 2
