"""The compatible names."""

import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes.machine import ROOT, node
from fakes.scrapes import series
from fakes.snapshots import MIB, heap, isolate, snapshot, watched
from heapwarden.exposition import prom_client

API = 'process="api",worker="0"'


def test_figures_are_the_main_threads() -> None:
    """As in prom-client: worker threads' heaps and collections are not added."""
    known = snapshot(watched(figures=heap(isolate(used_mib=60), isolate(1, used_mib=10))))
    found = series(known, table=prom_client.FAMILIES)
    assert found[f"nodejs_heap_size_used_bytes{{{API}}}"] == 60 * MIB
    assert found[f'nodejs_gc_duration_seconds_count{{{API},kind="minor"}}'] == 62
    assert found[f'nodejs_heap_space_size_used_bytes{{{API},space="old"}}'] == MIB // 2
    assert found[f"process_resident_memory_bytes{{{API}}}"] == 120 * MIB
    assert found[f"nodejs_eventloop_lag_p99_seconds{{{API}}}"] == 0.0125


def test_only_bounds_that_are_known() -> None:
    """No bucket is invented for a bound that was not counted."""
    found = series(snapshot(watched()), "nodejs_gc_duration_seconds_bucket", table=prom_client.FAMILIES)
    bounds = {line.split('le="')[1].split('"')[0] for line in found}
    assert bounds == {"0.001", "0.005", "0.025", "0.1", "0.5", "2.5", "+Inf"}


@pytest.mark.parametrize(
    ("version", "labels"),
    [
        pytest.param("24.21.0", 'version="v24.21.0",major="24",minor="21",patch="0"', id="release"),
        pytest.param("26.0.0-nightly1", 'version="v26.0.0-nightly1",major="26",minor="0",patch="0"', id="nightly"),
        pytest.param("24", 'version="v24",major="24",minor="",patch=""', id="short"),
    ],
)
def test_version_is_taken_apart(version: str, labels: str) -> None:
    """Major, minor and patch each have a label."""
    figures = heap(isolate())
    known = snapshot(watched(figures=type(figures)("reporter", figures.isolates, version, "13")))
    found = series(known, "nodejs_version_info", table=prom_client.FAMILIES)
    assert found == {f"nodejs_version_info{{{API},{labels}}}": 1}


PUBLISH = """
const client = require('prom-client');
client.collectDefaultMetrics();
setTimeout(gc, 20);
setTimeout(async () => process.stdout.write(await client.register.metrics()), 200);
setTimeout(() => process.exit(), 400);
"""


@pytest.mark.node
def test_names_are_those_of_the_real_prom_client() -> None:
    """Every family here is one of prom-client's own page, of the same type and with labels that it has."""
    run = subprocess.run(
        [node(22), "--expose-gc", "-e", PUBLISH],
        cwd=ROOT / "tests" / "nodes",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    real = {metric.name: metric for metric in text_string_to_metric_families(run.stdout)}
    for family in prom_client.FAMILIES:
        assert family.name in real
        assert real[family.name].type == family.type
        labels = {label for sample in real[family.name].samples for label in sample.labels} - {"le"}
        assert set(family.labels) == labels
