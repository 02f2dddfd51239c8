"""No pod of ours is root, or may more than it needs; and whatever breaks that is noticed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.manifests import (
    BIN,
    KUBERNETES,
    Object,
    container,
    kustomizations,
    kustomized,
    named,
    objects,
    pod_spec,
    said,
    workloads,
)
from fakes.pod_policy import violations

API_ACCESS = "components/api-access"
FOLDERS = [folder for folder in kustomizations() if workloads(kustomized(folder))]


@pytest.mark.parametrize("folder", FOLDERS)
def test_it_holds(folder: str) -> None:
    """For every container, init containers included."""
    assert violations(kustomized(folder)) == []


def agent(spec: Object) -> Object:
    """Whose rights are taken for a test."""
    return container(spec, "heapwarden")


def volume(spec: Object, **source: Any) -> None:
    """One more, mounted into the app's container."""
    spec["volumes"].append({"name": "more", **source})
    container(spec, "app")["volumeMounts"].append({"name": "more", "mountPath": "/more"})


TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
BREACHES: dict[str, Callable[[Object], object]] = {
    "may run as root": lambda spec: spec["securityContext"].update(runAsNonRoot=False),
    "the image decides": lambda spec: spec["securityContext"].pop("runAsGroup"),
    "differ in user or group": lambda spec: container(spec, "app")["securityContext"].update(runAsGroup=0),
    "capabilities": lambda spec: agent(spec)["securityContext"]["capabilities"].update(add=["SYS_PTRACE"]),
    "reporter: has capabilities": lambda spec: container(spec, "reporter")["securityContext"].pop("capabilities"),
    "may gain privileges": lambda spec: agent(spec)["securityContext"].update(privileged=True),
    "app: may gain": lambda spec: container(spec, "app")["securityContext"].pop("allowPrivilegeEscalation"),
    "root file system": lambda spec: agent(spec)["securityContext"].pop("readOnlyRootFilesystem"),
    "seccomp": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "limits for cpu and memory": lambda spec: agent(spec)["resources"]["limits"].pop("memory"),
    "requests for cpu": lambda spec: container(spec, "reporter")["resources"].pop("requests"),
    "node may be another": lambda spec: container(spec, "app").update(image="node"),
    "latest may be another": lambda spec: agent(spec).update(image="example.com:5000/heapwarden:latest"),
    "shares with the node: {'hostPID'}": lambda spec: spec.update(hostPID=True),
    "mounts /var/run of the node": lambda spec: volume(spec, hostPath={"path": "/var/run"}),
    "takes a port of the node": lambda spec: agent(spec)["ports"][0].update(hostPort=9797),
    "every container gets a token": lambda spec: spec.pop("automountServiceAccountToken"),
    "['app'] get a token": lambda spec: volume(spec, **TOKEN),
    "may write what Node preloads": lambda spec: [
        mount.pop("readOnly", None) for mount in container(spec, "app")["volumeMounts"]
    ],
}


@pytest.mark.parametrize("told", BREACHES)
def test_a_breach_is_noticed(told: str) -> None:
    """One thing changed in the sidecar's pod, and it is named."""
    found = kustomized("sidecar")
    BREACHES[told](pod_spec(named(found, "Deployment")))
    assert any(told in one for one in violations(found)), violations(found)


NODE_BREACHES: dict[str, Callable[[Object], object]] = {
    "capabilities": lambda spec: container(spec, "folders")["securityContext"]["capabilities"]["add"].append("KILL"),
    "heapwarden: may run as root": lambda spec: agent(spec)["securityContext"].update(runAsUser=0),
    "may write to /sys/fs/cgroup": lambda spec: [mount.pop("readOnly", None) for mount in agent(spec)["volumeMounts"]],
    "folders: may run as root": lambda spec: container(spec, "folders").update(restartPolicy="Always"),
    "shares with the node": lambda spec: spec.update(hostNetwork=True),
}


@pytest.mark.parametrize("told", NODE_BREACHES)
def test_the_node_agent_is_allowed_just_what_it_has(told: str) -> None:
    """The exceptions are for one container, one capability, three folders and one namespace of the node."""
    found = kustomized("node-agent")
    NODE_BREACHES[told](pod_spec(named(found, "DaemonSet")))
    assert any(told in one for one in violations(found)), violations(found)


def granted(found: list[Object]) -> set[tuple[str, str, str, str]]:
    """Group, resource, verb and the names it is limited to: all that roles among these objects allow."""
    return {
        (group, resource, verb, ",".join(rule.get("resourceNames", ["*"])))
        for role in found
        for rule in role.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


PERMISSIONS = {
    "sidecar": set(),
    "native-sidecar": set(),
    "overlays/coordinated": {
        ("", "pods/eviction", "create", "*"),
        ("coordination.k8s.io", "leases", "create", "*"),
        ("coordination.k8s.io", "leases", "get", "demo-restarts"),
        ("coordination.k8s.io", "leases", "update", "demo-restarts"),
        ("", "pods", "list", "*"),
        ("", "pods", "watch", "*"),
    },
    "node-agent": {("", "pods", "list", "*"), ("", "pods", "watch", "*")},
}


@pytest.mark.parametrize("folder", PERMISSIONS)
def test_the_api_allows_what_is_asked_and_nothing_else(folder: str) -> None:
    """As docs/kubernetes-api.md lists it; nothing where nothing is asked."""
    assert granted(kustomized(folder)) == PERMISSIONS[folder]


def test_the_lease_is_the_one_that_may_be_used() -> None:
    """The example's settings and its role name the same."""
    found = kustomized("overlays/coordinated")
    assert "{lease: demo-restarts," in named(found, "ConfigMap", "heapwarden")["data"]["heapwarden.yaml"]


@pytest.mark.parametrize("folder", ["overlays/coordinated", "node-agent"])
def test_the_agent_finds_its_token(folder: str) -> None:
    """Where the variable says, with all that is looked for there."""
    spec = pod_spec(workloads(kustomized(folder))[0])
    one = agent(spec)
    (place,) = [entry["value"] for entry in one["env"] if entry["name"] == "HEAPWARDEN_SERVICE_ACCOUNT"]
    (name,) = [mount["name"] for mount in one["volumeMounts"] if mount["mountPath"] == place]
    (sources,) = [each["projected"]["sources"] for each in spec["volumes"] if each["name"] == name]
    paths = {item["path"] for source in sources for part in source.values() for item in part.get("items", [part])}
    assert paths == {"token", "ca.crt", "namespace"}


def together(base: str, component: str, folder: Path) -> list[Object]:
    """An overlay of both, as somebody else may make it."""
    parts = [os.path.relpath(KUBERNETES / name, folder) for name in (base, component)]
    overlay = {"kind": "Kustomization", "resources": parts[:1], "components": parts[1:]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return objects(said(BIN / "kubectl", "kustomize", folder))


def test_the_same_is_given_to_a_native_sidecar(tmp_path: Path) -> None:
    """By the component of its own."""
    found, other = (
        together("native-sidecar", f"{API_ACCESS}/native-sidecar", tmp_path),
        kustomized("overlays/coordinated"),
    )
    assert violations(found) == []
    assert granted(found) == granted(other)
    spec, others = (pod_spec(workloads(one)[0]) for one in (found, other))
    for key in ("volumeMounts", "env"):
        assert agent(spec)[key] == agent(others)[key]
    assert [one["name"] for one in spec["containers"]] == ["app"]
    assert {one["name"] for one in spec["volumes"]} == {one["name"] for one in others["volumes"]}


def test_an_agent_of_a_node_may_be_given_more(tmp_path: Path) -> None:
    """Evictions of any pod, a Lease in its own namespace; to the account that it runs as."""
    found = together("node-agent", f"{API_ACCESS}/node-agent", tmp_path)
    assert granted(found) == granted(kustomized("node-agent")) | {
        ("", "pods/eviction", "create", "*"),
        ("coordination.k8s.io", "leases", "create", "*"),
        ("coordination.k8s.io", "leases", "get", "api-restarts"),
        ("coordination.k8s.io", "leases", "update", "api-restarts"),
    }
    account = named(found, "ServiceAccount")["metadata"]
    whose = [who for one in found for who in one.get("subjects", ())]
    assert len(whose) == 3
    assert {(who["name"], who["namespace"]) for who in whose} == {(account["name"], account["namespace"])}
