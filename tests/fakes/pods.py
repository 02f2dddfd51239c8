"""The manifests under deploy/kubernetes as pods of podman, which has no controllers, no kubelet, and not all of a Pod.

Podman 4.3 can't take everything. What is changed, and why:

- A Deployment becomes one Pod of its template, and ConfigMaps stay. Services, policies, budgets and accounts are left
  out: there is no cluster to keep them.
- Probes are left out: podman's need systemd's timers. Tests ask what they would ask. Ports are left out, for the pod
  has a network of its own with loopback alone.
- Init containers become a pod that runs to its end before: podman restarts them for ever where the policy is Always.
  Those with a policy of their own, native sidecars, become containers.
- An ``emptyDir`` becomes a new folder that everybody may write, as the kubelet makes it; podman gives its own to
  whoever comes first. The size limit goes.
- ``metadata.namespace`` of the Downward API becomes a name.
- Images get the names under which they are in the test's store.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fakes.conditions import wait_for
from fakes.container_images import AGENT, NODE, REPORTER
from fakes.manifests import kustomized
from fakes.podman import ContainedAgent, Done, Podman, contained_agent

NAMESPACE = "shop"
APP_PORT = 3000
_IMAGES = {"node": NODE, "heapwarden/heapwarden": AGENT, "heapwarden/heapwarden-reporter": REPORTER}
_LEFT_OUT = ("ports", "readinessProbe", "livenessProbe", "startupProbe")
_numbers = itertools.count()

Manifest = dict[str, Any]
Change = Callable[["Parts"], None]


@dataclass
class Parts:
    """A pod before it is played, for tests to change."""

    spec: Manifest
    """Of the Pod."""
    settings: Manifest
    """Of the agent."""

    def container(self, name: str) -> Manifest:
        """One of its containers."""
        everywhere = (*self.spec["containers"], *self.spec["initContainers"])
        found: Manifest = next(one for one in everywhere if one["name"] == name)
        return found

    def set_variable(self, container: str, name: str, value: str) -> None:
        """In the environment of one."""
        next(one for one in self.container(container)["env"] if one["name"] == name)["value"] = value


@dataclass
class RunningPod:
    """A pod that runs, with the agent in it."""

    name: str
    podman: Podman
    agent: ContainedAgent

    def container(self, name: str) -> str:
        """What podman calls one of its containers."""
        return f"{self.name}-{name}"

    def exec(self, container: str, *command: str) -> Done:
        """Run in one of them, as `kubectl exec` does."""
        return self.podman.call("exec", self.container(container), *command)

    def ask_app(self, path: str) -> str:
        """GET from the demo app."""
        return self.agent.network.get(f"http://127.0.0.1:{APP_PORT}{path}").text

    def await_figures(self) -> None:
        """Until there are the app's: its heap, its container, and what it was set up with."""

        def known() -> bool:
            entries = self.agent.processes()
            return len(entries) == 1 and bool((entries[0]["setup"] or {}).get("heapKnown"))

        wait_for(known, 60)

    def problems(self) -> list[str]:
        """What `heapwarden doctor` finds in the app, asked in the agent's container."""
        (one,) = json.loads(self.exec("heapwarden", "heapwarden", "doctor", "--json").stdout)["processes"]
        return [problem["code"] for problem in one["problems"]]

    def history(self, kind: str) -> list[Manifest]:
        """Events of one kind, as `heapwarden history` tells them in the agent's container; oldest first."""
        said = self.exec("heapwarden", "heapwarden", "history", "--json").stdout
        return [one for one in map(json.loads, said.splitlines()) if one["kind"] == kind]

    def app_pid(self) -> int | None:
        """As the pod has it; None while it is away."""
        entries = self.agent.processes()
        return entries[0]["pid"] if entries else None

    def restarts(self, container: str) -> int:
        """How often podman has restarted one."""
        return int(self.podman.inspect(self.container(container))["RestartCount"])


@contextmanager
def play(podman: Podman, kustomization: str, folder: Path, change: Change) -> Iterator[RunningPod]:
    """A kustomization's one Deployment as a pod, and its end."""
    name = f"pod{next(_numbers)}"
    before, pod = _reduced(kustomized(kustomization), name, folder, change)
    try:
        _play(podman, folder / "before.yaml", before)
        for one in before[-1]["spec"]["containers"]:
            assert podman("wait", f"{name}-before-{one['name']}") == "0"
        _play(podman, folder / "pod.yaml", pod)
        with contained_agent(podman, f"{name}-heapwarden") as agent:
            yield RunningPod(name, podman, agent)
    finally:
        for one in (f"{name}-before", name):
            podman.call("pod", "rm", "--force", "--time", "0", one)


def _play(podman: Podman, file: Path, documents: list[Manifest]) -> None:
    file.write_text(yaml.safe_dump_all(documents))
    podman("kube", "play", "--network", "none", file)


def _reduced(
    documents: list[Manifest], name: str, folder: Path, change: Change
) -> tuple[list[Manifest], list[Manifest]]:
    """What is played before the pod, and the pod with its ConfigMaps; their names begin with the pod's."""
    maps = [one for one in documents if one["kind"] == "ConfigMap"]
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    settings = next(one["data"] for one in maps if "heapwarden.yaml" in one["data"])
    parts = Parts(spec, yaml.safe_load(settings["heapwarden.yaml"]))
    change(parts)
    settings["heapwarden.yaml"] = yaml.safe_dump(parts.settings)
    for one in maps:
        one["metadata"]["name"] = f"{name}-{one['metadata']['name']}"
    for volume in spec["volumes"]:
        _place(volume, name, folder)
    for container in (*spec["containers"], *spec["initContainers"]):
        _fit(container)
    _unnest_sidecars(spec)
    first = copy.deepcopy(spec)
    first["containers"] = first.pop("initContainers")
    first["restartPolicy"] = "Never"
    mounted = {mount["name"] for one in first["containers"] for mount in one["volumeMounts"]}
    first["volumes"] = [volume for volume in first["volumes"] if volume["name"] in mounted]
    del spec["initContainers"]
    return [_pod(f"{name}-before", first)], [*maps, _pod(name, spec)]


def _unnest_sidecars(spec: Manifest) -> None:
    for one in list(spec["initContainers"]):
        if one.pop("restartPolicy", None) == "Always":
            spec["initContainers"].remove(one)
            spec["containers"].append(one)


def _pod(name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _place(volume: Manifest, name: str, folder: Path) -> None:
    if "configMap" in volume:
        volume["configMap"]["name"] = f"{name}-{volume['configMap']['name']}"
    if volume.pop("emptyDir", None) is not None:
        place = folder / volume["name"]
        place.mkdir()
        place.chmod(0o777)
        volume["hostPath"] = {"path": str(place), "type": "Directory"}


def _fit(container: Manifest) -> None:
    container["image"] = _IMAGES[container["image"].rpartition(":")[0]]
    container["imagePullPolicy"] = "Never"
    for key in _LEFT_OUT:
        container.pop(key, None)
    for variable in container.get("env", ()):
        if _field(variable) == "metadata.namespace":
            variable.update(value=NAMESPACE, valueFrom=None)


def _field(variable: Mapping[str, Any]) -> str | None:
    source = variable.get("valueFrom") or {}
    path: str | None = source.get("fieldRef", {}).get("fieldPath")
    return path
