"""The dashboards hold together: places, ids, words, links, and metrics that Heapwarden really has."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from fakes.panels import Board, annotations, boards, panels, queries
from fakes.promql import Selector, selectors
from heapwarden.domain.health import HealthState
from mixin import vocabulary
from mixin.rules.links import CHOICES

BOARDS = boards()
FLEET, PROCESS, AGENT = "heapwarden-fleet", "heapwarden-process", "heapwarden-agent"
each = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
OF_PROMETHEUS = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
OF_PYTHON = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "python_gc_collections_total",
}
OF_KUBERNETES = {"cluster", "namespace", "pod", "workload"}


def everything(board: Board) -> Iterator[dict[str, Any]]:
    """Rows and panels, those of collapsed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def asked_for(board: Board) -> list[Selector]:
    """Every metric of every query, those of annotations too."""
    return [one for query in queries(board) + annotations(board) for one in selectors(query.expression)]


@each
def test_ids_and_names_of_queries_are_unique(board: Board) -> None:
    """Grafana tells panels and queries apart by them."""
    ids = [panel["id"] for panel in everything(board)]
    assert ids == sorted(set(ids))
    for panel in panels(board):
        names = [target["refId"] for target in panel["targets"]]
        assert len(names) == len(set(names)), panel["title"]


@each
def test_no_two_panels_stand_on_the_same_place(board: Board) -> None:
    """On the page as it opens, and below each row when it is opened."""
    for shown in (board["panels"], *(row["panels"] for row in board["panels"] if row.get("panels"))):
        cells = [cell for panel in shown for cell in _cells(panel["gridPos"])]
        assert len(cells) == len(set(cells))
        assert all(0 <= column < 24 for column, _line in cells)


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    return (
        (column, line)
        for column in range(place["x"], place["x"] + place["w"])
        for line in range(place["y"], place["y"] + place["h"])
    )


@each
def test_the_first_row_is_open_and_the_others_wait(board: Board) -> None:
    """What is looked at first costs a dozen queries; the rest is asked for when it is opened."""
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    assert [row["collapsed"] for row in rows] == [False, *(True for _ in rows[1:])]
    assert all(row["panels"] for row in rows[1:])
    assert board["panels"][0] == rows[0]


@each
def test_every_panel_says_what_is_normal_and_what_to_do(board: Board) -> None:
    """In sentences, under the same two words."""
    for panel in panels(board):
        meaning, normal, act = panel["description"].split("\n\n")
        assert meaning.endswith("."), panel["title"]
        assert len(meaning) > len("Used heap of it."), panel["title"]
        assert re.fullmatch(r"\*\*Normal:\*\* .+\.", normal, re.DOTALL), panel["title"]
        assert re.fullmatch(r"\*\*If not:\*\* .{20,}\.", act, re.DOTALL), panel["title"]


@each
def test_labels_in_tables_have_no_unit(board: Board) -> None:
    """Grafana takes a worker's number for a number: 0 would be 0 %. Units are those of single columns."""
    units = {panel["fieldConfig"]["defaults"]["unit"] for panel in panels(board) if panel["type"] == "table"}
    assert units == {"none"}


def known_metrics() -> dict[str, set[str] | None]:
    """Names of series and the labels that they have; None: those of any rule."""
    page = (ROOT / "docs" / "metrics.md").read_text().split("## Under prom-client")[0]
    known: dict[str, set[str] | None] = dict.fromkeys(OF_PROMETHEUS | OF_PYTHON)
    for name, kind, labels in ROW.findall(page):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            known[name + suffix] = {*re.findall(r"`(\w+)`", labels), *(["le"] if suffix == "_bucket" else [])}
    recorded = (value for value in vars(vocabulary).values() if isinstance(value, str) and value.count(":") == 2)
    return known | dict.fromkeys(recorded)


@each
def test_every_metric_is_one_that_there_is(board: Board) -> None:
    """In the reference page or among the recorded series, and with the labels that are asked for."""
    known = known_metrics()
    anywhere = {"job", "instance", "process", "worker", *OF_KUBERNETES}
    for one in asked_for(board):
        assert one.metric in known, one
        labels = known[one.metric]
        assert labels is None or {label for label, _, _ in one.matchers} <= labels | anywhere, one


def test_there_are_metrics_to_be_known() -> None:
    """The page could be read: the test above would else find nothing missing."""
    known = known_metrics()
    assert known["heapwarden_heap_space_used_bytes"] == {"thread", "space"}
    assert known["heapwarden_gc_duration_seconds_bucket"] == {"kind", "le"}
    assert "heapwarden_gc_duration_seconds" not in known
    assert vocabulary.PRESSURE in known


@each
def test_everything_works_on_a_host_without_kubernetes(board: Board) -> None:
    """There its labels are absent, and only a regular expression that matches nothing at all takes such series."""
    variables = {one["name"]: one for one in board["templating"]["list"]}
    for name in OF_KUBERNETES & variables.keys():
        assert (variables[name]["includeAll"], variables[name]["allValue"]) == (True, ".*")
        assert "current" not in variables[name], "All is chosen at first"
    for one in asked_for(board):
        chosen = {label: (operator, value) for label, operator, value in one.matchers if label in OF_KUBERNETES}
        expected = {label: ("=~", f"${label}") for label in chosen}
        if chosen.get("workload") == ("=", ""):  # the other half of a pair: the workload is the process's name
            expected["workload"] = ("=", "")
        assert chosen == expected, one


@each
def test_several_values_of_every_variable_may_be_chosen(board: Board) -> None:
    """A matcher for it is a regular expression, never ``=``. Only the data source is one."""
    for one in board["templating"]["list"]:
        assert one.get("multi", False) is (one["type"] == "query"), one["name"]
    used = {value for selector in asked_for(board) for _, _, value in selector.matchers if value.startswith("$")}
    assert used <= {f"${one['name']}" for one in board["templating"]["list"]}
    compared = {operator for one in asked_for(board) for _, operator, value in one.matchers if "$" in value}
    assert compared == {"=~"}


def test_the_page_of_a_process_opens_with_one_name() -> None:
    """All of them would be ten thousand lines in each panel."""
    (process,) = (one for one in BOARDS[PROCESS]["templating"]["list"] if one["name"] == "process")
    assert process["includeAll"] is False


def test_lines_of_processes_name_their_host() -> None:
    """Two hosts without Kubernetes have the same process and worker, and no pod."""
    legends = {target["legendFormat"] for panel in panels(BOARDS[PROCESS]) for target in panel["targets"]}
    of_one = [legend for legend in legends if "{{worker}}" in legend]
    assert of_one
    assert all("{{pod}}" in legend and "{{instance}}" in legend for legend in of_one)


def test_fleet_asks_over_time_for_recorded_series_alone() -> None:
    """Raw series of ten thousand processes over hours take ten seconds and more. At one instant they are cheap."""
    over_time = [query for query in queries(BOARDS[FLEET]) if not query.instant] + annotations(BOARDS[FLEET])
    metrics = {one.metric for query in over_time for one in selectors(query.expression)}
    assert metrics
    assert [metric for metric in metrics if ":" not in metric or metric.startswith("process")] == []


@pytest.mark.parametrize("name", [PROCESS, AGENT])
def test_process_and_agent_need_no_rules(name: str) -> None:
    """They work before anybody has loaded recording rules."""
    assert [one.metric for one in asked_for(BOARDS[name]) if ":" in one.metric] == []


def test_series_that_other_jobs_have_too_are_those_of_agents() -> None:
    """``up`` of any job that is chosen, and never of one that is not Heapwarden's."""
    shared = [one for one in asked_for(BOARDS[AGENT]) if not one.metric.startswith("heapwarden_")]
    assert shared
    assert [one for one in shared if ("job", "=~", vocabulary.AGENT_JOB) not in one.matchers] == []


@each
def test_links_lead_to_dashboards_that_there_are(board: Board) -> None:
    """From each to the other two, with what was chosen and the time range."""
    links = {link["url"].removeprefix("/d/"): link for link in board["links"]}
    assert links.keys() == BOARDS.keys() - {board["uid"]}
    assert all(link["includeVars"] and link["keepTime"] for link in links.values())


@pytest.mark.parametrize("uid", CHOICES)
def test_alerts_lead_to_dashboards_that_take_their_labels(uid: str) -> None:
    """What an alert's link chooses is a variable there."""
    assert {*CHOICES[uid]} <= {one["name"] for one in BOARDS[uid]["templating"]["list"]}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (FLEET, "Closest to their limit"),
        (FLEET, "Time to the limit"),
        (FLEET, "Most time in collections"),
        (AGENT, "Processes without an answer"),
    ],
)
def test_rows_lead_to_their_process(name: str, title: str) -> None:
    """The link passes every label of the row that Process has a variable for, the time range and the data source."""
    (panel,) = (panel for panel in panels(BOARDS[name]) if panel["title"] == title)
    overrides = {one["matcher"]["options"]: one["properties"] for one in panel["fieldConfig"]["overrides"]}
    variables = {one["name"] for one in BOARDS[PROCESS]["templating"]["list"]} - {"datasource", "job"}
    for column in ("pod", "process"):
        (link,) = next(option["value"] for option in overrides[column] if option["id"] == "links")
        assert link["url"].startswith(f"/d/{PROCESS}?${{__url_time_range}}&${{datasource:queryparam}}&")
        passed = dict(re.findall(r"var-(\w+)=\$\{__data\.fields\.(\w+):percentencode\}", link["url"]))
        assert passed == {label: label for label in variables}


def test_an_alert_leads_to_a_process_where_it_names_one() -> None:
    """One about an agent has a pod and no process, and Process would have nothing to show."""
    (panel,) = (panel for panel in panels(BOARDS[FLEET]) if panel["title"] == "Alerts that fire")
    linked = {
        one["matcher"]["options"]
        for one in panel["fieldConfig"]["overrides"]
        if any(option["id"] == "links" for option in one["properties"])
    }
    assert linked == {"process"}


@each
def test_a_dashboard_is_one_of_a_family(board: Board) -> None:
    """What all of them share."""
    assert board["schemaVersion"] == 42
    assert board["graphTooltip"] == 1  # one crosshair over all panels
    assert board["editable"] is False
    assert "heapwarden" in board["tags"]
    assert board["title"] == f"Heapwarden / {board['uid'].removeprefix('heapwarden-').capitalize()}"


@pytest.mark.parametrize("name", [FLEET, PROCESS])
def test_restarts_and_exits_are_marked(name: str) -> None:
    """On all panels, unless somebody hides them."""
    marks = BOARDS[name]["annotations"]["list"]
    metrics = [{one.metric for one in selectors(mark["expr"])} for mark in marks]
    assert all(mark["enable"] and not mark["hide"] for mark in marks)
    assert metrics == (
        [{vocabulary.RESTARTS}, {vocabulary.EXITS}]
        if name == FLEET
        else [{"heapwarden_restarts_total"}, {"heapwarden_exits_total"}]
    )


@each
def test_no_colour_is_lost_on_colour_blind_eyes(board: Board) -> None:
    """No red beside green, no palette that has both; heatmaps in Viridis."""
    assert re.findall(r"red'|green'|palette-classic|rdylgr|grylrd", str(board).lower()) == []
    for panel in panels(board):
        if panel["type"] == "heatmap":
            assert panel["options"]["color"]["scheme"] == "Viridis"


def test_health_is_told_in_words() -> None:
    """Each number has the name that the agent gives it, wherever it is shown."""
    names = {str(state.value): state.label for state in HealthState}
    shown = [panel for panel in panels(BOARDS[PROCESS]) if panel["title"] == "Health"]
    assert {panel["type"] for panel in shown} == {"stat", "state-timeline"}
    (closest,) = (panel for panel in panels(BOARDS[FLEET]) if panel["title"] == "Closest to their limit")
    options = chain.from_iterable(one["properties"] for one in closest["fieldConfig"]["overrides"])
    of_table = [option["value"] for option in options if option["id"] == "mappings"]
    for mappings in (*(panel["fieldConfig"]["defaults"]["mappings"] for panel in shown), of_table[-1]):
        assert {value: result["text"] for value, result in mappings[0]["options"].items()} == names


@each
def test_series_that_have_a_colour_or_a_style_exist(board: Board) -> None:
    """An override by a name that no query gives does nothing."""
    for panel in panels(board):
        legends = {target["legendFormat"] for target in panel["targets"]}
        if panel["type"] == "timeseries" and not any("{{" in legend for legend in legends):
            named = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
            assert named <= legends, panel["title"]
