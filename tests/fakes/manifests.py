"""Kubernetes objects as `kubectl kustomize` and `helm template` make them of what is shipped."""

import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fakes.machine import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = ROOT / "deploy" / "helm" / "heapwarden"
BIN = Path(sys.executable).parent
"""Where pip has put kubectl, helm and hadolint."""

Object = dict[str, Any]
"""One object, as YAML has it."""


def said(*command: str | Path) -> str:
    """What a program prints that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout


@functools.cache
def kustomized_text(folder: str) -> str:
    """What `kubectl apply -k` would send of this folder below deploy/kubernetes."""
    return said(BIN / "kubectl", "kustomize", KUBERNETES / folder)


def kustomized(folder: str) -> list[Object]:
    """The same, each object anew: a test may change it."""
    return objects(kustomized_text(folder))


def objects(text: str) -> list[Object]:
    """Of a stream of YAML documents; empty ones are left out."""
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def kustomizations() -> list[str]:
    """All folders below deploy/kubernetes that can be applied or built upon."""
    files = sorted(KUBERNETES.rglob("kustomization.yaml"))
    return [
        file.parent.relative_to(KUBERNETES).as_posix()
        for file in files
        if yaml.safe_load(file.read_text())["kind"] == "Kustomization"
    ]


def title(one: Mapping[str, Any]) -> str:
    """As kubectl names it: Deployment/demo."""
    return f"{one['kind']}/{one['metadata']['name']}"


def named(found: list[Object], kind: str, name: str = "") -> Object:
    """The one of this kind whose name begins so; names of generated ConfigMaps end in a hash."""
    (one,) = [one for one in found if one["kind"] == kind and one["metadata"]["name"].startswith(name)]
    return one


def workloads(found: list[Object]) -> list[Object]:
    """Those that have pods."""
    return [one for one in found if "template" in one.get("spec", {})]


def pod_spec(workload: Object) -> Object:
    """Of the pods that it makes."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers(spec: Object) -> Iterator[Object]:
    """Init containers first, as they are started."""
    yield from spec.get("initContainers", ())
    yield from spec["containers"]


def container(spec: Object, name: str) -> Object:
    """The one of this name, init container or not."""
    (one,) = [one for one in containers(spec) if one["name"] == name]
    return one


@functools.cache
def templated_text(release: str, values: str) -> str:
    """What `helm install` would send, with one of the chart's own examples of values."""
    return said(BIN / "helm", "template", release, CHART, "--values", CHART / "ci" / f"{values}-values.yaml")


def templated(release: str, values: str) -> list[Object]:
    """The same, each object anew."""
    return objects(templated_text(release, values))


def example_values() -> list[str]:
    """Names of the chart's examples of values."""
    return sorted(file.name.removesuffix("-values.yaml") for file in (CHART / "ci").glob("*-values.yaml"))
