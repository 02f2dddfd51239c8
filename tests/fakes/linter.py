"""The rules of Grafana's dashboard-linter, held by tests of ours: it is a Go program that can't be had everywhere.

A rule has the linter's name, and is as strict or stricter: it looks at panels of every type, where the linter knows a
few. What a rule finds is a :class:`Fault`. Faults that are meant stand in :data:`EXCLUSIONS`, each with its reason.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from fakes.panels import Board, Query, View, annotations, asked, panels, queries
from fakes.promql import selectors

UNITS = {"none", "short", "percent", "percentunit", "bytes", "decbytes", "Bps", "binBps", "s", "ms", "ops", "cps"}
"""Those of Grafana's units that make sense for these figures."""

_SOURCES = {"$datasource", "${datasource}"}
_VARIABLE_QUERY = re.compile(r"(label_names|label_values|metrics|query_result)\((.+)\)")
_VIEW = View(range=3600)


@dataclass(frozen=True)
class Fault:
    """Something that a rule found."""

    rule: str
    board: str
    """Its uid."""
    panel: str
    """The panel's or the annotation's title; empty where the fault is the board's."""
    message: str


@dataclass(frozen=True)
class Exclusion:
    """Faults that are meant."""

    rule: str
    board: str
    panels: tuple[str, ...]
    """Titles; none: all of the board."""
    reason: str

    def covers(self, fault: Fault) -> bool:
        """This fault is one of these."""
        return (fault.rule, fault.board) == (self.rule, self.board) and (not self.panels or fault.panel in self.panels)


_OF_WORKLOADS = "recorded series are totals of workloads, over all jobs and instances; the workload is chosen instead"
_BIRTHS = (
    "a series that is born with its first event shows rate and increase nothing; what is used here counts births, "
    "restarts of the count and whole numbers, and test_board_queries holds it"
)
_EVENTS_OF_AGENTS = ("Errors of sources", "Frames refused", "Settings read again", "Errors of the journal")
EXCLUSIONS = (
    *(
        Exclusion(rule, "heapwarden-fleet", (), _OF_WORKLOADS)
        for rule in ("template-job-rule", "template-instance-rule", "target-job-rule", "target-instance-rule")
    ),
    Exclusion("target-counter-agg-rule", "heapwarden-process", ("Restarts", "Out of memory", "Exits"), _BIRTHS),
    Exclusion("target-counter-agg-rule", "heapwarden-agent", _EVENTS_OF_AGENTS, _BIRTHS),
    Exclusion(
        "target-counter-agg-rule",
        "heapwarden-process",
        ("All exits that were seen",),
        "lists how often it happened since the agent began, which is the counter itself",
    ),
)

Found = Iterator[tuple[str, str]]
"""Title of the panel, and what is wrong."""
Rule = Callable[[Board], Found]


def lint(board: Board) -> list[Fault]:
    """Everything that any rule finds, exclusions or not."""
    return [Fault(rule, board["uid"], panel, said) for rule, look in RULES.items() for panel, said in look(board)]


def _variables(board: Board, kind: str) -> list[dict[str, Any]]:
    return [one for one in board["templating"]["list"] if one["type"] == kind]


def _asked(board: Board) -> list[Query]:
    return queries(board) + annotations(board)


def _template_datasource(board: Board) -> Found:
    found = _variables(board, "datasource")
    if [(one["name"], one["label"], one["query"]) for one in found] != [("datasource", "Data source", "prometheus")]:
        yield "", "one variable 'datasource', labelled 'Data source', has to choose the Prometheus"


def _template(name: str) -> Rule:
    def look(board: Board) -> Found:
        found = [one for one in board["templating"]["list"] if one["name"] == name]
        if not found:
            yield "", f"there is no variable {name}"
            return
        (one,) = found
        wanted = {"type": "query", "label": name.capitalize(), "multi": True, "allValue": ".+"}
        for key, value in wanted.items():
            if one.get(key) != value:
                yield "", f"{key} of variable {name} is {one.get(key)!r}, not {value!r}"
        if one.get("datasource", {}).get("uid") not in _SOURCES:
            yield "", f"variable {name} asks another data source"

    return look


def _template_label_promql(board: Board) -> Found:
    asking = [(one, _VARIABLE_QUERY.fullmatch(one["query"]["query"])) for one in _variables(board, "query")]
    for one, match in asking:
        if match is None:
            yield "", f"variable {one['name']} asks {one['query']['query']!r}"
    inner = [(one["name"], match[2].rpartition(",")[0] or match[2]) for one, match in asking if match]
    yield from _invalid(board, [Query("", name, expression) for name, expression in inner])


def _template_reload(board: Board) -> Found:
    for one in _variables(board, "query"):
        if one.get("refresh") != 2:  # on a change of the time range
            yield "", f"variable {one['name']} does not follow the time range"


def _panel_datasource(board: Board) -> Found:
    for panel in panels(board):
        for asking in (panel, *panel["targets"]):
            if asking.get("datasource", {}).get("uid") not in _SOURCES:
                yield panel["title"], "does not ask the chosen data source"


def _panel_title_description(board: Board) -> Found:
    for panel in panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), "has no title or no description"


def _panel_units(board: Board) -> Found:
    for panel in panels(board):
        overrides = (one for override in panel["fieldConfig"]["overrides"] for one in override["properties"])
        units = [
            panel["fieldConfig"]["defaults"].get("unit"),
            *(one["value"] for one in overrides if one["id"] == "unit"),
        ]
        for unit in units:
            if unit not in UNITS:
                yield panel["title"], f"has the unit {unit!r}"


def _panel_no_targets(board: Board) -> Found:
    for panel in panels(board):
        if not panel.get("targets"):
            yield panel["title"], "asks for nothing"


def _no_logs(board: Board) -> Found:
    """Stands for both LogQL rules: there is nothing of Loki here, so there is nothing to check."""
    for panel in panels(board):
        if any(target.get("datasource", {}).get("type") == "loki" for target in panel["targets"]):
            yield panel["title"], "asks Loki, and no rule here reads LogQL"


def _target_promql(board: Board) -> Found:
    yield from _invalid(board, _asked(board))


def _invalid(board: Board, asking: list[Query]) -> Found:
    """What promtool can't parse. All in one file, which costs one start; one by one only where that fails."""
    chosen = {one["name"]: "any" for one in _variables(board, "query") if not one.get("includeAll")}
    expressions = [asked(board, query, _VIEW, chosen) for query in asking]
    if not expressions or _parses(expressions):
        return
    for query, expression in zip(asking, expressions, strict=True):
        if not _parses([expression]):
            yield query.panel, f"{query.ref} is no PromQL: {expression}"


def _parses(expressions: list[str]) -> bool:
    rules = [{"record": f"x{number}", "expr": expression} for number, expression in enumerate(expressions)]
    with TemporaryDirectory() as folder:
        file = Path(folder, "rules.yaml")
        file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
        run = subprocess.run(["promtool", "check", "rules", file], capture_output=True, timeout=60, check=False)
    return run.returncode == 0


def _target_rate_interval(board: Board) -> Found:
    for query in _asked(board):
        for one in selectors(query.expression):
            if one.function in {"rate", "irate"} and one.window != "$__rate_interval":
                yield query.panel, f"{query.ref} takes the rate over [{one.window}]"


def _target(name: str) -> Rule:
    def look(board: Board) -> Found:
        for query in _asked(board):
            for one in selectors(query.expression):
                if (name, "=~", f"${name}") not in one.matchers:
                    yield query.panel, f"{query.ref} takes {one.metric} of any {name}"

    return look


def _target_counter_agg(board: Board) -> Found:
    for query in _asked(board):
        for one in selectors(query.expression):
            if one.metric.endswith("_total") and not (one.window and one.function in {"rate", "irate", "increase"}):
                yield query.panel, f"{query.ref} takes the counter {one.metric} as it is"


def _uneditable(board: Board) -> Found:
    if board.get("editable") is not False:
        yield "", "can be edited, and loses it"


RULES: dict[str, Rule] = {
    "template-datasource-rule": _template_datasource,
    "template-job-rule": _template("job"),
    "template-instance-rule": _template("instance"),
    "template-label-promql-rule": _template_label_promql,
    "template-on-time-change-reload-rule": _template_reload,
    "panel-datasource-rule": _panel_datasource,
    "panel-title-description-rule": _panel_title_description,
    "panel-units-rule": _panel_units,
    "panel-no-targets-rule": _panel_no_targets,
    "target-logql-rule": _no_logs,
    "target-logql-auto-rule": _no_logs,
    "target-promql-rule": _target_promql,
    "target-rate-interval-rule": _target_rate_interval,
    "target-job-rule": _target("job"),
    "target-instance-rule": _target("instance"),
    "target-counter-agg-rule": _target_counter_agg,
    "uneditable-dashboard": _uneditable,
}
"""By the linter's names."""
