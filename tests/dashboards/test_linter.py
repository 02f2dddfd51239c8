"""The dashboards keep the rules of Grafana's linter, and each rule can find something."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from fakes.linter import EXCLUSIONS, RULES, Fault, lint
from fakes.panels import Board, boards

BOARDS = boards()
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
MATCHERS = 'job=~"$job", instance=~"$instance"'


@pytest.fixture(scope="module")
def faults() -> list[Fault]:
    """Of all dashboards, exclusions or not."""
    return [fault for board in BOARDS.values() for fault in lint(board)]


def test_all_three_are_looked_at() -> None:
    """A test over no dashboards would pass."""
    assert list(BOARDS) == ["heapwarden-agent", "heapwarden-fleet", "heapwarden-process"]


def test_no_rule_finds_anything_that_is_not_meant(faults: list[Fault]) -> None:
    """Every fault is covered by an exclusion with a reason."""
    assert [fault for fault in faults if not any(one.covers(fault) for one in EXCLUSIONS)] == []


def test_every_exclusion_is_needed(faults: list[Fault]) -> None:
    """One that covers nothing any more hides the next fault."""
    assert [one for one in EXCLUSIONS if not any(one.covers(fault) for fault in faults)] == []
    for one in EXCLUSIONS:
        excluded = {fault.panel for fault in faults if one.covers(fault)}
        assert set(one.panels) <= excluded


def _variable(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "label": name.capitalize(),
        "datasource": SOURCE,
        "query": {"query": f"label_values(up, {name})"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
    }


def _good() -> Board:
    """A dashboard that no rule has anything against."""
    expr = f"sum(rate(heapwarden_agent_ticks_late_total{{{MATCHERS}}}[$__rate_interval]))"
    panel = {
        "type": "timeseries",
        "title": "Late ticks",
        "description": "Normal: none.",
        "datasource": SOURCE,
        "targets": [{"refId": "A", "expr": expr, "datasource": SOURCE}],
        "fieldConfig": {"defaults": {"unit": "ops"}, "overrides": []},
    }
    source = {"name": "datasource", "type": "datasource", "label": "Data source", "query": "prometheus"}
    variables = [source, _variable("job"), _variable("instance")]
    return {"uid": "good", "editable": False, "panels": [panel], "templating": {"list": variables}}


def test_nothing_is_found_in_a_good_dashboard() -> None:
    """The one that the faults below are put into."""
    assert lint(_good()) == []


def _set(path: str, value: object) -> Callable[[Board], None]:
    """Puts ``value`` where ``path`` leads, through keys and indices."""

    def change(board: Board) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
        place: Any = board
        for step in way:
            place = place[step]
        place[last] = value

    return change


def _expr(expression: str) -> Callable[[Board], None]:
    return _set("panels.0.targets.0.expr", expression)


SPOILED = [
    ("template-datasource-rule", _set("templating.list.0.label", "Source")),
    ("template-datasource-rule", _set("templating.list.0.name", "source")),
    ("template-job-rule", _set("templating.list.1.allValue", ".*")),
    ("template-job-rule", _set("templating.list.1.multi", False)),
    ("template-job-rule", _set("templating.list.1.label", "job")),
    ("template-job-rule", _set("templating.list.1.datasource", {"uid": "mine"})),
    ("template-instance-rule", _set("templating.list.2.type", "custom")),
    ("template-label-promql-rule", _set("templating.list.1.query.query", "label_value(up, job)")),
    ("template-label-promql-rule", _set("templating.list.1.query.query", "label_values(up{, job)")),
    ("template-on-time-change-reload-rule", _set("templating.list.1.refresh", 1)),
    ("panel-datasource-rule", _set("panels.0.datasource", {"uid": "mine"})),
    ("panel-datasource-rule", _set("panels.0.targets.0.datasource", {"uid": "mine"})),
    ("panel-title-description-rule", _set("panels.0.description", "")),
    ("panel-title-description-rule", _set("panels.0.title", "")),
    ("panel-units-rule", _set("panels.0.fieldConfig.defaults", {})),
    ("panel-units-rule", _set("panels.0.fieldConfig.defaults.unit", "seconds")),
    ("panel-no-targets-rule", _set("panels.0.targets", [])),
    ("target-logql-rule", _set("panels.0.targets.0.datasource", {"type": "loki", "uid": "${datasource}"})),
    ("target-logql-auto-rule", _set("panels.0.targets.0.datasource", {"type": "loki", "uid": "${datasource}"})),
    ("target-promql-rule", _expr(f"sum(rate(x_total{{{MATCHERS}}}[$__rate_interval])")),
    ("target-rate-interval-rule", _expr(f"sum(rate(x_total{{{MATCHERS}}}[5m]))")),
    ("target-job-rule", _expr('sum(x{instance=~"$instance"})')),
    ("target-job-rule", _expr('sum(x{job="$job", instance=~"$instance"})')),
    ("target-instance-rule", _expr('sum(x{job=~"$job"})')),
    ("target-counter-agg-rule", _expr(f"sum(x_total{{{MATCHERS}}})")),
    ("target-counter-agg-rule", _expr(f"max_over_time(x_total{{{MATCHERS}}}[$__range])")),
    ("uneditable-dashboard", _set("editable", True)),
]


@pytest.mark.parametrize(("rule", "spoil"), SPOILED, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(SPOILED)])
def test_a_rule_finds_its_fault(rule: str, spoil: Callable[[Board], None]) -> None:
    """The rule says so for the spoiled dashboard, and it says so of the right one."""
    board = deepcopy(_good())
    spoil(board)
    assert rule in {fault.rule for fault in lint(board)}


def test_every_rule_was_seen_to_find_something() -> None:
    """No rule is without a fault of its own above."""
    assert {rule for rule, _ in SPOILED} == set(RULES)


def test_a_bare_metric_is_refused() -> None:
    """Without braces nothing chooses among its series, and rules on matchers would not see it."""
    board = deepcopy(_good())
    _expr("sum(up)")(board)
    with pytest.raises(AssertionError, match="up stands bare"):
        lint(board)
