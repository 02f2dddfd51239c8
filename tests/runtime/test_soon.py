"""Judgement between ticks."""

import pytest

from fakes import figures
from fakes.conditions import eventually
from fakes.discovery import FakeDiscovery
from heapwarden.policy.matching import Watchlist
from heapwarden.runtime.clock import SystemClock
from heapwarden.runtime.soon import Soon
from heapwarden.runtime.watch import Watch

pytestmark = pytest.mark.anyio


async def test_many_news_are_one_publication() -> None:
    """A hundred processes speak at once: all are published, in a few snapshots, without a tick."""
    processes = [figures.process(pid=n, start=n) for n in range(1, 101)]
    watch = Watch(Watchlist(), discovery=FakeDiscovery(*processes), clock=SystemClock())
    Soon(watch)
    published = []
    publish = watch.publish

    def counting(**how: bool) -> None:
        publish(**how)
        published.append(len(watch.snapshot.processes))

    watch.publish = counting  # type: ignore[method-assign]  counts what goes by
    for process in processes:
        watch.heap_figures(process, figures.heap(figures.isolate()))
    await eventually(lambda: len(watch.snapshot.processes) == 100)
    assert len(published) <= 3


async def test_what_was_asked_can_be_taken_back() -> None:
    """At the agent's end nothing fires any more."""
    watch = Watch(Watchlist(), discovery=FakeDiscovery(), clock=SystemClock())
    soon = Soon(watch)
    before = watch.snapshot
    soon.ask()
    soon.cancel()
    soon.ask()
    await eventually(lambda: watch.snapshot is not before)
