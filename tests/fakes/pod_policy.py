"""What no pod of ours may have, and the few things that one of them needs, each with its reason."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from fakes.manifests import Object, container, containers, pod_spec, title, workloads

ROOT_FOR_A_MOMENT = {"DaemonSet/heapwarden": {"folders": ["CHOWN"]}}
"""Workload → init container that is root, and its capabilities: folders of the node are made for root."""
HOST = {"DaemonSet/heapwarden": {"hostPID"}}
"""Workload → namespaces of the node that it shares: one agent sees the processes of all pods."""
HOST_PATHS = {
    "DaemonSet/heapwarden": {"/run/heapwarden": False, "/var/lib/heapwarden": False, "/sys/fs/cgroup": True},
    "Deployment/api": {"/run/heapwarden": True},
}
"""Workload → folders of the node that it mounts, and whether it may only read them."""
PINNED = re.compile(r"[\w./-]+(:\d+)?[\w./-]*(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})")

Check = Callable[[str, Object], Iterator[str]]
"""Gets the workload's name and its pods' spec, and gives what is wrong."""


def violations(found: list[Object]) -> list[str]:
    """What is wrong with the pods among these objects, a sentence each."""
    told = []
    for workload in workloads(found):
        name, spec = title(workload), pod_spec(workload)
        told += [f"{name}: {wrong}" for check in CHECKS for wrong in check(name, spec)]
    return told


def _users(name: str, spec: Object) -> Iterator[str]:
    root = ROOT_FOR_A_MOMENT.get(name, {})
    users = set()
    for one in containers(spec):
        context = _context(spec, one)
        user = (context.get("runAsUser"), context.get("runAsGroup"))
        if one["name"] in root and one in spec["initContainers"] and "restartPolicy" not in one:
            continue
        if None in user:
            yield f"{one['name']}: the image decides on its user or group"
        if context.get("runAsNonRoot") is not True or 0 in user:
            yield f"{one['name']}: may run as root"
        users.add(user)
    if spec.get("shareProcessNamespace") and len(users) > 1:
        yield f"its containers differ in user or group: {users}"


def _rights(name: str, spec: Object) -> Iterator[str]:
    for one in containers(spec):
        context = _context(spec, one)
        capabilities = context.get("capabilities", {})
        wanted = ROOT_FOR_A_MOMENT.get(name, {}).get(one["name"], [])
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add", []) != wanted:
            yield f"{one['name']}: has capabilities that it does not need"
        if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
            yield f"{one['name']}: may gain privileges"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{one['name']}: may write to its root file system"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{one['name']}: has no seccomp profile"


def _resources(_: str, spec: Object) -> Iterator[str]:
    for one in containers(spec):
        for what in ("requests", "limits"):
            if set(one.get("resources", {}).get(what, {})) != {"cpu", "memory"}:
                yield f"{one['name']}: {what} for cpu and memory are not set"


def _images(_: str, spec: Object) -> Iterator[str]:
    for one in containers(spec):
        if not PINNED.fullmatch(one["image"]):
            yield f"{one['name']}: the image {one['image']} may be another one tomorrow"


def _node(name: str, spec: Object) -> Iterator[str]:
    shared = {what for what in ("hostPID", "hostNetwork", "hostIPC") if spec.get(what)}
    if shared != HOST.get(name, set()):
        yield f"shares with the node: {shared}"
    allowed = HOST_PATHS.get(name, {})
    for volume in spec.get("volumes", ()):
        path = volume.get("hostPath", {}).get("path")
        if path is None:
            continue
        if path not in allowed:
            yield f"mounts {path} of the node"
        elif allowed[path] and not all(mount.get("readOnly") for mount in _mounts(spec, volume["name"])):
            yield f"may write to {path} of the node"
    if any(port.get("hostPort") for one in containers(spec) for port in one.get("ports", ())):
        yield "takes a port of the node"


def _token(_: str, spec: Object) -> Iterator[str]:
    if spec.get("automountServiceAccountToken") is not False:
        yield "every container gets a token of the Kubernetes API"
    for volume in spec.get("volumes", ()):
        sources = volume.get("projected", {}).get("sources", ())
        if any("serviceAccountToken" in source for source in sources):
            takers = [one["name"] for one in containers(spec) if volume["name"] in _mounted(one)]
            if takers != ["heapwarden"]:
                yield f"{takers} get a token of the Kubernetes API"


def _preload(_: str, spec: Object) -> Iterator[str]:
    """Only the container that brings the reporter may write what others load."""
    for one in containers(spec):
        mount = _mounted(one).get("reporter")
        if mount is not None and one["name"] != "reporter" and not mount.get("readOnly"):
            yield f"{one['name']}: may write what Node preloads"


CHECKS: tuple[Check, ...] = (_users, _rights, _resources, _images, _node, _token, _preload)


def _context(spec: Object, one: Object) -> dict[str, Any]:
    """The container's own says more than the pod's."""
    return {**spec.get("securityContext", {}), **one.get("securityContext", {})}


def _mounted(one: Object) -> dict[str, Object]:
    """Its mounts by the name of the volume."""
    return {mount["name"]: mount for mount in one.get("volumeMounts", ())}


def _mounts(spec: Object, volume: str) -> list[Object]:
    return [mount for one in containers(spec) if (mount := _mounted(one).get(volume))]


def app_of(spec: Object) -> Object:
    """The container that preloads the reporter."""
    (name,) = [one["name"] for one in containers(spec) if "HEAPWARDEN_SOCKET" in variables(one)]
    return container(spec, name)


def variables(one: Object) -> dict[str, str]:
    """Of its environment, those with a value of their own."""
    return {entry["name"]: entry["value"] for entry in one.get("env", ()) if "value" in entry}
