"""The periodic memory line."""

import logging

import pytest

from fakes import figures
from fakes.clock import FakeClock
from fakes.discovery import FakeDiscovery
from heapwarden.domain.sample import KernelFigures
from heapwarden.policy.matching import Watchlist
from heapwarden.runtime import memory_log
from heapwarden.runtime.watch import Watch


def _watch(*used_mib: float) -> Watch:
    """So many processes, with heaps of 1000 MiB that are so full."""
    processes = [figures.process(pid=n + 1, start=n) for n in range(len(used_mib))]
    watch = Watch(Watchlist(), discovery=FakeDiscovery(*processes), clock=FakeClock())
    for process, used in zip(processes, used_mib, strict=True):
        watch.heap_figures(process, figures.heap(figures.isolate(used)))
        watch.read("procfs", [process.id], {process.id: KernelFigures(1.0, 80 * figures.MIB, 0, 0, 0, 1)})
    watch.judge()
    watch.publish()
    return watch


def test_a_line_has_the_figures_for_people_and_for_machines(caplog: pytest.LogCaptureFixture) -> None:
    """Name, state and sizes in words; the bytes beside them."""
    with caplog.at_level(logging.INFO):
        memory_log.write(_watch(500))
    line = next(record for record in caplog.records if hasattr(record, "memory"))
    assert line.getMessage().startswith("server/0 healthy: rss 80.0 MiB, heap used 500.0 MiB, heap total 60.0 MiB")
    assert line.memory["heap limit"] == 1_000 * figures.MIB


def test_of_many_the_fullest_are_written(caplog: pytest.LogCaptureFixture) -> None:
    """A host with hundreds of processes does not fill its log."""
    watch = _watch(*range(1, 51))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        memory_log.write(watch)
    assert len(caplog.records) == memory_log.MOST_LINES + 1
    assert "heap used 50.0 MiB" in caplog.records[0].getMessage()
    assert caplog.records[-1].getMessage() == "and 30 processes under less pressure"
