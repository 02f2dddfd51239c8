"""What brings figures to Prometheus: both kinds of scrapes find the agents, and give each process its workload."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.manifests import KUBERNETES, Object, containers, kustomized, named, pod_spec, said, title, workloads

PLAIN_FILE = KUBERNETES / "monitoring" / "prometheus.yml"
PLAIN = {job["job_name"]: job for job in yaml.safe_load(PLAIN_FILE.read_text())["scrape_configs"]}
NAMES = ("heapwarden-sidecar", "heapwarden-node-agent")
KEYS = {"sourceLabels", "regex", "targetLabel", "action"}
PODS = {"heapwarden-sidecar": ("sidecar", "native-sidecar"), "heapwarden-node-agent": ("node-agent",)}
"""PodMonitor → folders whose pods it is for."""


def endpoint(name: str) -> Object:
    """What a PodMonitor scrapes of each pod."""
    (one,) = named(kustomized("monitoring"), "PodMonitor", name)["spec"]["podMetricsEndpoints"]
    return dict(one)


def test_all_is_there_once_and_in_one_namespace() -> None:
    """Three dashboards, rules and alerts for Prometheus, two scrapes; not Grafana's alerts, which say the same."""
    found = kustomized("monitoring")
    assert sorted(map(title, found)) == [
        "ConfigMap/heapwarden-agent-dashboard",
        "ConfigMap/heapwarden-fleet-dashboard",
        "ConfigMap/heapwarden-process-dashboard",
        "PodMonitor/heapwarden-node-agent",
        "PodMonitor/heapwarden-sidecar",
        "PrometheusRule/heapwarden-alerts",
        "PrometheusRule/heapwarden-recording",
    ]
    assert {one["metadata"]["namespace"] for one in found} == {"monitoring"}


@pytest.mark.parametrize("name", NAMES)
def test_a_podmonitor_finds_its_pods(name: str) -> None:
    """By their label, in every namespace, and the port by its name."""
    spec = named(kustomized("monitoring"), "PodMonitor", name)["spec"]
    assert set(spec) == {"namespaceSelector", "selector", "podMetricsEndpoints"}
    assert spec["namespaceSelector"] == {"any": True}
    for folder in PODS[name]:
        (workload,) = workloads(kustomized(folder))
        assert spec["selector"]["matchLabels"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
        ports = [port["name"] for one in containers(pod_spec(workload)) for port in one.get("ports", ())]
        assert ports.count(endpoint(name)["port"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_podmonitor_has_keys_that_the_operator_knows(name: str) -> None:
    """There is no schema of it here, so the few keys that are used are listed."""
    one = endpoint(name)
    known = {"port", "path", "interval", "honorLabels", "relabelings", "metricRelabelings"}
    assert set(one) <= known
    for rule in (*one.get("relabelings", ()), *one.get("metricRelabelings", ())):
        assert set(rule) <= KEYS
        re.compile(rule["regex"]) if "regex" in rule else None


def test_prometheus_accepts_the_plain_jobs(tmp_path: Path) -> None:
    """`promtool check config`; each name has heapwarden in it, as rules and dashboards ask.

    Debian builds its Prometheus without the discovery of Kubernetes, so that is left out here.
    """
    text = PLAIN_FILE.read_text()
    discovery = "    kubernetes_sd_configs: [{role: pod}]\n"
    assert text.count(discovery) == len(PLAIN)
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace(discovery, ""))
    assert "SUCCESS" in said("promtool", "check", "config", file)
    assert tuple(PLAIN) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_kinds_say_the_same(name: str) -> None:
    """The operator itself adds namespace, pod and container, and drops pods that are over."""
    monitor, job = endpoint(name), PLAIN[name]
    assert job.get("honor_labels", False) is monitor.get("honorLabels", False)
    assert job["scrape_interval"] == monitor["interval"]
    assert job.get("metric_relabel_configs", []) == [snake(one) for one in monitor.get("metricRelabelings", ())]
    own = [one for one in job["relabel_configs"] if one.get("target_label") == "workload"]
    assert own == [snake(one) for one in monitor.get("relabelings", ()) if one.get("targetLabel") == "workload"]


def snake(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of the operator's as Prometheus itself writes it."""
    return {re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", key): value for key, value in rule.items()}


def relabelled(rules: list[Object], labels: Mapping[str, str]) -> dict[str, str]:
    """What Prometheus makes of labels by rules that replace (regular expressions are anchored on both sides)."""
    made = dict(labels)
    for rule in rules:
        if "target_label" in rule:
            value = ";".join(made.get(label, "") for label in rule["source_labels"])
            found = re.fullmatch(rule.get("regex", "(.*)"), value)
            if found is not None:
                made[rule["target_label"]] = found[1]
    return made


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("api-7d9f8b6c5d-x2x9z", "api"),
        ("api-v2-5b8d4c9f6-8kq7m", "api-v2"),
        ("web-0", "web"),
        ("web-12", "web"),
        ("ingress-4hx8w", "ingress"),
        ("alone", None),
        ("my-worker", None),
        ("", None),
    ],
)
def test_a_process_gets_the_workload_of_its_pods_name(pod: str, workload: str | None) -> None:
    """Where one agent speaks for many pods; a pod that stands alone has none."""
    rules = PLAIN["heapwarden-node-agent"]["metric_relabel_configs"]
    assert relabelled(rules, {"pod": pod}).get("workload") == workload


def test_a_workload_that_is_known_stays() -> None:
    """Whoever says it knows better than a name."""
    rules = PLAIN["heapwarden-node-agent"]["metric_relabel_configs"]
    assert relabelled(rules, {"pod": "web-0", "workload": "shop"})["workload"] == "shop"


@pytest.mark.parametrize(
    ("kind", "name", "workload"),
    [("ReplicaSet", "api-7d9f8b6c5d", "api"), ("StatefulSet", "web-2", "web-2"), ("DaemonSet", "edge", "edge")],
)
def test_a_pod_gets_the_workload_of_its_owner(kind: str, name: str, workload: str) -> None:
    """A ReplicaSet is its Deployment's."""
    owner = {"__meta_kubernetes_pod_controller_kind": kind, "__meta_kubernetes_pod_controller_name": name}
    assert relabelled(PLAIN["heapwarden-sidecar"]["relabel_configs"], owner)["workload"] == workload
