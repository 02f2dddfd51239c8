"""The manifests: Kubernetes takes them, what they refer to is there, and the times and paths in them fit each other."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from fakes.machine import ROOT
from fakes.manifests import (
    KUBERNETES,
    Object,
    container,
    containers,
    kustomizations,
    kustomized,
    named,
    pod_spec,
    title,
    workloads,
)
from fakes.pod_policy import app_of, variables
from heapwarden.reporter.install import SCRIPT
from heapwarden.settings.load import load
from heapwarden.settings.model import Settings

FOLDERS = kustomizations()
VERSIONS = ("1.28", kubernetes_validate.latest_version())
OPERATORS = {"PodMonitor", "PrometheusRule"}
"""Kinds that the Prometheus operator brings: the API's own schemas don't know them."""
PATCHED = "overlays/existing-deployment"
BESIDE = ("sidecar", "native-sidecar", f"{PATCHED}/sidecar", f"{PATCHED}/native-sidecar", "overlays/coordinated")
"""Folders whose agent is in the app's pod."""
REPORTING = (*BESIDE, f"{PATCHED}/node-agent")
"""Folders with an app that reports."""


def test_all_that_is_told_of_is_there() -> None:
    """A test over no folders would pass."""
    assert {"sidecar", "native-sidecar", "node-agent", "monitoring", *REPORTING} <= set(FOLDERS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_kubernetes_takes_it(folder: str, version: str) -> None:
    """Strictly: no key that the API does not know."""
    for one in kustomized(folder):
        if one["kind"] not in OPERATORS:
            kubernetes_validate.validate(one, version, strict=True)


def test_a_key_that_the_api_does_not_know_is_noticed() -> None:
    """And so is a value of the wrong type."""
    for key, value in (("hostPid", True), ("terminationGracePeriodSeconds", "45s")):
        one = named(kustomized("sidecar"), "Deployment")
        pod_spec(one)[key] = value
        with pytest.raises(kubernetes_validate.ValidationError, match=key):
            kubernetes_validate.validate(one, "1.28", strict=True)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in sorted(KUBERNETES.rglob("*.yaml"))])
def test_each_object_has_a_file(file: Path) -> None:
    """So that it is found by its name, and compared by itself."""
    assert "\n---" not in file.read_text()


def dangling(found: list[Object]) -> Iterator[str]:
    """What pods, services, policies and bindings refer to and is not among these objects."""
    there = {title(one) for one in found}
    for workload in workloads(found):
        spec, template = pod_spec(workload), workload["spec"]["template"]
        if not workload["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items():
            yield f"{title(workload)} does not select its own pods"
        yield from (f"ServiceAccount/{name}" for name in [spec.get("serviceAccountName")] if name)
        yield from (f"ConfigMap/{one['configMap']['name']}" for one in spec["volumes"] if "configMap" in one)
        volumes = {one["name"] for one in spec["volumes"]}
        for one in containers(spec):
            yield from (f"volume {mount['name']}" for mount in one["volumeMounts"] if mount["name"] not in volumes)
            ports = {port["name"] for port in one.get("ports", ())}
            probes = [probe["httpGet"]["port"] for key, probe in one.items() if key.endswith("Probe")]
            yield from (f"port {port} of {one['name']}" for port in probes if port not in ports)
    yield from (name for one in found for name in _selected(one, found))
    yield from (f"{one['roleRef']['kind']}/{one['roleRef']['name']}" for one in found if "roleRef" in one)
    yield from (f"{who['kind']}/{who['name']}" for one in found for who in one.get("subjects", ()))
    yield from there


def _selected(one: Object, found: list[Object]) -> Iterator[str]:
    """The labels and ports by which a service, a policy or a budget finds pods."""
    spec = one.get("spec", {})
    wanted = {"Service": "selector", "NetworkPolicy": "podSelector", "PodDisruptionBudget": "selector"}.get(one["kind"])
    if wanted is None:
        return
    labels = spec[wanted].get("matchLabels", spec[wanted])
    pods = [each["spec"]["template"] for each in workloads(found)]
    chosen = [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]
    if not chosen:
        yield f"pods of {title(one)}"
    ports = [port for pod in chosen for each in containers(pod["spec"]) for port in each.get("ports", ())]
    there = {port[key] for port in ports for key in ("name", "containerPort")}
    asked = [port.get("targetPort", port.get("port")) for port in spec.get("ports", ())]
    asked += [port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]]
    yield from (f"port {port} of {title(one)}" for port in asked if port not in there)


APPLIED = sorted({"sidecar", "native-sidecar", "node-agent", *REPORTING})


@pytest.mark.parametrize("folder", APPLIED)
def test_what_it_refers_to_is_there(folder: str) -> None:
    """Config maps, accounts, roles, volumes, named ports, and pods for each selector."""
    found = kustomized(folder)
    assert set(dangling(found)) == {title(one) for one in found}


@pytest.mark.parametrize("kind", ["ConfigMap", "ServiceAccount", "Role", "Deployment"])
def test_what_is_missing_is_noticed(kind: str) -> None:
    """One object less, and others are left without it."""
    found = [one for one in kustomized("overlays/coordinated") if one["kind"] != kind]
    assert set(dangling(found)) > {title(one) for one in found}


def settings(found: list[Object], tmp_path: Path) -> Settings:
    """The agent's, as `check-config` reads them."""
    file = tmp_path / "heapwarden.yaml"
    file.write_text(named(found, "ConfigMap", "heapwarden")["data"]["heapwarden.yaml"])
    return load(file, {})


@pytest.mark.parametrize("folder", [*BESIDE, "node-agent"])
def test_the_agent_accepts_its_settings(folder: str, tmp_path: Path) -> None:
    """And finds them, its socket and its state where they are mounted, in folders that may be written."""
    found = kustomized(folder)
    its = settings(found, tmp_path)
    agent = container(pod_spec(workloads(found)[0]), "heapwarden")
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in agent["volumeMounts"]}
    assert mounts[str(its.socket.parent)] is mounts[str(its.state_dir)] is False
    assert mounts[str(Path(agent["args"][agent["args"].index("--config") + 1]).parent)] is True
    assert agent["ports"] == [{"name": "heapwarden", "containerPort": its.listen.port}]


@pytest.mark.parametrize("folder", REPORTING)
def test_the_app_preloads_what_the_init_container_brings(folder: str) -> None:
    """Node does not start without it: brought before, to where it is looked for."""
    spec = pod_spec(named(kustomized(folder), "Deployment"))
    app, reporter = app_of(spec), container(spec, "reporter")
    ((volume, target),) = [(mount["name"], mount["mountPath"]) for mount in reporter["volumeMounts"]]
    assert target == "/reporter", "as the image has it"
    options = shlex.split(variables(app)["NODE_OPTIONS"])
    script = Path(options[options.index("--require") + 1])
    assert script.name == SCRIPT.name
    assert {mount["name"]: mount["mountPath"] for mount in app["volumeMounts"]}[volume] == str(script.parent)
    assert spec["initContainers"][0] == reporter
    assert "restartPolicy" not in reporter


@pytest.mark.parametrize("folder", REPORTING)
def test_app_and_agent_meet_at_the_socket(folder: str, tmp_path: Path) -> None:
    """The same folder of the pod or of the node, under the path that the app is told."""
    found = kustomized(folder)
    app_spec = pod_spec(named(found, "Deployment"))
    node = folder not in BESIDE
    agents = kustomized("node-agent") if node else found
    agent_spec = pod_spec(workloads(agents)[0])
    socket = settings(agents, tmp_path).socket
    assert variables(app_of(app_spec))["HEAPWARDEN_SOCKET"] == str(socket)
    places = [
        _volume_at(spec, one, str(socket.parent))
        for spec, one in ((app_spec, app_of(app_spec)), (agent_spec, container(agent_spec, "heapwarden")))
    ]
    assert places[0] == places[1]
    assert ("hostPath" in places[0]) is node


def _volume_at(spec: Object, one: Object, path: str) -> Object:
    (name,) = [mount["name"] for mount in one["volumeMounts"] if mount["mountPath"] == path]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == name]
    return volume


@pytest.mark.parametrize("folder", BESIDE)
def test_the_probes_take_the_pod_out_before_the_app_is_asked_to_end(folder: str, tmp_path: Path) -> None:
    """And the kubelet waits for what the agent waits for."""
    found = kustomized(folder)
    spec = pod_spec(named(found, "Deployment"))
    agent = container(spec, "heapwarden")
    ready, live = agent["readinessProbe"], agent["livenessProbe"]
    assert (ready["httpGet"]["path"], live["httpGet"]["path"]) == ("/readyz", "/livez")
    watchlist = settings(found, tmp_path).watchlist
    for rules in [watchlist.default_restart, *(rule.restart for rule in watchlist.rules)]:
        if rules.max_memory or rules.heap_usage or rules.container_usage:
            assert ready["periodSeconds"] * ready["failureThreshold"] + 5 <= rules.plan.drain_seconds
            assert rules.plan.drain_seconds + rules.plan.grace_seconds <= spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("folder", BESIDE)
def test_agent_and_app_see_each_other(folder: str) -> None:
    """One PID namespace, and what the agent is to know of its pod by the Downward API."""
    spec = pod_spec(named(kustomized(folder), "Deployment"))
    assert spec["shareProcessNamespace"] is True
    fields = {
        one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in container(spec, "heapwarden")["env"]
        if "valueFrom" in one
    }
    assert fields == {f"HEAPWARDEN_POD_{what.upper()}": f"metadata.{what}" for what in ("namespace", "name", "uid")}


@pytest.mark.parametrize("folder", ["native-sidecar", f"{PATCHED}/native-sidecar"])
def test_a_native_sidecar_is_there_before_the_app(folder: str) -> None:
    """An init container that goes on, after the reporter; the app waits for its startup probe."""
    spec = pod_spec(named(kustomized(folder), "Deployment"))
    reporter, agent = spec["initContainers"]
    assert (reporter["name"], agent["name"]) == ("reporter", "heapwarden")
    assert agent["restartPolicy"] == "Always"
    assert agent["startupProbe"]["httpGet"]["path"] == "/livez"
    assert len(spec["containers"]) == 1


def test_the_agent_is_the_same_wherever_it_stands_beside_an_app() -> None:
    """But for what makes a sidecar native, and for the user, which is the app's."""
    agents = []
    for folder in BESIDE[:4]:
        agent = container(pod_spec(named(kustomized(folder), "Deployment")), "heapwarden")
        for key in ("restartPolicy", "startupProbe"):
            agent.pop(key, None)
        agent["livenessProbe"].pop("initialDelaySeconds", None)
        for key in ("runAsUser", "runAsGroup"):
            agent["securityContext"].pop(key, None)
        agents.append(agent)
    assert all(agent == agents[0] for agent in agents)


@pytest.mark.parametrize("name", ["sidecar", "native-sidecar", "node-agent"])
def test_a_patch_leaves_the_app_as_it_was(name: str) -> None:
    """All that was in the Deployment is still there; only Heapwarden is new."""
    before = named(kustomized(f"{PATCHED}/app"), "Deployment")
    after = named(kustomized(f"{PATCHED}/{name}"), "Deployment")
    assert list(lost(before, after)) == []
    assert list(lost(after, before)) != []


def lost(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Places of what was there and is not any more; of lists the entries are known by their names."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after.get(key), f"{place}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and all(isinstance(one, dict) for one in before):
        for one in before:
            same = [other for other in after if other.get("name") == one.get("name")]
            yield from lost(one, same[0] if same else None, f"{place}[{one.get('name')}]")
    elif before != after:
        yield place


def test_images_are_named_once_and_are_this_version() -> None:
    """The manifests say which of the two images; one component, and each example that stands alone, say where it is."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {
        one["image"]
        for folder in APPLIED
        for workload in workloads(kustomized(folder))
        for one in containers(pod_spec(workload))
        if "heapwarden" in one["image"]
    }
    assert images == {f"heapwarden/heapwarden:{version}", f"heapwarden/heapwarden-reporter:{version}"}
    written = [file for file in KUBERNETES.rglob("*.yaml") if re.search(r"image: heapwarden\S*[:/]", file.read_text())]
    assert written == []


def test_the_user_is_the_images_own() -> None:
    """Of the Dockerfile, whose folders belong to it."""
    user = (ROOT / "Dockerfile").read_text().rstrip().rpartition("\nUSER ")[2].splitlines()[0]
    for folder in ("sidecar", "native-sidecar", "node-agent"):
        context = pod_spec(workloads(kustomized(folder))[0])["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
