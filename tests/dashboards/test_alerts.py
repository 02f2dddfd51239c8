"""Alerts: what each must have, the same in every dialect, and a runbook for each."""

import re
from functools import cache
from typing import Any

import pytest
import yaml

from fakes.machine import ROOT
from mixin.boards import boards
from mixin.rules import grafana, operator, prometheus
from mixin.rules.alert import Alert, Severity
from mixin.rules.alerts import ALERTS
from mixin.rules.links import CHOICES, dashboard_url, runbook_url

RUNBOOKS = ROOT / "docs" / "runbooks"
BOARDS = boards()
EACH = [pytest.param(alert, id=alert.short_name) for alerts in ALERTS.values() for alert in alerts]
NAMES = sorted(alert.name for alerts in ALERTS.values() for alert in alerts)


@cache
def rules() -> dict[str, dict[str, Any]]:
    """The alerts as Prometheus has them, by name."""
    document = yaml.safe_load(prometheus.files()["prometheus/heapwarden-alerts.rules.yaml"])
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


@cache
def grafanas() -> dict[str, dict[str, Any]]:
    """The alerts as Grafana has them, by title."""
    return {rule["title"]: rule for group in grafana_groups() for rule in group["rules"]}


@cache
def grafana_groups() -> list[dict[str, Any]]:
    """Its provisioning file."""
    (text,) = grafana.files().values()
    document = yaml.safe_load(text)
    assert document["apiVersion"] == 1
    groups: list[dict[str, Any]] = document["groups"]
    return groups


@pytest.mark.parametrize("alert", EACH)
def test_says_who_what_how_urgent_and_where_to_look(alert: Alert) -> None:
    """Labels and annotations that receivers of alerts rely upon."""
    rule = rules()[alert.name]
    assert rule["labels"]["severity"] in set(Severity)
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "$labels" in alert.summary
    assert "$value" in alert.description or "$labels.code" in alert.description
    assert ". First " in alert.description


def test_pages_only_for_what_is_imminent_or_concerns_a_workload() -> None:
    """Whoever is called at night wants to have been."""
    critical = {rule["alert"] for rule in rules().values() if rule["labels"]["severity"] == "critical"}
    assert critical == {"HeapwardenLimitImminent", "HeapwardenOOMExits", "HeapwardenUnhealthyBurn"}


def test_most_are_held_so_that_one_that_comes_and_goes_is_one_alert() -> None:
    """Ten or so have ``keep_firing_for``, from 5 minutes to an hour."""
    held = [rule["keep_firing_for"] for rule in rules().values() if "keep_firing_for" in rule]
    assert len(held) >= 10
    assert set(held) <= {"5m", "10m", "15m", "1h"}


def test_each_has_a_runbook_and_each_runbook_an_alert() -> None:
    """In both directions; the index names all of them."""
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(NAMES)
    index = (RUNBOOKS / "README.md").read_text()
    assert sorted(re.findall(r"\]\((Heapwarden\w+)\.md\)", index)) == NAMES


@pytest.mark.parametrize("alert", EACH)
def test_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do(alert: Alert) -> None:
    """The same headings on every page, the alert's own figures at the top."""
    text = (RUNBOOKS / f"{alert.name}.md").read_text()
    lasts = "at once" if alert.lasts == "0m" else f"after {alert.lasts}"
    held = f" It stays for {alert.keep_firing_for} once it is over." if alert.keep_firing_for else ""
    assert text.startswith(f"# {alert.name}\n\n{alert.severity.capitalize()}, {lasts}.{held}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "What it means",
        "What to look at",
        "What to do",
        "When it is a false alarm",
    ]


def test_addresses_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """``make dashboards RUNBOOKS=… GRAFANA=…``; without them they are paths."""
    assert runbook_url("HeapwardenNearLimit") == "docs/runbooks/HeapwardenNearLimit.md"
    assert dashboard_url("heapwarden-fleet").startswith("/d/heapwarden-fleet?")
    monkeypatch.setenv("RUNBOOKS", "https://git.example.com/heapwarden/docs/runbooks/")
    monkeypatch.setenv("GRAFANA", "https://grafana.example.com/")
    assert (
        runbook_url("HeapwardenNearLimit") == "https://git.example.com/heapwarden/docs/runbooks/HeapwardenNearLimit.md"
    )
    assert dashboard_url("heapwarden-fleet").startswith("https://grafana.example.com/d/heapwarden-fleet?")


def test_the_operator_gets_the_same_rules() -> None:
    """Group for group, in two resources that a selector can tell apart."""
    (text,) = operator.files().values()
    recording, alerts = yaml.safe_load_all(text)
    for resource in (recording, alerts):
        assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert resource["metadata"]["labels"]["app.kubernetes.io/name"] == "heapwarden"
        assert "namespace" not in resource["metadata"]
    files = prometheus.files()
    assert recording["spec"] == yaml.safe_load(files["prometheus/heapwarden-recording.rules.yaml"])
    assert alerts["spec"] == yaml.safe_load(files["prometheus/heapwarden-alerts.rules.yaml"])


def test_grafana_gets_the_same_alerts() -> None:
    """The same expressions, durations and severities, in groups of the same names."""
    assert [group["name"] for group in grafana_groups()] == list(ALERTS)
    ours, theirs = rules(), grafanas()
    assert set(ours) == set(theirs)
    for name, rule in ours.items():
        other = theirs[name]
        assert other["data"][0]["model"]["expr"] == rule["expr"]
        assert (other["for"], other["labels"]) == (rule["for"], rule["labels"])
        assert other.get("keepFiringFor") == rule.get("keep_firing_for")


def test_grafana_groups_are_complete() -> None:
    """A group without one of these is refused at Grafana's start."""
    for group in grafana_groups():
        assert set(group) == {"orgId", "name", "folder", "interval", "rules"}
    uids = [rule["uid"] for group in grafana_groups() for rule in group["rules"]]
    assert len(set(uids)) == len(uids) == len(NAMES)
    assert all(re.fullmatch(r"heapwarden(-[a-z]+)+", uid) and len(uid) <= 40 for uid in uids)


@pytest.mark.parametrize("name", NAMES)
def test_grafana_alarms_for_whatever_the_query_finds(name: str) -> None:
    """Query → whether there is a value → above 0; nothing found is well, and an error is one."""
    rule = grafanas()[name]
    assert (rule["noDataState"], rule["execErrState"], rule["condition"]) == ("OK", "Error", "threshold")
    assert [step["refId"] for step in rule["data"]] == ["query", "prometheus_math", "threshold"]
    query, math, threshold = (step["model"] for step in rule["data"])
    assert query["instant"] is True
    assert math["expression"] == "is_number($query) || is_nan($query) || is_inf($query)"
    assert threshold["expression"] == "prometheus_math"
    assert all(step["datasourceUid"] == step["model"]["datasource"]["uid"] for step in rule["data"])


@pytest.mark.parametrize("name", NAMES)
def test_grafana_holds_an_alert_whose_series_is_gone_as_long_as_prometheus_does(name: str) -> None:
    """It counts evaluations, and the first may come at once."""
    rule = grafanas()[name]
    minutes = {"5m": 5, "10m": 10, "15m": 15, "1h": 60}.get(rule.get("keepFiringFor", ""), 0)
    assert rule["missing_series_evals_to_resolve"] == minutes * 2 + 1


@pytest.mark.parametrize("name", NAMES)
def test_grafana_reads_the_texts_as_they_are(name: str) -> None:
    """``$value`` there is a text of all values; ``$$`` belongs where variables are filled in, and ``${`` nowhere."""
    for text in grafanas()[name]["annotations"].values():
        assert not re.search(r"\$value\b|\$\$|\$\{", text)
    assert not any("$" in text for text in grafanas()[name]["labels"].values())


@pytest.mark.parametrize("alert", EACH)
def test_grafana_draws_it_on_a_panel_that_shows_it(alert: Alert) -> None:
    """The panel with that title is the one with that number, on that dashboard."""
    rule = grafanas()[alert.name]
    marks = rule["annotations"]
    assert (marks["__dashboardUid__"], marks["__panelId__"]) == (rule["dashboardUid"], str(rule["panelId"]))
    board = BOARDS[rule["dashboardUid"]]
    panels = [one for panel in board["panels"] for one in (panel, *panel.get("panels", ()))]
    assert [panel["title"] for panel in panels if panel["id"] == rule["panelId"]] == [alert.panel]


@pytest.mark.parametrize("alert", EACH)
def test_the_dashboard_has_the_variables_that_its_link_sets(alert: Alert) -> None:
    """Grafana would leave out any other."""
    variables = BOARDS[alert.board]["templating"]["list"]
    assert set(CHOICES[alert.board]) <= {variable["name"] for variable in variables}
