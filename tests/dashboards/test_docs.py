"""docs/dashboards.md: the files that it names are there, and its settings do what it says."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from fakes.conditions import wait_for
from fakes.machine import ROOT
from fakes.prometheus import prometheus
from mixin.provisioning.grafana import MOUNTED_AT

PAGE = (ROOT / "docs" / "dashboards.md").read_text()
NAMED = sorted(set(re.findall(r"(?<![\w/])(?:dashboards|deploy|docs)/[\w./*-]+", PAGE)))
SETTINGS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
BY_HAND, IN_KUBERNETES = [one for one in SETTINGS if "scrape_configs" in one]


@pytest.mark.parametrize("path", NAMED)
def test_what_it_names_is_there(path: str) -> None:
    """Files, folders, and patterns that match something."""
    assert list(ROOT.glob(path.rstrip("/.")))


def test_prometheus_accepts_its_settings(tmp_path: Path) -> None:
    """`promtool check config`, but for the rules, which are elsewhere."""
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(BY_HAND))
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def pod(port: int, kind: str, name: str) -> dict[str, str]:
    """A container's port as Prometheus' discovery tells of it."""
    meta = {
        "pod_container_port_number": str(port),
        "namespace": "shop",
        "pod_name": f"{name}-x7x2p",
        "pod_controller_kind": kind,
        "pod_controller_name": name,
    }
    return {f"__meta_kubernetes_{key}": value for key, value in meta.items()}


def test_its_relabelling_finds_the_workload(tmp_path: Path) -> None:
    """In a real Prometheus: the Deployment of a ReplicaSet, any other controller by its name, and no other port."""
    discovered = [
        pod(9797, "ReplicaSet", "check-out-6d4cf56db6"),
        pod(9797, "StatefulSet", "ledger-7"),
        pod(8080, "ReplicaSet", "other-6d4cf56db6"),
    ]
    pods = tmp_path / "pods.json"
    groups = [{"targets": [f"127.0.0.1:{1 + at}"], "labels": labels} for at, labels in enumerate(discovered)]
    pods.write_text(json.dumps(groups))
    (shown,) = IN_KUBERNETES["scrape_configs"]
    job = {key: value for key, value in shown.items() if key != "kubernetes_sd_configs"}  # Debian's is built without
    with prometheus(tmp_path, job | {"file_sd_configs": [{"files": [str(pods)]}]}) as server:
        targets = wait_for(server.targets, 60)
    found = {(one["labels"]["namespace"], one["labels"]["pod"], one["labels"]["workload"]) for one in targets}
    assert found == {
        ("shop", "check-out-6d4cf56db6-x7x2p", "check-out"),
        ("shop", "ledger-7-x7x2p", "ledger-7"),
    }


def test_its_grafana_is_the_one_that_compose_starts() -> None:
    """The same image with the same folders at the same places."""
    stack = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text())["services"]["grafana"]
    command = re.search(r"^docker run (.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert command
    words = command.group(1).replace("\\\n", " ").split()
    assert words[-1] == stack["image"]
    mounted = {word.removeprefix("./") for word in words if word.startswith("./")}
    assert mounted == {volume.removeprefix("../../") for volume in stack["volumes"]}
    assert any(f":{MOUNTED_AT}:" in volume for volume in mounted)


def test_its_configmap_is_one_that_is_there() -> None:
    """The Grafana operator is led to a name and a key that exist."""
    (one,) = [settings for settings in SETTINGS if settings.get("kind") == "GrafanaDashboard"]
    reference = one["spec"]["configMapRef"]
    configmap = yaml.safe_load((ROOT / "dashboards" / "kubernetes" / f"{reference['name']}.yaml").read_text())
    assert configmap["metadata"]["name"] == reference["name"]
    assert reference["key"] in configmap["data"]
