"""The written text against what prometheus-client makes of the same collector, and against the formats' rules."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fakes.scrapes import OPENMETRICS, registry_of, scrape
from fakes.snapshots import NOW, fleet, heap, isolate, snapshot, watched
from fakes.strategies import snapshots
from heapwarden.domain.snapshot import Snapshot
from heapwarden.exposition import families, prom_client
from heapwarden.exposition.agent_metrics import AgentMetrics
from heapwarden.exposition.collector import SnapshotCollector
from heapwarden.exposition.family import Family
from heapwarden.exposition.text import PIECE_LINES, page

Parser = Callable[[str], Iterable[Metric]]

TABLES = [pytest.param(families.FAMILIES, id="heapwarden"), pytest.param(prom_client.FAMILIES, id="prom-client")]


def meaning(
    text: str, parse: Parser
) -> dict[str, tuple[str, str, list[tuple[str, tuple[tuple[str, str], ...], float]]]]:
    """What a scraper reads out of ``text``, without regard to the order of labels and lines."""
    return {
        metric.name: (
            metric.type,
            metric.documentation,
            sorted(
                (sample.name, tuple(sorted(sample.labels.items())), float(sample.value)) for sample in metric.samples
            ),
        )
        for metric in parse(text)
    }


@pytest.mark.parametrize("table", TABLES)
@given(known=snapshots)
def test_text_says_what_prometheus_client_would_say(table: tuple[Family[Any], ...], known: Snapshot) -> None:
    """Whatever is known or missing and whatever stands in labels, both writers mean the same."""
    expected = generate_latest(registry_of(known, table)).decode()
    assert meaning(scrape(known, table=table), parse_text) == meaning(expected, parse_text)


@pytest.mark.parametrize("table", TABLES)
@given(known=snapshots)
def test_openmetrics_says_what_prometheus_client_would_say(table: tuple[Family[Any], ...], known: Snapshot) -> None:
    """The same in OpenMetrics, whose parser is strict."""
    expected = generate_openmetrics(registry_of(known, table)).decode()
    written = scrape(known, accept=OPENMETRICS, table=table)
    assert meaning(written, parse_openmetrics) == meaning(expected, parse_openmetrics)


@pytest.mark.parametrize("table", TABLES)
@given(known=snapshots)
def test_points_carry_the_declared_labels(table: tuple[Family[Any], ...], known: Snapshot) -> None:
    """What the reference says of labels holds for every point; no series is given twice, and none is NaN."""
    collector = SnapshotCollector(table, lambda: known, lambda: NOW)
    for metric, family in zip(collector.collect(), table, strict=True):
        found = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in metric.samples]
        assert len(found) == len(set(found))
        for sample in metric.samples:
            place = {"namespace", "pod", "container"}
            assert set(sample.labels) & place in (set(), place)
            assert set(sample.labels) - place - {"le"} == {"process", "worker", *family.labels}
            assert math.isfinite(sample.value)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("", "text/plain; version=0.0.4; charset=utf-8", id="none"),
        pytest.param("*/*", "text/plain; version=0.0.4; charset=utf-8", id="anything"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            id="prometheus 2",
        ),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            id="prometheus 3",
        ),
        pytest.param(
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            id="openmetrics of any version",
        ),
        pytest.param(
            "application/openmetrics-text; version=9.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            id="openmetrics to come",
        ),
        pytest.param(
            "application/openmetrics-text; version=0.0.1", "text/plain; version=0.0.4; charset=utf-8", id="too old"
        ),
        pytest.param(
            "application/openmetrics-text; version=x", "text/plain; version=0.0.4; charset=utf-8", id="no number"
        ),
    ],
)
def test_accept_chooses_the_format(accept: str, content_type: str) -> None:
    """The header decides, a strange one is no error, and the body is what the content type says."""
    answer = page(registry_of(snapshot(watched())), accept)
    text = b"".join(answer.pieces).decode()
    assert answer.content_type == content_type
    assert text.endswith("# EOF\n") == content_type.startswith("application/openmetrics-text")


@pytest.mark.parametrize("accept", [pytest.param("", id="text"), pytest.param(OPENMETRICS, id="openmetrics")])
def test_other_metrics_of_the_registry_follow(accept: str) -> None:
    """The agent's own metrics stand on the same page, once, before the only end mark."""
    registry = registry_of(snapshot(watched()))
    AgentMetrics(registry, "1.2.3")
    text = b"".join(page(registry, accept).pieces).decode()
    assert text.count('heapwarden_agent_build_info{version="1.2.3"} 1.0\n') == 1
    assert text.count('heapwarden_rss_bytes{process="api",worker="0"}') == 1
    assert text.count("# EOF") == (1 if accept else 0)


def test_an_empty_registry_is_an_empty_page() -> None:
    """Nothing is no error."""
    assert b"".join(page(CollectorRegistry(), "").pieces) == b""
    assert b"".join(page(CollectorRegistry(), OPENMETRICS).pieces) == b"# EOF\n"


def test_the_work_comes_in_pieces() -> None:
    """No piece of a large scrape has more lines than agreed."""
    pieces = list(page(registry_of(fleet(100)), "").pieces)
    assert max(piece.count(b"\n") for piece in pieces) <= PIECE_LINES
    assert len(pieces) >= 8


def test_all_lines_are_of_one_snapshot() -> None:
    """A snapshot that is published in the middle of a scrape waits for the next one."""
    before, after = fleet(100), snapshot(watched("later"))
    current = [before]
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(families.FAMILIES, lambda: current[0], lambda: NOW))
    pieces = page(registry, "").pieces
    first = next(pieces)
    current[0] = after
    assert first + b"".join(pieces) == b"".join(page(registry_of(before), "").pieces)


def test_half_a_surrogate_pair_does_not_break_the_page() -> None:
    """JSON can carry what UTF-8 can't; the page stays valid UTF-8."""
    known = snapshot(watched(figures=heap(isolate(), retired_gc={})), watched("\ud800"))
    assert 'process="?"' in scrape(known)
