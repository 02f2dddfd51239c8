"""A process as JSON."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from fakes.figures import process
from fakes.restarts import DECIDED_AT, restart
from fakes.snapshots import MIB, NOW, STARTED_AT, heap, isolate, snapshot, watched
from fakes.strategies import snapshots
from heapwarden.domain.checkup import Checkup, HeapFlag, Origin, Problem, ProblemCode, Severity
from heapwarden.domain.identity import Process, ProcessId, Role
from heapwarden.domain.place import Place
from heapwarden.domain.restart import RestartReason, Trigger
from heapwarden.domain.snapshot import Held, Snapshot
from heapwarden.web.listing import listing
from heapwarden.web.views import Json, full, wrapper


def listed(known: Snapshot, now: float = NOW) -> Json:
    """The whole listing, decoded."""
    decoded: Json = json.loads(b"".join(listing(known, known.processes, now).pieces))
    return decoded


def test_everything_that_is_known_is_shown() -> None:
    """Kernel, container, sources, loop, collections, and each isolate with its spaces."""
    one = watched(figures=heap(isolate(), isolate(3, used_mib=10)))
    shown = full(one, snapshot(one), NOW)
    assert shown["role"] == "app"
    assert shown["startedAt"] == STARTED_AT
    assert shown["sources"] == {"procfs": True, "cgroup": True, "reporter": True}
    assert (shown["swap"], shown["threads"], shown["pageFaults"]) == (4096, 11, {"minor": 31_000, "major": 7})
    assert (shown["node"], shown["source"], shown["connected"]) == ("24.21.0", "reporter", True)
    assert shown["loop"] == {"p50": 0.0005, "p99": 0.0125, "max": 0.25, "utilization": 0.375}
    assert shown["gc"]["minor"] == {"count": 124, "seconds": 2.5, "reclaimed": 100 * MIB}
    assert [(heap["thread"], heap["heapUsed"]) for heap in shown["isolates"]] == [(0, 60 * MIB), (3, 10 * MIB)]
    assert shown["isolates"][0]["spaces"]["old"] == {"size": MIB + 2, "used": MIB // 2, "available": MIB // 4}


def test_what_is_not_known_is_null() -> None:
    """No zeros stand for it."""
    shown = full(watched(bare=True), snapshot(), NOW)
    assert set(shown["memoryUsage"].values()) == {None}
    for key in ("heapLimit", "containerMemory", "swap", "pageFaults", "node", "loop", "sampleAge", "sampledAt"):
        assert shown[key] is None
    assert (shown["gc"], shown["isolates"], shown["sources"]) == ({}, [], {})


@pytest.mark.parametrize(
    ("place", "pod"),
    [
        pytest.param(None, None, id="not known"),
        pytest.param(Place(), None, id="in none"),
        pytest.param(
            Place("apps", "api-1", "app", "u-1", "7f3c", shown=False),
            {"namespace": "apps", "name": "api-1", "uid": "u-1", "container": "app"},
            id="beside a sidecar",
        ),
        pytest.param(
            Place("", "u-1", "7f3c", "u-1", "7f3c"),
            {"namespace": "", "name": "u-1", "uid": "u-1", "container": "7f3c"},
            id="by its uid",
        ),
    ],
)
def test_the_pod_is_shown(place: Place | None, pod: dict[str, str] | None) -> None:
    """Where it is known."""
    one = replace(watched(), place=place)
    assert full(one, snapshot(one), NOW)["pod"] == pod


def test_sampled_at_changes_with_new_figures_only() -> None:
    """The age grows with each look; the time of arrival stays until a newer sample comes."""
    one = watched()
    first, later = full(one, snapshot(one), NOW), full(one, snapshot(one), NOW + 3)
    assert first["sampledAt"] == later["sampledAt"] == 89.5
    assert (first["sampleAge"], later["sampleAge"]) == (0.5, 3.5)
    newer = watched(figures=heap(isolate(taken_at=NOW)))
    assert full(newer, snapshot(newer), NOW)["sampledAt"] == 90.0


def test_problems_of_the_setup_are_shown() -> None:
    """With the sizes of heaps, and of other options the names alone; before the first look there is no setup."""
    problem = Problem(ProblemCode.SWAP_IN_USE, Severity.WARNING, "swapped out", "keep it out")
    flag = HeapFlag("--max-old-space-size", "512", Origin.NODE_OPTIONS)
    checkup = Checkup((problem,), (flag,), ("--require", flag.option), heap_known=True, limit_from="V8's default")
    one = replace(watched(figures=heap(reporter_version="0.1.0")), checkup=checkup)
    shown = full(one, snapshot(one), NOW)
    assert shown["reporter"] == "0.1.0"
    assert shown["problems"] == [
        {"code": "swap_in_use", "severity": "warning", "text": "swapped out", "remedy": "keep it out"}
    ]
    assert shown["setup"] == {
        "heapKnown": True,
        "heapLimitFrom": "V8's default",
        "heapOptions": [{"option": "--max-old-space-size", "value": "512", "from": "NODE_OPTIONS"}],
        "nodeOptions": ["--require", "--max-old-space-size"],
    }
    assert (full(watched(), snapshot(), NOW)["problems"], full(watched(), snapshot(), NOW)["setup"]) == ([], None)


def test_a_command_line_is_never_shown() -> None:
    """It may hold secrets; the script's name is enough."""
    assert "secret" not in json.dumps(listed(snapshot(watched(), wrappers=(watched().process,))))


def test_a_process_in_a_hidden_namespace_has_no_pid() -> None:
    """0 would look like a pid."""
    hidden = Process(ProcessId(0, 5, "pid:[1]"), ("node",), STARTED_AT, "server")
    assert wrapper(hidden)["pid"] is None


def test_the_listing_names_agent_and_wrappers() -> None:
    """How old the snapshot is, when the agent last ticked, and which package managers stand in front."""
    npm = process(pid=7, script="npm", role=Role.WRAPPER)
    shown = listed(snapshot(watched(), wrappers=(npm,)), NOW + 1)
    assert shown["snapshotAge"] == 1.0
    assert shown["agent"] == {"uptime": 91.0, "lastTickAge": 1.0}
    assert [one["pid"] for one in shown["wrappers"]] == [7]
    assert [one["role"] for one in shown["wrappers"]] == ["wrapper"]


@given(known=snapshots)
def test_the_listing_is_json_whatever_is_known(known: Snapshot) -> None:
    """Every process is there, in order."""
    names = [(one["process"], one["worker"]) for one in listed(known)["processes"]]
    assert names == [(one.name.process, one.name.worker) for one in known.processes]


def test_a_restart_is_shown_with_its_process() -> None:
    """How far it has come, and what led to it; with no other, and with none that had its pid before."""
    one, other = watched("api", "0", pid=4711), watched("api", "1", pid=4712)
    reused = restart("old", process=ProcessId(4712, 5))
    known = replace(snapshot(one, other), restarts=(restart("api", "0", pid=4711, note="late"), reused))
    shown = listed(known)
    assert shown["processes"][0]["restart"] == {
        "id": "r-api-0",
        "process": "api",
        "worker": "0",
        "pid": 4711,
        "stage": "drain",
        "stageAge": 2.0,
        "reason": "max_memory",
        "text": "RSS is 210 MiB, max_memory 200 MiB",
        "method": "signal",
        "since": DECIDED_AT,
        "note": "late",
    }
    assert shown["processes"][1]["restart"] is None
    assert [one["process"] for one in shown["restarts"]] == ["api", "old"]


def test_a_restart_that_is_held_back_says_why() -> None:
    """Which rule wants it, and what stands against it."""
    trigger = Trigger(RestartReason.HEAP_USAGE, "heap use is 96 %")
    one = replace(watched(), held=Held(trigger, "budget", "3 of 3 restarts in the last hour"))
    assert full(one, snapshot(one), NOW)["held"] == {
        "code": "budget",
        "text": "3 of 3 restarts in the last hour",
        "reason": "heap_usage",
        "wanted": "heap use is 96 %",
    }
