"""Every query of every committed dashboard, asked of a real Prometheus that has scraped real agents and processes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from fakes.panel_table import Known, Series, Table, fault, key, read
from fakes.panels import Board, Query, Values, View, annotations, asked, boards, choices, queries
from fakes.quick_rules import quick
from fakes.scene import CLUSTER, JOB, Scene, scene

# One test for all queries: tests of one file may run on several workers, and each worker would play the scene anew.
pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

BOARDS = boards()
FLEET, PROCESS, AGENT = (f"heapwarden-{name}" for name in ("fleet", "process", "agent"))
UNTOLD: Values = {"cluster": "", "namespace": "", "pod": ""}
"""As a link from a table gives them where a row has no such label."""

CHOSEN: Mapping[str, Mapping[str, Values]] = {
    FLEET: {
        "all": {},
        "cluster": {"cluster": CLUSTER, "namespace": ["shop", "jobs"]},
        "jobs": {"namespace": "jobs"},
        "api": {"cluster": CLUSTER, "namespace": "shop", "workload": "api"},
        "host": {"workload": ["server", "bare"]},
        "gone": {"workload": "gone"},
    },
    PROCESS: {
        "healthy": {"process": "server", "cluster": CLUSTER, "namespace": "shop", "pod": "api-0", "worker": "0"},
        "leaking": {"process": "importer"},
        "restarted": {"process": ["shelf", "none.such"]},
        "dead": {"process": "report", "namespace": ["jobs", "shop"]},
        "host": {"process": "server", "worker": "0", **UNTOLD},
        "bare": {"process": "bare", "job": "heapwarden"},
        "gone": {"process": "server", "pod": "gone-0"},
    },
    AGENT: {
        "all": {},
        "api": {"job": f"{JOB}-api"},
        "host": {"job": "heapwarden", "cluster": "", "namespace": ""},
        "gone": {"job": f"{JOB}-gone", "cluster": CLUSTER, "namespace": "shop"},
    },
}

OFFERED: Mapping[tuple[str, str], set[str]] = {
    (FLEET, "cluster"): {CLUSTER},
    (FLEET, "namespace"): {"shop", "jobs"},
    (FLEET, "workload"): {"api", "batch", "gone", "server", "bare"},
    (PROCESS, "job"): {"heapwarden", *(f"{JOB}-{name}" for name in ("api", "batch", "gone"))},
    (PROCESS, "cluster"): {CLUSTER},
    (PROCESS, "namespace"): {"shop", "jobs"},
    (PROCESS, "process"): {"server", "shelf", "importer", "report", "bare"},
    (PROCESS, "pod"): {"api-0", "gone-0"},
    (PROCESS, "worker"): {"0"},
    (AGENT, "job"): {"heapwarden", *(f"{JOB}-{name}" for name in ("api", "batch", "gone"))},
    (AGENT, "cluster"): {CLUSTER},
    (AGENT, "namespace"): {"shop", "jobs"},
}
"""Values that each variable lets choose from, with ``server`` as the process. Instances have ports of the moment."""


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Scene]:
    """The scene, over."""
    with scene(tmp_path, quick(tmp_path)) as ended:
        yield ended


def all_queries(board: Board) -> list[Query]:
    """Of its panels and of its annotations."""
    return [*queries(board), *annotations(board)]


@pytest.mark.parametrize("name", CHOSEN)
def test_the_table_has_every_query_and_no_other(name: str) -> None:
    """A new panel needs its expectations, and those of one that is gone go with it."""
    table = read(name)
    assert list(table.situations) == list(CHOSEN[name])
    assert sorted(table.rows) == sorted(key(query) for query in all_queries(BOARDS[name]))


def test_every_dashboard_is_looked_at() -> None:
    """All that are committed have a table."""
    assert set(BOARDS) == set(CHOSEN)


def test_panels_show_what_happened(played: Scene) -> None:
    """Data where there should be, with the right values where they are known, and none where there should not."""
    unwell = [
        f"{rule['name']}: {rule.get('lastError')}" for rule in played.prometheus.rules() if rule["health"] != "ok"
    ]
    assert not unwell
    stage = Stage(played)
    stage.check_variables()
    for situation in ("healthy", "leaking", "restarted", "host"):
        stage.check_memory(situation)
    faults = [line for name, board in BOARDS.items() for line in stage.faults(name, board)]
    assert not faults, "\n".join(["", *faults])


class Stage:
    """Asks as Grafana would for a view over all that happened."""

    def __init__(self, played: Scene) -> None:
        """Asks nothing yet."""
        self._played = played
        self._view = View(range=math.ceil(played.ended - played.began), scrape=1)

    def faults(self, name: str, board: Board) -> list[str]:
        """What differs from the dashboard's table."""
        table = read(name)
        return [line for query in all_queries(board) for line in self._faults(name, query, table)]

    def _faults(self, name: str, query: Query, table: Table) -> Iterator[str]:
        known = Known(self._played.restarting, self._played.has_limit)
        for situation, cell in table.rows[key(query)].items():
            series = self._answer(name, query, situation)
            if told := fault(cell, series, known):
                yield f"{name}, {' '.join(key(query))}, {situation}: {told}"

    def _answer(self, name: str, query: Query, situation: str) -> Series:
        expression = asked(BOARDS[name], query, self._view, CHOSEN[name][situation])
        server, end = self._played.prometheus, self._played.ended
        if query.instant:
            return [(labels, [(end, value)]) for labels, value in server.query(expression, end)]
        return server.query_range(expression, end - self._view.range, end, self._view.step(query.interval))

    def check_variables(self) -> None:
        """Each offers the values that there are."""
        for (name, variable), expected in OFFERED.items():
            label, selector = choices(BOARDS[name], variable, {"process": "server"})
            found = self._played.prometheus.query(
                f"count by ({label}) (last_over_time({selector}[1h]))", self._played.ended
            )
            assert {labels[label] for labels, _ in found if label in labels} == expected, (name, variable)

    def check_memory(self, situation: str) -> None:
        """The parts of memory are no less than the whole, and twice nothing: Buffers are no part of the rest."""
        parts, whole = self._newest("ABCDE", situation), self._newest("F", situation)
        assert min(parts) >= 0
        assert sum(parts) >= sum(whole) > 0
        most = max(sum(whole), sum(self._newest("ABCD", situation)))
        assert sum(parts) == pytest.approx(most, rel=0.01)

    def _newest(self, letters: Sequence[str], situation: str) -> list[float]:
        found = [one for one in queries(BOARDS[PROCESS]) if one.panel == "Memory by its parts" and one.ref in letters]
        return [points[-1][1] for query in found for _, points in self._answer(PROCESS, query, situation)]
