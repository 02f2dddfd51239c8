"""The chart: it says what the manifests say, takes only values that it knows, and gives its parts to other charts."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fakes.machine import ROOT
from fakes.manifests import (
    BIN,
    CHART,
    Object,
    container,
    example_values,
    kustomized,
    named,
    objects,
    pod_spec,
    said,
    templated,
    title,
    workloads,
)
from fakes.pod_policy import app_of, variables, violations
from heapwarden.settings.load import load

EXAMPLES = example_values()
RELEASES = {"node-agent": "heapwarden", "node-evict": "heapwarden", "parts": "shop"}
"""Example → a release's name; others are named demo."""
SAME = {
    "sidecar": "sidecar",
    "native-sidecar": "native-sidecar",
    "node-agent": "node-agent",
    "coordinated": "overlays/coordinated",
}
"""Example → the folder of manifests that says the same."""
VERSIONS = ("1.28", kubernetes_validate.latest_version())
OPERATORS = {"PodMonitor", "PrometheusRule"}
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def made(example: str) -> list[Object]:
    """What the chart makes of an example."""
    return templated(RELEASES.get(example, "demo"), example)


def lint(*arguments: str | Path) -> str:
    """What `helm lint` says; empty: nothing is wrong."""
    command = [BIN / "helm", "lint", "--strict", "--quiet", CHART, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is (done.stdout.strip() == ""), done
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_linter_finds_nothing(example: str) -> None:
    """Strictly, with each example of values."""
    assert lint("--values", CHART / "ci" / f"{example}-values.yaml") == ""


def test_the_linter_finds_nothing_by_default() -> None:
    """Without any values."""
    assert lint() == ""


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("replicas=3", "Additional property replicas is not allowed"),
        ("app.replicaCount=3", "Additional property replicaCount is not allowed"),
        ("mode=daemonset", "mode must be one of"),
        ("image.tag=latest", "image.tag"),
        ("user.uid=0", "user.uid: Must be greater than or equal to 1"),
        ("app.demo=false", "app.image"),
        ("resources.limits=null", "limits is required"),
        ("kubernetesApi.leases[0]=Not_A_Name", "kubernetesApi.leases.0: Does not match pattern"),
        ("mode=node-agent,node.podNames=false,kubernetesApi.evict=true", "node.podNames does not match: true"),
        ("node.socketDir=run", "node.socketDir: Does not match pattern"),
    ],
)
def test_a_wrong_value_is_refused(setting: str, told: str) -> None:
    """With the place and what would be right."""
    assert told in lint("--set", setting)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_kubernetes_takes_it(example: str, version: str) -> None:
    """Strictly: no key that the API does not know."""
    for one in made(example):
        if one["kind"] not in OPERATORS:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_policy_of_pods_holds(example: str) -> None:
    """Neither root nor more rights than are needed, whatever the values."""
    assert violations(made(example)) == []


@pytest.mark.parametrize("example", SAME)
def test_it_makes_what_the_manifests_say(example: str) -> None:
    """Object by object, but for names, labels of Helm's own, and the order of lists whose entries have names."""
    chart, manifests = (
        {f"{one['kind']}/{plain(one['metadata']['name'])}": essence(one) for one in found}
        for found in (made(example), [one for one in kustomized(SAME[example]) if one["kind"] != "Namespace"])
    )
    assert set(chart) == set(manifests)
    for name, one in chart.items():
        assert one == manifests[name], name


def plain(name: str) -> str:
    """One name for what both call differently: charts name after releases, kustomize adds hashes of these letters."""
    name = re.sub(r"-[bcdfghkmt2456789]{10}$", "", name)
    return {"demo-heapwarden": "heapwarden", "heapwarden-heapwarden": "heapwarden"}.get(name, name)


def essence(value: Any, key: str = "") -> Any:
    """What counts for Kubernetes, so that two ways to say it can be compared."""
    if isinstance(value, dict):
        left_out = {"imagePullPolicy", "checksum/settings", "namespace"}
        if "apiVersion" in value:
            value = {**value, "metadata": {}}
        return {name: essence(one, name) for name, one in value.items() if name not in left_out}
    if isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value):
        return sorted((essence(one) for one in value), key=lambda one: str(one["name"]))
    if key == "heapwarden.yaml":
        return yaml.safe_load(value)
    if isinstance(value, str):
        return plain(value.rstrip("\n")) if key == "name" else value.rstrip("\n")
    return value


def test_a_difference_is_noticed() -> None:
    """In a probe, a right, or a line of the settings."""
    deployment = named(made("sidecar"), "Deployment")
    for place, value in (("readinessProbe", {}), ("securityContext", {}), ("image", "heapwarden/heapwarden:0.0.9")):
        other = named(made("sidecar"), "Deployment")
        container(pod_spec(other), "heapwarden")[place] = value
        assert essence(other) != essence(deployment)
    assert essence({"heapwarden.yaml": "a: 1"}) != essence({"heapwarden.yaml": "a: 2"})


def test_dashboards_and_rules_are_the_generated_ones() -> None:
    """Byte for byte, and every one of them."""
    found = made("own-app")
    for file in sorted((ROOT / "dashboards" / "grafana").glob("*.json")):
        name = file.stem.removeprefix("heapwarden-")
        assert (
            named(found, "ConfigMap", f"shop-{name}-dashboard")["data"][file.name].strip() == file.read_text().strip()
        )
    for file in sorted((ROOT / "dashboards" / "prometheus").glob("*.yaml")):
        name = file.name.removeprefix("heapwarden-").removesuffix(".rules.yaml")
        assert named(found, "PrometheusRule", f"shop-{name}")["spec"] == yaml.safe_load(file.read_text())


@pytest.mark.parametrize(
    ("example", "name"), [("own-app", "heapwarden-sidecar"), ("node-agent", "heapwarden-node-agent")]
)
def test_a_podmonitor_scrapes_as_the_manifests_do(example: str, name: str) -> None:
    """Its relabelling, and pods that it finds; its name makes the job's, which must have heapwarden in it."""
    file = CHART / "ci" / f"{example}-values.yaml"
    found = objects(
        said(BIN / "helm", "template", "x", CHART, "-f", file, "--set", "prometheus.podMonitor.enabled=true")
    )
    monitor, other = named(found, "PodMonitor"), named(kustomized("monitoring"), "PodMonitor", name)
    (mine,), (theirs,) = (one["spec"]["podMetricsEndpoints"] for one in (monitor, other))
    assert {**mine, "interval": ""} == {**theirs, "interval": ""}
    assert "heapwarden" in monitor["metadata"]["name"]
    labels = workloads(found)[0]["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_an_app_of_ones_own_is_run_as_it_is_told() -> None:
    """Its image, its command, its variables, and the reporter before its own options."""
    found = made("own-app")
    spec = pod_spec(named(found, "Deployment", "shop"))
    app = app_of(spec)
    assert (app["image"], app["command"], app["args"]) == (
        "registry.example.com:5000/shop:3.2.1",
        ["node"],
        ["dist/main.js"],
    )
    assert variables(app)["NODE_OPTIONS"] == "--require /reporter/heapwarden.cjs"
    assert variables(app)["LOG_LEVEL"] == "info"
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (1000, 1000)
    assert [title(one) for one in found if one["metadata"]["name"].endswith("-app")] == []


def test_an_agent_of_a_node_does_without_the_api() -> None:
    """No token, no permission, and it is told not to ask."""
    values = ("--set", "mode=node-agent", "--set", "node.podNames=false")
    found = objects(said(BIN / "helm", "template", "heapwarden", CHART, *values))
    assert {one["kind"] for one in found} == {"ConfigMap", "DaemonSet", "NetworkPolicy", "ServiceAccount"}
    settings = yaml.safe_load(named(found, "ConfigMap")["data"]["heapwarden.yaml"])
    assert settings == {"kubernetes": {"pods": "off"}, "socket_mode": "0666"}
    assert [one["name"] for one in pod_spec(named(found, "DaemonSet"))["volumes"] if "projected" in one] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_agent_accepts_its_settings(example: str, tmp_path: Path) -> None:
    """As `check-config` reads them."""
    file = tmp_path / "heapwarden.yaml"
    (text,) = [one["data"]["heapwarden.yaml"] for one in made(example) if "heapwarden.yaml" in one.get("data", {})]
    file.write_text(text)
    load(file, {})


def test_new_settings_are_rolled_out() -> None:
    """The pods' annotation is another one then."""
    sums = {
        named(made(example), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
        for example in ("sidecar", "coordinated")
    }
    assert len(sums) == 2


def test_another_chart_takes_the_parts_in(tmp_path: Path) -> None:
    """As the chart's README shows, with this chart's values; the pod is as good as the sidecar's."""
    folder = tmp_path / "shop"
    (folder / "templates").mkdir(parents=True)
    shutil.copytree(CHART, folder / "charts" / "heapwarden")
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: shop, version: 0.1.0}")
    readme = (CHART / "README.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (folder / "templates" / "deployment.yaml").write_text(f"{HEAD}{block}")
    values = (
        "--set",
        "heapwarden.mode=parts",
        "--set",
        "heapwarden.user.uid=1000",
        "--set",
        "heapwarden.user.gid=1000",
    )
    found = objects(said(BIN / "helm", "template", "shop", folder, *values))
    for one in found:
        kubernetes_validate.validate(one, "1.28", strict=True)
    spec = pod_spec(named(found, "Deployment"))
    (settings,) = [one["configMap"]["name"] for one in spec["volumes"] if one["name"] == "settings"]
    assert settings == named(found, "ConfigMap")["metadata"]["name"]
    agent, other = (
        container(spec, "heapwarden"),
        container(pod_spec(named(made("sidecar"), "Deployment")), "heapwarden"),
    )
    user = {key: agent["securityContext"].pop(key) for key in ("runAsUser", "runAsGroup")}
    assert agent == other
    assert set(user.values()) == {1000}


HEAD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector:
    matchLabels: {heapwarden: sidecar}
  template:
"""


def test_it_is_of_this_version() -> None:
    """The chart's, and that of the images."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def keys(values: object, schema: Object, place: str = "") -> Iterator[tuple[str, bool]]:
    """Each key of the values with whether the schema knows it, and each of the schema's with whether it has a value."""
    properties = schema.get("properties", {})
    if isinstance(values, dict) and properties:
        for name in values.keys() | properties.keys():
            yield f"{place}{name}", name in values and name in properties
            yield from keys(values.get(name), properties.get(name, {}), f"{place}{name}.")


def test_every_value_has_a_default_a_type_and_a_word() -> None:
    """The values, their schema and the README's table know the same."""
    known = {place: both for place, both in keys(VALUES, SCHEMA) if place != "global"}
    assert [place for place, both in known.items() if not both] == []
    table = "\n".join(line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `"))
    assert [
        place for place in known if re.search(rf"[`.]{place.split('.')[-1]}\b", table) is None and leaf(place)
    ] == []


def leaf(place: str) -> bool:
    """Whether the value is one that the table should name: no section, no part of what Kubernetes defines."""
    value: object = VALUES
    for name in place.split("."):
        value = value[name] if isinstance(value, dict) else None
    return "esources." not in f"{place}." and not (isinstance(value, dict) and value and "abel" not in place)
