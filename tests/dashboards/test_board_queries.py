"""What queries of the dashboards answer, asked of series that are made up: ``promtool test rules`` evaluates them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.machine import ROOT
from fakes.panels import View, asked, boards, panels, queries
from mixin.boards.asking import count_in_range, events
from mixin.rules.alerts_limits import LIMIT_ALERTS

BOARDS = boards()
RECORDING = ROOT / "dashboards" / "prometheus" / "heapwarden-recording.rules.yaml"
HOST = {"job": "heapwarden", "instance": "10.0.0.1:9797", "process": "api", "worker": "0"}
POD = {**HOST, "cluster": "c", "namespace": "shop", "pod": "api-1", "workload": "api"}
MIB = 1024 * 1024


def series(metric: str, values: str, labels: Mapping[str, str]) -> dict[str, str]:
    """One made-up series, a value a minute."""
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{metric}{{{inside}}}", "values": values}


def check(folder: Path, given: list[dict[str, str]], expected: list[tuple[str, int, list[float]]]) -> None:
    """Each expression, at its minute, has one sample without labels for each of these values; rules are evaluated."""
    tests = [
        {
            "expr": expression,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": value} for value in values],
        }
        for expression, minute, values in expected
    ]
    file = folder / "tests.yaml"
    group = {"interval": "1m", "input_series": given, "promql_expr_test": tests}
    file.write_text(yaml.safe_dump({"rule_files": [str(RECORDING)], "tests": [group]}))
    run = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )
    assert run.returncode == 0, run.stdout + run.stderr


def query(board: str, panel: str, *refs: str, values: dict[str, Any] | None = None, minutes: int = 60) -> list[str]:
    """The queries of a panel as they are sent, of the process ``api`` unless ``values`` says otherwise."""
    view = View(range=minutes * 60, points=minutes, scrape=60)
    wanted = values if values is not None else {"process": ["api"]} if board == "heapwarden-process" else {}
    found = [
        asked(BOARDS[board], one, view, wanted)
        for one in queries(BOARDS[board])
        if one.panel == panel and (not refs or one.ref in refs)
    ]
    assert found, panel
    return found


EVENTS = {
    "born": ("_ _ 1 1", 2, [1.0]),
    "born, a step later": ("_ _ 1 1", 3, []),
    "born with two": ("_ _ 2 2", 2, [2.0]),
    "born at zero": ("_ _ 0 0", 2, []),
    "the agent began again at zero": ("4 4 0 0", 2, []),
    "one more": ("4 4 5 5", 2, [1.0]),
    "nothing new": ("4 4 4 4", 2, []),
    "the agent began again": ("4 4 1 1", 2, [1.0]),
    "the agent began again, a step later": ("4 4 1 1", 3, []),
    "back after a gap": ("4 stale stale stale 4 4", 4, []),
    "happened within a gap": ("4 stale stale stale 6 6", 4, [2.0]),
    "gone": ("4 4 stale", 3, []),
}


@pytest.mark.parametrize(("values", "minute", "expected"), EVENTS.values(), ids=EVENTS.keys())
def test_an_event_is_marked_once(values: str, minute: int, expected: list[float], tmp_path: Path) -> None:
    """In the step that it happened in, births of the series included, and no gap taken for one."""
    labels = {**HOST, "reason": "crash"}
    expression = f"sum by () ({events('heapwarden_exits_total', '1m')})"
    check(tmp_path, [series("heapwarden_exits_total", values, labels)], [(expression, minute, expected)])


COUNTS = {
    "none at all": ("_ _ _ _ _ _ _ _ _ _ _ _ _", 0.0),
    "all before the range": ("3 3 3 3 3 3 3 3 3 3 3 3 3", 0.0),
    "born and grown": ("_ _ _ _ _ 1 1 1 2 2 2 2 2", 2.0),
    "born just now": ("_ _ _ _ _ _ _ _ _ _ _ _ 1", 1.0),
    "grown": ("3 3 3 4 4 4 4 5 5 5 5 5 5", 2.0),
    "the agent began again": ("3 3 3 3 4 4 1 1 1 1 1 1 1", 2.0),
}


@pytest.mark.parametrize(("values", "expected"), COUNTS.values(), ids=COUNTS.keys())
def test_events_of_a_range_are_counted_whole(values: str, expected: float, tmp_path: Path) -> None:
    """Whole numbers; the first event too; those before the range not."""
    labels = {**HOST, "reason": "crash"}
    expression = count_in_range("heapwarden_exits_total", "heapwarden_health_state").replace("$__range", "10m")
    given = [series("heapwarden_exits_total", values, labels), series("heapwarden_health_state", "2+0x10", HOST)]
    check(tmp_path, given, [(expression, 12, [expected])])


def test_nothing_is_counted_where_there_is_no_data(tmp_path: Path) -> None:
    """0 would say that all is well. The panel says that it has no data."""
    empty = [series("up", "1+0x20", {"job": "node"})]
    restarts = query("heapwarden-process", "Restarts", "A")[:1]
    down = query("heapwarden-agent", "Agents down")
    fleet = [*query("heapwarden-fleet", "Unhealthy"), *query("heapwarden-fleet", "Out of memory")]
    check(tmp_path, empty, [(expression, 12, []) for expression in (*restarts, *down, *fleet)])


@pytest.mark.parametrize("panel", ["All exits that were seen", "Sources"])
def test_hosts_are_told_apart(panel: str, tmp_path: Path) -> None:
    """The same process and worker on two of them are two processes."""
    hosts = [{**HOST, "instance": f"10.0.0.{at}:9797"} for at in (1, 2)]
    given = [
        series(metric, "1+0x9", {**host, **more})
        for host in hosts
        for metric, more in (("heapwarden_exits_total", {"reason": "crash"}), ("heapwarden_up", {"source": "procfs"}))
    ]
    (expression,) = query("heapwarden-process", panel)
    check(tmp_path, given, [(f"count({expression})", 5, [2.0])])


@pytest.mark.parametrize("panel", ["Without V8 figures", "Sources that do not answer", "Processes without an answer"])
def test_agents_of_a_namespace_answer_for_processes_of_others(panel: str, tmp_path: Path) -> None:
    """An agent of a node tells of pods of all namespaces: to choose its own chooses what it watches."""
    agent = {**POD, "namespace": "monitoring", "pod": "heapwarden-x2x7p"}
    del agent["process"], agent["worker"]
    given = [
        series("up", "1+0x9", agent),
        series("heapwarden_agent_processes", "1+0x9", agent),
        series("heapwarden_health_state", "0+0x9", POD),
        series("heapwarden_process_start_time_seconds", "0+0x9", POD),
        series("up", "1+0x9", {**agent, "instance": "10.0.0.2:9797", "namespace": "other"}),
        series("heapwarden_health_state", "0+0x9", {**POD, "instance": "10.0.0.2:9797"}),
        series("heapwarden_process_start_time_seconds", "0+0x9", {**POD, "instance": "10.0.0.2:9797"}),
    ]
    (expression,) = query("heapwarden-agent", panel, values={"namespace": "monitoring"})
    counted = expression if panel != "Processes without an answer" else f"count({expression})"
    check(tmp_path, given, [(f"sum({counted})", 5, [1.0])])


def test_the_heaps_limit_is_drawn_as_the_alert_reckons_with_it(tmp_path: Path) -> None:
    """HeapwardenHeapLimitAboveContainer leads to this panel: its figure has to be on it."""
    (alert,) = (one for one in LIMIT_ALERTS if one.short_name == "HeapLimitAboveContainer")
    given = [
        series("heapwarden_heap_effective_limit_bytes", "700+0x9", {**HOST, "thread": "main"}),
        series("heapwarden_heap_total_bytes", "200+0x9", {**HOST, "thread": "main"}),
        series("heapwarden_container_memory_bytes", "600+0x9", HOST),
        series("heapwarden_container_limit_bytes", "1000+0x9", HOST),
    ]
    alone, filled = query("heapwarden-process", alert.panel)
    expected = [(alone, 0.7), (filled, 1.1), (alert.expr, 1.1)]
    check(tmp_path, given, [(f"sum({expression})", 5, [value]) for expression, value in expected])


def test_no_byte_of_memory_is_counted_twice(tmp_path: Path) -> None:
    """The areas of the graph are the resident memory together, of a process with worker threads."""
    figures = {
        "heap_used": (60, 10),
        "heap_total": (100, 20),
        "external": (80, 8),
        "array_buffers": (50, 5),
    }
    given = [
        series(f"heapwarden_{name}_bytes", f"{mib * MIB}+0x9", {**HOST, "thread": thread})
        for name, both in figures.items()
        for thread, mib in zip(("main", "workers"), both, strict=True)
    ]
    given.append(series("heapwarden_rss_bytes", f"{300 * MIB}+0x9", HOST))
    areas = query("heapwarden-process", "Memory by its parts", *"ABCDE")
    rss = query("heapwarden-process", "Memory by its parts", "F")
    parts = [60 + 10, 120 - 70, 50 + 5, 88 - 55, 300 - 120 - 88]
    assert sum(parts) == 300
    expected = [(expression, 5, [float(mib * MIB)]) for expression, mib in zip(areas + rss, [*parts, 300], strict=True)]
    check(tmp_path, given, expected)


def test_the_areas_are_stacked_and_the_limits_are_lines() -> None:
    """The five parts upon each other, and nothing else: a line within the stack would lie about the sum."""
    (panel,) = (one for one in panels(BOARDS["heapwarden-process"]) if one["title"] == "Memory by its parts")
    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    unstacked = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if {"id": "custom.stacking", "value": {"mode": "none", "group": "A"}} in override["properties"]
    }
    assert unstacked == {target["legendFormat"] for target in panel["targets"][5:]}


def test_a_part_is_never_below_zero(tmp_path: Path) -> None:
    """Committed heap need not be resident."""
    given = [
        series(f"heapwarden_{name}_bytes", f"{mib * MIB}+0x9", {**HOST, "thread": "main"})
        for name, mib in {"heap_total": 100, "external": 10}.items()
    ]
    given.append(series("heapwarden_rss_bytes", f"{90 * MIB}+0x9", HOST))
    (native,) = query("heapwarden-process", "Memory by its parts", "E")
    check(tmp_path, given, [(native, 5, [0.0])])


@pytest.mark.parametrize(("mib", "shown"), [(100, []), (300, [1000.0 * MIB])], ids=["far", "near"])
def test_a_limit_is_drawn_where_it_is_near(mib: int, shown: list[float], tmp_path: Path) -> None:
    """From a quarter of it on, at any time of the range; else it would press the rest to the ground."""
    labels = {**HOST, "thread": "main"}
    given = [
        series("heapwarden_heap_used_bytes", f"{mib * MIB} {mib * MIB} {5 * MIB}+0x58", labels),
        series("heapwarden_heap_effective_limit_bytes", f"{1000 * MIB}+0x60", labels),
    ]
    (limit,) = query("heapwarden-process", "Heap against its limit", "D")
    check(tmp_path, given, [(limit.replace("end()", "3000"), 20, shown)])


NEARER = {
    "heap": ({"heap": 0.8, "container": 0.7, "worker": 0.1}, 0.0),
    "container": ({"heap": 0.5, "container": 0.9, "worker": 0.1}, 1.0),
    "worker's heap": ({"heap": 0.5, "container": 0.7, "worker": 0.95}, 2.0),
}


@pytest.mark.parametrize("labels", [HOST, POD], ids=["host", "pod"])
@pytest.mark.parametrize(("used", "code"), NEARER.values(), ids=NEARER.keys())
def test_the_table_names_the_nearer_limit(
    used: dict[str, float], code: float, labels: dict[str, str], tmp_path: Path
) -> None:
    """By what makes up the pressure; a worker thread's heap where neither does."""
    main = {**labels, "thread": "main"}
    given = [
        series("heapwarden_pressure_ratio", f"{max(used.values())}+0x9", labels),
        series("heapwarden_heap_used_bytes", f"{used['heap'] * 1000}+0x9", main),
        series("heapwarden_heap_effective_limit_bytes", "1000+0x9", main),
        series("heapwarden_container_memory_bytes", f"{used['container'] * 1000}+0x9", labels),
        series("heapwarden_container_limit_bytes", "1000+0x9", labels),
    ]
    (nearer,) = query("heapwarden-fleet", "Closest to their limit", "D")
    check(tmp_path, given, [(f"sum({nearer})", 5, [code])])


@pytest.mark.parametrize(
    ("labels", "workload", "rows"),
    [
        pytest.param(POD, "api", [1.0], id="a pod of it"),
        pytest.param(POD, "web", [], id="a pod of another"),
        pytest.param(HOST, "api", [1.0], id="a process of its name"),
        pytest.param(HOST, "web", [], id="a process of another name"),
        pytest.param({**POD, "process": "web"}, "web", [], id="a pod of another, by a process of its name"),
    ],
)
def test_a_workload_is_chosen_where_there_is_none(
    labels: dict[str, str], workload: str, rows: list[float], tmp_path: Path
) -> None:
    """On a host the process's name stands for it, as it does in recorded series, and only there."""
    given = [series("heapwarden_pressure_ratio", "0.5+0x9", labels)]
    (pressure,) = query("heapwarden-fleet", "Closest to their limit", "A", values={"workload": workload})
    check(tmp_path, given, [(f"count({pressure})", 5, rows)])


def test_no_restart_is_held_and_says_so(tmp_path: Path) -> None:
    """One of the two queries answers at any time: what is held, or none."""
    held, none = query("heapwarden-process", "Restart held")
    given = [
        series("heapwarden_health_state", "2+0x9", HOST),
        series("heapwarden_restart_held", "_ _ _ _ _ 1 1 1 1 1", {**HOST, "code": "budget"}),
    ]
    check(
        tmp_path,
        given,
        [(f"sum({held})", 3, []), (none, 3, [0.0]), (f"sum({held})", 7, [1.0]), (none, 7, [])],
    )


def test_agents_down_are_those_of_heapwarden(tmp_path: Path) -> None:
    """Whatever else the same Prometheus scrapes."""
    given = [
        series("up", "1+0x9", {"job": "heapwarden", "instance": "a"}),
        series("up", "0+0x9", {"job": "monitoring/heapwarden-agent", "instance": "b"}),
        series("up", "0+0x9", {"job": "node", "instance": "c"}),
    ]
    (down,) = query("heapwarden-agent", "Agents down")
    (agents,) = query("heapwarden-agent", "Agents")
    check(tmp_path, given, [(down, 5, [1.0]), (agents, 5, [2.0])])


def _process(labels: dict[str, str], *, cgroup: int, reported: bool) -> list[dict[str, str]]:
    """Started at 0, seen by the kernel's sources and perhaps by a reporter."""
    of = {**HOST, **labels}
    figures = [
        series("heapwarden_heap_used_bytes", "5+0x20", {**of, "thread": "main"}),
        series("heapwarden_up", "1+0x20", {**of, "source": "reporter"}),
    ]
    return [
        series("heapwarden_process_start_time_seconds", "0+0x20", of),
        series("heapwarden_health_state", "2+0x20", of),
        series("heapwarden_up", "1+0x20", {**of, "source": "procfs"}),
        series("heapwarden_up", f"{cgroup}+0x20", {**of, "source": "cgroup"}),
        *(figures if reported else ()),
    ]


def test_processes_without_an_answer_are_listed_with_their_age(tmp_path: Path) -> None:
    """By the source that does not answer; those that are answered for are not listed."""
    given = [
        series("up", "1+0x20", {"job": HOST["job"], "instance": HOST["instance"]}),
        *_process({}, cgroup=0, reported=True),
        *_process({"process": "bare"}, cgroup=1, reported=False),
        *_process({"process": "good"}, cgroup=1, reported=True),
    ]
    (table,) = query("heapwarden-agent", "Processes without an answer")
    (blind,) = query("heapwarden-agent", "Without V8 figures")
    listed = [(f"sum({table})", 10, [1200.0]), (f"count({table})", 10, [2.0])]
    (sources,) = query("heapwarden-agent", "Sources that do not answer")
    check(tmp_path, given, [*listed, (blind, 10, [1.0]), (f"sum({sources})", 10, [2.0])])


def test_the_unhealthy_share_is_one_of_process_minutes(tmp_path: Path) -> None:
    """One of four judged processes, whatever the size of its workload; those unknown are not judged."""
    counts = {
        ("api", "unhealthy"): 1,
        ("api", "healthy"): 0,
        ("web", "healthy"): 3,
        ("web", "unhealthy"): 0,
        ("web", "unknown"): 5,
    }
    given = [
        series("workload_state:heapwarden_processes:count", f"{count}+0x80", {"workload": workload, "state": state})
        for (workload, state), count in counts.items()
    ]
    shares = query("heapwarden-fleet", "Unhealthy share of process minutes", "A", "B")
    check(tmp_path, given, [(share, 70, [0.25]) for share in shares])
