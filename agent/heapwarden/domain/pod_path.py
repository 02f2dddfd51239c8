"""Which pod and container a cgroup's path speaks of, as the kubelet and container runtimes name cgroups.

The kubelet makes a cgroup for each pod, the runtime one below it for each container. Drivers differ (kubelet, "cgroup
drivers"): ``cgroupfs`` has ``/kubepods/burstable/podUID/ID``, ``systemd`` has
``/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/RUNTIME-ID.scope``, where the uid has
underscores for dashes. Pods of the class "guaranteed" are without the middle part. What stands above differs with the
kubelet's ``--cgroup-root`` and with nodes that are containers themselves; it does not matter here.
"""

import re
from typing import NamedTuple

_ID = r"[0-9a-f]{64}"
UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
"""A pod's, as the kubelet names cgroups: with underscores where systemd makes them, without dashes for static pods."""
_POD = re.compile(rf"(?:[a-z0-9_.-]+-)?pod({UID})(?:\.slice)?(?::[a-z0-9-]+:({_ID}))?")
"""The last part: a containerd that was not told of the kubelet's driver has ``…-podUID.slice:cri-containerd:ID``, below
its own service."""
_CONTAINER = re.compile(rf"(?:[a-z]+(?:-[a-z]+)*-)?({_ID})(?:\.scope)?")
_MONITOR = "conmon"
"""``crio-conmon-ID.scope`` is CRI-O's own process beside the container."""
_STATIC_UID_CHARACTERS = 32
OUTSIDE = "/../../.."
"""How paths begin that lead out of the reader's own pod: from its container (crun has a cgroup more within it) two
steps lead to the pods' parent, where everything has a pod's name."""


class PodPath(NamedTuple):
    """What a cgroup's path says; each may be empty."""

    uid: str
    """Of the pod, with dashes. Of a static pod it is the 32 digits in the annotation ``kubernetes.io/config.hash``."""
    container_id: str
    """As the runtime knows it: 64 hexadecimal digits."""


NOWHERE = PodPath("", "")


def pod_path(path: str) -> PodPath | None:
    """What ``path`` says of pod and container; None where it names no pod.

    A path that is relative to the reader's own cgroup namespace (``/../..``) names the pod of a process in another pod,
    and none of one in the same. Of pods within pods the innermost counts: the agent's own cluster.
    """
    parts = path.split("/")
    for index in range(len(parts) - 1, -1, -1):
        pod = _POD.fullmatch(parts[index])
        if pod is not None:
            below = parts[index + 1] if index + 1 < len(parts) else ""
            return PodPath(_dashed(pod[1]), pod[2] or _container(below))
    return None


def located(cgroups: str) -> PodPath:
    """What the text of ``/proc/PID/cgroup`` says, its hierarchies together; :data:`NOWHERE` where it says nothing.

    Where no pod is named, as beside a sidecar in a cgroup namespace of its own, the container may be all the same:
    ``/../cri-containerd-ID.scope``.
    """
    paths = {line.split(":", 2)[-1] for line in cgroups.split("\n")}
    found = [pod for pod in map(pod_path, paths) if pod is not None]
    if found:
        return max(found)  # of one pod; where some hierarchies end at the pod, one that names the container
    near = [path for path in paths if path.startswith("/..") and not path.startswith(OUTSIDE)]
    beside = (_container(part) for path in near for part in path.split("/"))
    return PodPath("", next(filter(None, beside), ""))


def _container(part: str) -> str:
    found = _CONTAINER.fullmatch(part)
    return "" if found is None or _MONITOR in part else found[1]


def _dashed(uid: str) -> str:
    """As the API writes it; a static pod's has no dashes."""
    return uid if len(uid) == _STATIC_UID_CHARACTERS else uid.replace("_", "-")
