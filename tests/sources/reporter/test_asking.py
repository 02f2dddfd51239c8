"""What the agent may ask of a reporter, and what a reporter says of its process, over real connections."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.reporter_bench import Bench, running
from fakes.reporters import Reporter, sample
from heapwarden.domain.findings import Limit, PressureLevel
from heapwarden.domain.identity import ProcessId
from heapwarden.sources.reporter.server import FORGET_AFTER_SECONDS, MAX_UNREAD_BYTES

pytestmark = pytest.mark.anyio
ME = ProcessId(os.getpid(), 1)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A started server in a folder of its own."""
    async with running(tmp_path / "agent.sock") as started:
        yield started


async def greeted(bench: Bench, **fields: object) -> Reporter:
    """A reporter that has been answered."""
    reporter = await Reporter.greet(bench.path, **fields)
    answer = await reporter.receive()
    assert answer is not None
    assert answer["t"] == "config"
    return reporter


def ask_everything(bench: Bench, process: ProcessId = ME) -> list[bool]:
    """One of each."""
    server = bench.server
    return [
        server.pressure(process, PressureLevel.HIGH, 0.81234, Limit.HEAP),
        server.drain(process, 5.0),
        server.collect(process),
        server.raise_signal(process, "SIGTERM"),
    ]


async def test_everything_that_may_be_asked(bench: Bench) -> None:
    """Each as the protocol has it, in order, to the main thread alone."""
    worker = await greeted(bench, thread=1)
    main = await greeted(bench)
    assert ask_everything(bench) == [True] * 4
    assert [await main.receive() for _ in range(4)] == [
        {"t": "pressure", "level": "high", "ratio": 0.8123, "nearer": "heap"},
        {"t": "drain", "within_ms": 5_000},
        {"t": "gc"},
        {"t": "signal", "signal": "SIGTERM"},
    ]
    bench.server.configure(interval_seconds=2.0, gc_profiler=True)
    after = await worker.receive()
    assert after is not None
    assert after["t"] == "config", "nothing else came before it"
    await main.close()
    await worker.close()


async def test_nobody_to_ask(bench: Bench) -> None:
    """No reporter, one of a worker thread only, one that has gone, and one of another process: nothing is sent."""
    assert ask_everything(bench) == [False] * 4
    worker = await greeted(bench, thread=1)
    assert ask_everything(bench) == [False] * 4
    main = await greeted(bench)
    assert ask_everything(bench, ProcessId(os.getpid(), 2)) == [False] * 4
    await main.close()
    await eventually(lambda: bench.server.collect(ME) is False)
    await worker.close()


async def test_a_reporter_that_can_do_less(bench: Bench) -> None:
    """One without `can` is asked for nothing; one that names some of it for that, and for nothing new to this agent."""
    older = await greeted(bench, can=None)
    assert ask_everything(bench) == [False] * 4
    await older.close()
    some = await greeted(bench, can=["gc", "dance"])
    await eventually(lambda: bench.server.collect(ME))
    assert ask_everything(bench) == [False, False, True, False]
    await some.close()


@pytest.mark.parametrize("name", ["SIGSTOP", "SIGUSR1", "sigterm", "9", ""])
async def test_other_signals_are_not_asked_for(bench: Bench, name: str) -> None:
    """SIGUSR1 would open Node's inspector; the reporter ignores all but a few, so none is promised."""
    reporter = await greeted(bench)
    assert not bench.server.raise_signal(ME, name)
    await reporter.close()


async def test_a_reporter_that_does_not_read_is_asked_for_nothing_more(bench: Bench) -> None:
    """What waits for it is bounded."""
    reporter = await Reporter.greet(bench.path)
    await eventually(lambda: bench.server.collect(ME))
    for _ in range(200_000):
        if not bench.server.drain(ME, 1.0):
            break
    else:
        raise AssertionError("no bound was met")
    [connection] = bench.server._of
    assert MAX_UNREAD_BYTES < connection.unread_bytes < MAX_UNREAD_BYTES + 1_000
    await reporter.close()


async def test_a_reporter_that_comes_back_hears_the_pressure_again(bench: Bench) -> None:
    """It may have given the app the all-clear meanwhile. A worker thread hears nothing."""
    first = await greeted(bench)
    bench.server.pressure(ME, PressureLevel.ELEVATED, 0.7, Limit.CONTAINER)
    bench.server.pressure(ME, PressureLevel.HIGH, 0.8, Limit.CONTAINER)
    await first.close()
    await eventually(lambda: not bench.feed.heard[-1][1].connected)
    worker, again = await greeted(bench, thread=1), await greeted(bench)
    assert await again.receive() == {"t": "pressure", "level": "high", "ratio": 0.8, "nearer": "container"}
    await again.close()
    await worker.close()


async def test_pressure_of_a_process_that_is_gone_is_forgotten(bench: Bench) -> None:
    """What follows it under its pid begins without."""
    first = await greeted(bench)
    bench.server.pressure(ME, PressureLevel.HIGH, 0.8, Limit.HEAP)
    await first.close()
    await eventually(lambda: not bench.feed.heard[-1][1].connected)
    was, bench.discovery.running = bench.discovery.running, {}
    bench.server.sweep(bench.clock.now + FORGET_AFTER_SECONDS + 1)
    bench.discovery.running = was
    again = await greeted(bench)
    bench.server.collect(ME)
    assert await again.receive() == {"t": "gc"}
    await again.close()


async def test_the_app_says_that_it_is_drained(bench: Bench) -> None:
    """The feed hears it, with the process; a worker thread can't say it for the others."""
    main, worker = await greeted(bench), await greeted(bench, thread=1)
    main.send({"t": "drained"})
    await eventually(lambda: bench.feed.told_drained == [bench.me])
    worker.send({"t": "drained"})
    await eventually(lambda: bench.refused("wrong_type") == 1)
    assert bench.feed.told_drained == [bench.me]
    await main.close()
    await worker.close()


async def test_goodbye(bench: Bench) -> None:
    """The exit code goes with the last figures and outlives the connection."""
    main = await greeted(bench)
    main.send(sample(used_mib=7))
    main.send({"t": "bye", "code": 3})
    await main.close()
    await eventually(lambda: bench.feed.last and not bench.feed.last.connected)
    last = bench.feed.heard[-1][1]
    assert last.exit_code == 3
    assert last.main is not None
    assert [figures.exit_code for _, figures in bench.feed.heard][:2] == [None, None]


async def test_whoever_says_goodbye_and_stays_has_not_left(bench: Bench) -> None:
    """An app may emit `exit` by itself: the next figures take the code back."""
    main = await greeted(bench)
    main.send({"t": "bye", "code": 0})
    await eventually(lambda: bench.feed.last and bench.feed.last.exit_code == 0)
    main.send(sample())
    await eventually(lambda: bench.feed.last and bench.feed.last.main)
    assert bench.feed.heard[-1][1].exit_code is None
    await main.close()


@pytest.mark.parametrize("code", [-1, 256, 1.5e300, "0", None, True])
async def test_a_goodbye_that_can_not_be_true_is_refused(bench: Bench, code: object) -> None:
    """An exit code has eight bits."""
    main = await greeted(bench)
    main.send({"t": "bye", "code": code})
    await eventually(lambda: bench.refused("bad_value") == 1)
    assert all(figures.exit_code is None for _, figures in bench.feed.heard)
    await main.close()


async def test_drained_again_and_again_is_a_flood(bench: Bench) -> None:
    """Each counts against the allowance like any frame."""
    main = await greeted(bench)
    for _ in range(400):
        main.send({"t": "drained"})
        await asyncio.sleep(0)
    await eventually(lambda: bench.refused("too_fast") == 1)
    await main.close()
