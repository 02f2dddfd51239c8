"""Recording rules and alerts: Prometheus takes them, and each does in promtool what its cases say.

The cases are promtool's own test files, in ``promtool/``: one an alert, and those of what is recorded.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.machine import ROOT
from fakes.panels import annotations, boards, queries
from mixin.rules.alerts import ALERTS
from mixin.rules.alerts_agents import AGENT_ALERTS
from mixin.rules.recording import GROUPS

RULES = ROOT / "dashboards" / "prometheus"
CASES = sorted((Path(__file__).parent / "promtool").glob("*.yaml"))
NAMES = sorted(alert.name for alerts in ALERTS.values() for alert in alerts)


def promtool(*arguments: str | Path) -> None:
    """Run it; its output is what a failure says."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def cases(name: str) -> list[dict[str, Any]]:
    """The test groups of one file."""
    file = next(file for file in CASES if file.stem == name)
    groups: list[dict[str, Any]] = yaml.safe_load(file.read_text())["tests"]
    return groups


def test_prometheus_takes_the_rule_files() -> None:
    """No faulty expression or template, no duplicate."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.rules.yaml")))


def test_prometheus_takes_what_the_operator_gives_it(tmp_path: Path) -> None:
    """The operator writes ``spec`` of each PrometheusRule into a rule file as it is."""
    resources = yaml.safe_load_all((ROOT / "dashboards" / "operator" / "prometheusrule.yaml").read_text())
    for resource in resources:
        file = tmp_path / f"{resource['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(resource["spec"]))
        promtool("check", "rules", file)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in CASES])
def test_cases(file: Path) -> None:
    """Each case in the file comes out as it says."""
    promtool("test", "rules", file)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_cases_in_which_it_fires_and_others_in_which_it_is_silent(name: str) -> None:
    """At least one of each, and the silent one is no mere moment before it fires: it is a case of its own."""
    expected = [
        [bool(test["exp_alerts"]) for test in group.get("alert_rule_test", ()) if test["alertname"] == name]
        for group in cases(name)
    ]
    assert any(any(group) for group in expected), "it never fires"
    assert any(group and not any(group) for group in expected), "it is never silent"


def test_cases_evaluate_groups_in_the_order_of_what_they_read() -> None:
    """Promtool's own order is chance: an alert would see what was recorded now, or a minute ago."""
    order = [group.name for group in GROUPS] + list(ALERTS)
    assert [yaml.safe_load(file.read_text())["group_eval_order"] for file in CASES] == [order] * len(CASES)


def test_everything_that_is_recorded_is_read() -> None:
    """By a dashboard, an alert or another rule: what nobody reads costs all the same."""
    recorded = {rule.record: rule.expr for group in GROUPS for rule in group.rules}
    asked = [query.expression for board in boards().values() for query in queries(board) + annotations(board)]
    read = [*asked, *(alert.expr for alerts in ALERTS.values() for alert in alerts), *recorded.values()]
    assert [name for name in recorded if not any(name in expression for expression in read)] == []


@pytest.mark.parametrize(("hours", "expected"), [(9, []), (11, [1]), (30, [1]), (35, [])])
def test_a_job_without_targets_is_told_of_for_a_day(hours: int, expected: list[int], tmp_path: Path) -> None:
    """Targets are there for ten hours. Asked by itself: rules would be evaluated thousands of times."""
    (down,) = (alert for alert in AGENT_ALERTS if alert.short_name == "AgentDown")
    group = {
        "interval": "1h",
        "input_series": [{"series": 'up{job="heapwarden", instance="web1:9797"}', "values": "1x10 stale"}],
        "promql_expr_test": [
            {
                "expr": down.expr,
                "eval_time": f"{hours}h",
                "exp_samples": [{"labels": '{job="heapwarden"}', "value": value} for value in expected],
            }
        ],
    }
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"tests": [group]}))
    promtool("test", "rules", file)
