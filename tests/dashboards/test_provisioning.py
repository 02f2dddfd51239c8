"""What Grafana mounts, and what its sidecar finds in Kubernetes: each file refers to others that are there."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.machine import ROOT
from mixin.provisioning import configmaps, grafana

FOLDERS = ("grafana", "provisioning", "kubernetes")
FILES = {
    path.relative_to(ROOT / "dashboards").as_posix(): path.read_text()
    for folder in FOLDERS
    for path in (ROOT / "dashboards" / folder).rglob("*.*")
}
"""As they are committed; that they are what is generated is for another test."""
CONFIGMAPS = sorted(
    path for path in FILES if path.startswith("kubernetes/") and not path.endswith("/kustomization.yaml")
)
SOURCES = sorted(path for path in FILES if Path(path).parent.as_posix() in {"grafana", "provisioning/alerting"})


def load(path: str) -> dict[str, Any]:
    """A generated YAML file."""
    loaded: dict[str, Any] = yaml.safe_load(FILES[path])
    return loaded


def test_the_datasource_has_the_fixed_uid() -> None:
    """One Prometheus, its address from the environment in the form that Grafana expands."""
    (source,) = load("provisioning/datasources/heapwarden.yaml")["datasources"]
    assert (source["uid"], source["type"], source["url"]) == (
        grafana.DATASOURCE_UID,
        "prometheus",
        "${PROMETHEUS_URL}",
    )


def test_the_provider_reads_the_mounted_folder() -> None:
    """Dashboards come from files, and can't be changed in the browser, where the change would be lost."""
    (provider,) = load("provisioning/dashboards/heapwarden.yaml")["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert provider["options"] == {"path": grafana.MOUNTED_AT}


def test_the_alerts_ask_the_provisioned_datasource() -> None:
    """Every query of a provisioned alert names the datasource that is provisioned beside it, or is an expression."""
    groups = load("provisioning/alerting/heapwarden.yaml")["groups"]
    asked = {query["datasourceUid"] for group in groups for rule in group["rules"] for query in rule["data"]}
    assert asked == {grafana.DATASOURCE_UID, "__expr__"}
    assert {group["folder"] for group in groups} == {grafana.FOLDER}


def test_every_source_has_its_configmap() -> None:
    """Each dashboard and each alerting file once, byte for byte."""
    inside = [item for path in CONFIGMAPS for item in load(path)["data"].items()]
    assert sorted(inside) == sorted((Path(path).name, FILES[path]) for path in SOURCES)


@pytest.mark.parametrize("path", CONFIGMAPS)
def test_a_configmap_is_one_that_the_sidecar_takes(path: str) -> None:
    """Its label, its name, and a size that the API accepts."""
    one = load(path)
    assert (one["apiVersion"], one["kind"], one["metadata"]["name"]) == ("v1", "ConfigMap", Path(path).stem)
    ((key, text),) = one["data"].items()
    if key.endswith(".json"):
        json.loads(text)
        assert one["metadata"]["labels"] == {"grafana_dashboard": "1"}
        assert one["metadata"]["annotations"] == {"grafana_folder": grafana.FOLDER}
    else:
        assert one["metadata"]["labels"] == {"grafana_alert": "1"}
    assert len(FILES[path].encode()) < configmaps.MOST_BYTES


def test_a_file_too_big_for_a_configmap_is_refused() -> None:
    """With its name and both sizes."""
    with pytest.raises(ValueError, match=r"grafana/big\.json has 1048576 bytes; a ConfigMap takes 1048576"):
        configmaps.files({"grafana/big.json": "x" * configmaps.MOST_BYTES})


def test_text_that_yaml_would_change_survives() -> None:
    """What looks like something else in YAML, and characters of every sort."""
    text = '{"a": "\\u2028 é ${x} {{ y }} %",\n "b": "  trailing  ",   \n\t"c": "yes: #no"}\n'
    (wrapped,) = configmaps.files({"grafana/odd.json": text}).values()
    assert yaml.safe_load(wrapped)["data"] == {"odd.json": text}
