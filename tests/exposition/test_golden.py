"""Whole pages, held against those that were looked at and kept. To write them anew: ``GOLDEN=write pytest …``."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fakes.machine import ROOT
from fakes.scrapes import OPENMETRICS, registry_of, scrape
from fakes.snapshots import heap, isolate, snapshot, verdict, watched
from heapwarden.domain.checkup import Checkup, Problem, ProblemCode, Severity
from heapwarden.domain.exit import ExitReason
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Name
from heapwarden.domain.restart import RestartReason, Trigger
from heapwarden.domain.snapshot import Held, Ledger, Snapshot
from heapwarden.exposition import families, prom_client, reference
from heapwarden.exposition.agent_metrics import AgentMetrics
from heapwarden.exposition.family import Family
from heapwarden.exposition.text import page

GOLDEN = ROOT / "tests" / "golden"


def known() -> Snapshot:
    """A process with worker threads, one held and with a problem, one that has not reported yet, and what is past."""
    api, gone = Name("api", "0"), Name('say "bye"', "0")
    held = Held(Trigger(RestartReason.MAX_MEMORY, "RSS is 300 MiB"), "budget", "3 in the last hour")
    return snapshot(
        watched("api", figures=heap(isolate(), isolate(1, used_mib=10), isolate(2, used_mib=20))),
        replace(
            watched("api", "1", judged=verdict(HealthState.DEGRADED, text="near"), limit_bytes=None),
            held=held,
            checkup=Checkup((Problem(ProblemCode.SEMI_SPACE_SMALL, Severity.WARNING, "text", "remedy"),)),
        ),
        watched('say "hi"', bare=True),
        ledger=Ledger(
            {(api, RestartReason.HEAP_USAGE, False): 2, (api, RestartReason.MAX_MEMORY, True): 1},
            {(api, ExitReason.MEMORY_RESTART): 2, (gone, ExitReason.CGROUP_OOM): 1, (gone, ExitReason.CRASH): 4},
        ),
    )


@pytest.mark.parametrize(
    ("file", "table", "accept"),
    [
        pytest.param("scrape.txt", families.FAMILIES, "", id="text"),
        pytest.param("scrape.openmetrics", families.FAMILIES, OPENMETRICS, id="openmetrics"),
        pytest.param("scrape.prom-client.txt", prom_client.FAMILIES, "", id="prom-client"),
    ],
)
def test_the_page_is_the_golden_one(file: str, table: tuple[Family[Any], ...], accept: str) -> None:
    """A change of any name, type, help, label or number shows in a review."""
    written = scrape(known(), table=table, accept=accept)
    path = GOLDEN / file
    if os.environ.get("GOLDEN") == "write":
        path.write_text(written)
    assert written == path.read_text()


@pytest.mark.parametrize(
    "table", [pytest.param(families.FAMILIES, id="heapwarden"), pytest.param(prom_client.FAMILIES, id="prom-client")]
)
def test_promtool_finds_nothing_to_say(table: tuple[Family[Any], ...]) -> None:
    """The real ``promtool check metrics`` accepts the page and its naming, the agent's own metrics included."""
    registry = registry_of(known(), table)
    if table is families.FAMILIES:
        telemetry = AgentMetrics(registry, "1.2.3")
        telemetry.source_error("procfs", "timeout")
    assert promtool(b"".join(page(registry, "").pieces)) == (0, "")


def test_promtool_would_find_a_fault() -> None:
    """The check above can fail."""
    code, said = promtool(b"# TYPE heapwarden_frames counter\nheapwarden_frames 1\n")
    assert code == 3
    assert "_total" in said


def promtool(text: bytes) -> tuple[int, str]:
    """Exit code and words of ``promtool check metrics``."""
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    return run.returncode, (run.stdout + run.stderr).decode()


def test_the_reference_page_is_up_to_date() -> None:
    """docs/metrics.md is what the tables say; ``make docs`` writes it."""
    assert Path(ROOT / "docs" / "metrics.md").read_text() == reference.document()


def test_names_are_unique_in_one_registry() -> None:
    """A second collector of the same names is refused, so nothing is published twice by mistake."""
    registry = CollectorRegistry()
    AgentMetrics(registry, "1.2.3")
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        AgentMetrics(registry, "1.2.3")
    registry = registry_of(known())
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(next(iter(registry._collector_to_names)))
