"""Blocking calls behind a deadline."""

import threading

import pytest

from fakes.conditions import eventually
from fakes.telemetry import FakeTelemetry
from heapwarden.runtime.fetch import Fetcher

pytestmark = pytest.mark.anyio


async def test_a_result_comes_back() -> None:
    """The plain case, more than once."""
    fetcher: Fetcher[int] = Fetcher("x", FakeTelemetry())
    assert [await fetcher.fetch(lambda n=n: n * 2, 10) for n in (1, 2)] == [2, 4]  # type: ignore[misc]  mypy can't see lambda defaults
    fetcher.close()


async def test_a_call_that_hangs_costs_its_deadline_and_is_not_asked_twice() -> None:
    """While it hangs every fetch is a counted timeout; once it returns, its late answer is taken."""
    telemetry = FakeTelemetry()
    fetcher: Fetcher[str] = Fetcher("disk", telemetry)
    release, calls = threading.Event(), []

    def hang() -> str:
        calls.append(1)
        release.wait(30)
        return "late"

    assert await fetcher.fetch(hang, 0.01) is None
    assert await fetcher.fetch(hang, 0.01) is None
    assert telemetry.counts["source", "disk", "timeout"] == 2
    assert len(calls) == 1
    release.set()
    assert await fetcher.fetch(hang, 10) == "late"
    fetcher.close()


async def test_a_call_that_fails_is_counted_and_the_next_one_works() -> None:
    """An exception is no answer; it ends nothing."""
    telemetry = FakeTelemetry()
    fetcher: Fetcher[int] = Fetcher("x", telemetry)

    def fail() -> int:
        raise ValueError("no")

    assert await fetcher.fetch(fail, 10) is None
    assert telemetry.counts["source", "x", "error"] == 1
    assert await fetcher.fetch(lambda: 5, 10) == 5
    fetcher.close()


async def test_its_thread_ends_when_closed() -> None:
    """Nothing is left running."""
    fetcher: Fetcher[int] = Fetcher("only-here", FakeTelemetry())
    await fetcher.fetch(lambda: 1, 10)
    fetcher.close()
    await eventually(lambda: "heapwarden-only-here" not in {thread.name for thread in threading.enumerate()})
