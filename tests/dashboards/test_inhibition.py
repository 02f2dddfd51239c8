"""The example for Alertmanager: it is taken, and what it says is superfluous a real Alertmanager holds back."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from fakes.alertmanager import Alertmanager, alertmanager
from fakes.conditions import wait_for
from fakes.machine import ROOT, get
from mixin.rules.alerts import ALERTS
from mixin.vocabulary import WORKLOAD

FILE = ROOT / "dashboards" / "alertmanager" / "alertmanager.yml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text())
EXPRESSIONS = {alert.name: alert.expr for alerts in ALERTS.values() for alert in alerts}
SEVERITIES = {alert.name: str(alert.severity) for alerts in ALERTS.values() for alert in alerts}
IN_KUBERNETES = ("cluster", "namespace", "pod")

Labels = dict[str, str]


def named(matchers: list[str]) -> list[str]:
    """The alerts that ``alertname = "A"`` or ``alertname =~ "A|B"`` means."""
    (matcher,) = matchers
    found = re.fullmatch(r'alertname =~? "([\w|]+)"', matcher)
    assert found, matcher
    return found[1].split("|")


PAIRS = [
    (source, target)
    for rule in CONFIG["inhibit_rules"]
    for source in named(rule["source_matchers"])
    for target in named(rule["target_matchers"])
]


def carried(alert: str) -> list[str]:
    """The labels that an alert has, by what its expression aggregates by."""
    found = re.match(r"\w+ by \(([^)]*)\)", EXPRESSIONS[alert])
    return found[1].split(", ") if found else list(WORKLOAD)


def about(alert: str, subject: str, *, pod: bool) -> Labels:
    """Its labels when it is about this subject; on a host those of Kubernetes are absent."""
    labels = {label: f"{subject}-{label}" for label in carried(alert) if pod or label not in IN_KUBERNETES}
    return {"alertname": alert, "severity": SEVERITIES[alert], **labels}


def post(running: Alertmanager, alerts: list[Labels]) -> None:
    """Let them fire."""
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    request = Request(f"{running.url}/api/v2/alerts", body, {"Content-Type": "application/json"})  # noqa: S310  loopback
    with urlopen(request, timeout=60) as answer:  # noqa: S310  loopback
        assert answer.status == 200


def firing(running: Alertmanager, *, inhibited: bool) -> list[Labels]:
    """The labels of those that it holds, and that are inhibited or not."""
    alerts = get(f"{running.url}/api/v2/alerts").json
    return [alert["labels"] for alert in alerts if bool(alert["status"]["inhibitedBy"]) is inhibited]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """An Alertmanager with the example; its receivers are placeholders where nobody listens."""
    silent = {**CONFIG, "receivers": [{"name": one["name"]} for one in CONFIG["receivers"]]}
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), silent) as started:
        yield started


def test_alertmanager_takes_it() -> None:
    """As ``amtool`` says."""
    done = subprocess.run(["amtool", "check-config", FILE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_names_alerts_that_exist() -> None:
    """And those that everybody expects are among them."""
    assert {name for pair in PAIRS for name in pair} <= set(EXPRESSIONS)
    assert ("HeapwardenAgentDown", "HeapwardenFiguresStale") in PAIRS
    assert ("HeapwardenLimitImminent", "HeapwardenNearLimit") in PAIRS


@pytest.mark.parametrize("pod", [pytest.param(True, id="pod"), pytest.param(False, id="host")])
@pytest.mark.parametrize(("source", "target"), [pytest.param(*pair, id="-over-".join(pair)) for pair in PAIRS])
def test_what_is_explained_by_another_alert_is_held_back(
    running: Alertmanager, source: str, target: str, pod: bool
) -> None:
    """About the same subject; the same alert about another one is not."""
    one, another = f"{source}-{target}-{pod}-one", f"{source}-{target}-{pod}-another"
    mine, other = about(target, one, pod=pod), about(target, another, pod=pod)
    post(running, [about(source, one, pod=pod), mine, other])
    wait_for(lambda: mine in firing(running, inhibited=True))
    assert other in firing(running, inhibited=False)


def receivers(labels: Mapping[str, str], config: Path = FILE) -> str:
    """Where an alert with these labels would go, by ``amtool``."""
    words = [f"{name}={value}" for name, value in labels.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={config}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.mark.parametrize("name", sorted(EXPRESSIONS))
def test_only_critical_ones_call_somebody(name: str) -> None:
    """Warnings go to the team, the rest to nobody."""
    wanted = {"critical": "on-call", "warning": "team", "info": "nobody"}[SEVERITIES[name]]
    assert receivers({"alertname": name, "severity": SEVERITIES[name]}) == wanted


def test_alerts_of_others_are_left_alone() -> None:
    """The example's routes are for Heapwarden's alerts."""
    assert receivers({"alertname": "KubePodCrashLooping", "severity": "critical"}) == "default"
