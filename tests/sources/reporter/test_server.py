"""The reporters' socket over real connections: who is believed, what is refused, and what the feed hears."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes import figures
from fakes.conditions import eventually
from fakes.reporter_bench import Bench, config, running
from fakes.reporters import Reporter, hello, sample
from heapwarden.domain.errors import SocketUnavailableError
from heapwarden.domain.identity import Role
from heapwarden.domain.sample import GcKind
from heapwarden.sources.reporter import connection as wire
from heapwarden.sources.reporter.server import HELLO_DEADLINE_SECONDS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A started server in a folder of its own."""
    async with running(tmp_path / "agent.sock") as started:
        yield started


async def test_a_hello_is_answered_and_samples_reach_the_feed(bench: Bench) -> None:
    """The whole way: connect, hello, config, sample."""
    reporter = await Reporter.greet(bench.path)
    assert await reporter.receive() == config(1000)
    reporter.send(sample(used_mib=90))
    last = await eventually(lambda: bench.feed.last and bench.feed.last.main)
    assert last.heap_used_bytes == 90 * figures.MIB
    assert last.effective_limit_bytes == 100 * figures.MIB
    assert bench.feed.heard[-1][0] is bench.me
    assert bench.telemetry.counts["frame", "accepted"] == 2
    await reporter.close()
    await eventually(lambda: not bench.feed.heard[-1][1].connected)
    assert bench.feed.heard[-1][1].main is not None, "the last figures stay"


async def test_a_new_configuration_reaches_who_is_there(bench: Bench) -> None:
    """After a reload the interval holds for connections that are open already."""
    reporter = await Reporter.greet(bench.path)
    await reporter.receive()
    bench.server.configure(interval_seconds=0.25, gc_profiler=False)
    assert await reporter.receive() == config(250, gc_profiler=False)
    await reporter.close()


async def test_frames_cut_anywhere_are_put_together(bench: Bench) -> None:
    """A stream has no frames: single bytes must do."""
    reporter = await Reporter.greet(bench.path)
    await reporter.receive()
    reporter.send(sample(used_mib=1))
    await eventually(lambda: bench.feed.last and bench.feed.last.main)
    for byte in b'{"t":"sample","mem":':
        reporter.raw(bytes([byte]))
        await asyncio.sleep(0)
    reporter.raw(b"{}}\n")
    await eventually(lambda: bench.refused("bad_value") == 1)
    await reporter.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "not_json", id="another protocol"),
        pytest.param(b'{"t":"hello","v":9}\n', "wrong_version", id="newer version"),
        pytest.param(b"x" * 70_000, "too_long", id="no newline"),
        pytest.param(b'"' + b"x" * 70_000 + b'"\n', "too_long", id="long line"),
        pytest.param(b"[1]\n", "wrong_type", id="no object"),
    ],
)
async def test_what_breaks_the_protocol_is_closed_and_counted(bench: Bench, data: bytes, reason: str) -> None:
    """One refusal each, and another connection works on."""
    healthy = await Reporter.greet(bench.path)
    await healthy.receive()
    bad = await Reporter.connect(bench.path)
    bad.raw(data)
    assert await bad.receive() is None
    assert bench.refused(reason) == 1
    healthy.send(sample())
    await eventually(lambda: bench.feed.last and bench.feed.last.main)
    await healthy.close()
    await bad.close()


async def test_a_claimed_pid_that_the_kernel_denies_is_refused(bench: Bench) -> None:
    """SO_PEERCRED is believed, the frame is not; a pid of an inner namespace (NSpid) is the same process."""
    liar = await Reporter.greet(bench.path, pid=1)
    assert await liar.receive() is None
    assert bench.refused("pid_mismatch") == 1
    inner = await Reporter.greet(bench.path, pid=17)
    assert await inner.receive() is not None
    await liar.close()
    await inner.close()


async def test_a_process_that_is_not_watched_is_let_go(bench: Bench) -> None:
    """Closed without a word: it may try again, and a reload may change the answer."""
    bench.feed.unwanted.add(os.getpid())
    reporter = await Reporter.greet(bench.path)
    assert await reporter.receive() is None
    assert bench.feed.heard == []
    await reporter.close()


async def test_a_wrapper_is_told_to_stop(bench: Bench) -> None:
    """A package manager in front of an app is not measured at all."""
    bench.discovery.running = {bench.me.id: figures.process(pid=os.getpid(), start=1, role=Role.WRAPPER)}
    reporter = await Reporter.greet(bench.path)
    assert await reporter.receive() == {"t": "stop"}
    assert await reporter.receive() is None
    await reporter.close()


async def test_worker_threads_join_and_leave_their_collections(bench: Bench) -> None:
    """Isolates are grouped by process; an ended thread's collections stay in the totals, and count once."""
    main, worker = await Reporter.greet(bench.path), await Reporter.greet(bench.path, thread=1)
    main.send(sample(minor=5))
    worker.send(sample(minor=7))
    await eventually(lambda: bench.feed.last and len(bench.feed.last.isolates) == 2)
    assert bench.feed.heard[-1][1].gc()[GcKind.MINOR].count == 12
    await worker.close()
    await eventually(lambda: bench.feed.last and len(bench.feed.last.isolates) == 1)
    assert bench.feed.heard[-1][1].gc()[GcKind.MINOR].count == 12
    again = await Reporter.greet(bench.path, thread=1)
    again.send(sample(minor=8))
    await eventually(lambda: bench.feed.last and len(bench.feed.last.isolates) == 2)
    assert bench.feed.heard[-1][1].gc()[GcKind.MINOR].count == 13
    await main.close()
    await again.close()


async def test_the_newest_connection_of_an_isolate_counts(bench: Bench) -> None:
    """A reconnection that comes before the old end is noticed."""
    first = await Reporter.greet(bench.path)
    await first.receive()
    second = await Reporter.greet(bench.path)
    await second.receive()
    assert await first.receive() is None
    second.send(sample(used_mib=3))
    last = await eventually(lambda: bench.feed.last and bench.feed.last.main)
    assert last.heap_used_bytes == 3 * figures.MIB
    assert bench.feed.heard[-1][1].connected
    await first.close()
    await second.close()


async def test_silence_is_ended_by_the_sweep(bench: Bench) -> None:
    """Who says no hello within the deadline goes; who said one stays."""
    silent, talking = await Reporter.connect(bench.path), await Reporter.greet(bench.path)
    await talking.receive()
    bench.server.sweep(bench.clock.now + HELLO_DEADLINE_SECONDS)
    assert bench.refused("no_hello") == 0
    bench.server.sweep(bench.clock.now + HELLO_DEADLINE_SECONDS + 0.1)
    assert await silent.receive() is None
    assert bench.refused("no_hello") == 1
    talking.send(sample())
    await eventually(lambda: bench.feed.last and bench.feed.last.main)
    await silent.close()
    await talking.close()


async def test_a_thousand_idle_connections_stop_nobody(bench: Bench) -> None:
    """Most are refused at once, all are counted in the end, and an honest reporter gets through."""
    idle = [await Reporter.connect(bench.path) for _ in range(1_000)]
    await eventually(lambda: bench.refused("too_many") == 1_000 - 256)
    bench.server.sweep(bench.clock.now + HELLO_DEADLINE_SECONDS + 1)
    await eventually(lambda: bench.refused("no_hello") == 256)
    for one in idle:
        await one.close()
    honest = await Reporter.greet(bench.path)
    assert await honest.receive() is not None
    await honest.close()


async def test_a_flood_is_cut_off(bench: Bench) -> None:
    """More frames than any reporter sends: the connection ends, the count says why."""
    reporter = await Reporter.greet(bench.path)
    await reporter.receive()
    for _ in range(wire.BURST_FRAMES + 10):
        reporter.send(sample())
    await eventually(lambda: bench.refused("too_fast") == 1)
    assert bench.telemetry.counts["frame", "accepted"] <= wire.BURST_FRAMES
    await reporter.close()


async def test_thousands_of_reporters_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand connections of twenty processes, all heard; a process with more threads than any has is bounded."""
    pids = iter(range(1, 10_000))
    monkeypatch.setattr(wire.Peer, "of", classmethod(lambda cls, _: cls(pid=next(pids) % 20 + 1_000, uid=0)))
    bench.discovery.running = {one.id: one for one in (figures.process(pid=1_000 + n) for n in range(20))}
    reporters = []
    for n in range(2_000):
        reporter = await Reporter.greet(bench.path, pid=(n + 1) % 20 + 1_000, thread=n // 20)
        reporter.send(sample())
        reporters.append(reporter)
        if n % 100 == 0:
            await reporter.receive()

    def heard() -> int:
        return sum({one.id: len(heap.isolates) for one, heap in bench.feed.heard}.values())

    await eventually(lambda: heard() == 2_000, seconds=60)
    for reporter in reporters:
        await reporter.close()


async def test_the_isolates_of_one_process_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work for a frame grows with them; the ones that are there are heard on."""
    monkeypatch.setattr("heapwarden.sources.reporter.server.MAX_ISOLATES", 3)
    reporters = [await Reporter.greet(bench.path, thread=thread) for thread in range(4)]
    await eventually(lambda: bench.refused("too_many") == 1)
    reporters[0].send(sample())
    await eventually(lambda: bench.feed.last and bench.feed.last.main)
    for reporter in reporters:
        await reporter.close()


async def test_a_flood_by_many_threads_is_cut_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each within its own allowance, all together beyond that of a process."""
    monkeypatch.setattr("heapwarden.sources.reporter.server.PROCESS_BURST_FRAMES", 50.0)
    reporters = [await Reporter.greet(bench.path, thread=thread) for thread in range(10)]
    for _ in range(10):
        for reporter in reporters:
            reporter.send(sample())
    await eventually(lambda: bench.refused("too_fast") > 0)
    for reporter in reporters:
        await reporter.close()


async def test_a_worker_that_died_before_its_main_thread_connected_is_over(bench: Bench) -> None:
    """Its last figures, full to the brim, must not stay with the process for good; its collections do."""
    worker = await Reporter.greet(bench.path, thread=1)
    worker.send(sample(used_mib=99, minor=3))
    await eventually(lambda: bench.feed.last and bench.feed.last.isolates)
    await worker.close()
    await eventually(lambda: bench.feed.last and not bench.feed.last.isolates)
    main = await Reporter.greet(bench.path)
    main.send(sample(minor=2))
    await eventually(lambda: bench.feed.last and bench.feed.last.main)
    assert len(bench.feed.heard[-1][1].isolates) == 1
    assert bench.feed.heard[-1][1].gc()[GcKind.MINOR].count == 5
    await main.close()


async def test_a_pid_that_changes_hands_before_the_hello_is_refused(bench: Bench) -> None:
    """The identity is that of the moment of connecting: a successor's name can't be had by waiting for it."""
    reporter = await Reporter.connect(bench.path)
    await eventually(lambda: bench.server._open == 1)
    bench.discovery.running = {one.id: one for one in [figures.process(pid=os.getpid(), start=2)]}
    reporter.send(hello())
    assert await reporter.receive() is None
    assert bench.refused("gone") == 1
    assert bench.feed.heard == []
    await reporter.close()


async def test_after_a_reload_the_unwanted_are_let_go(bench: Bench) -> None:
    """Their connections close; they may come again, and are asked anew."""
    reporter = await Reporter.greet(bench.path)
    await reporter.receive()
    bench.feed.unwanted.add(os.getpid())
    bench.server.let_go_unwanted()
    assert await reporter.receive() is None
    await reporter.close()


async def test_a_sweep_that_breaks_is_not_the_last(bench: Bench) -> None:
    """A fault is counted, and the next sweep comes."""
    sweeps = 0

    def broken(_now: float) -> None:
        nonlocal sweeps
        sweeps += 1
        if sweeps == 3:
            raise asyncio.CancelledError
        raise RuntimeError("a fault")

    bench.server.sweep = broken  # type: ignore[method-assign]  a fault that can't be made otherwise
    with pytest.raises(asyncio.CancelledError):
        await bench.server.run()
    assert bench.telemetry.counts["source", "reporter", "error"] == 2


async def test_the_socket_has_its_mode_and_goes_with_the_server(tmp_path: Path) -> None:
    """Neither wider nor narrower than asked, and nothing is left behind."""
    path = tmp_path / "deep" / "agent.sock"
    async with running(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert [entry.name for entry in path.parent.iterdir()] == ["agent.sock"]
    assert list(path.parent.iterdir()) == []


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    """`kill -9` leaves a file; a second agent must not steal a first one's reporters."""
    path = tmp_path / "agent.sock"
    async with running(path) as first:
        with pytest.raises(SocketUnavailableError, match="another agent listens here"):
            await Bench(path).server.start()
        reporter = await Reporter.greet(first.path)
        assert await reporter.receive() is not None
        await reporter.close()
    import socket  # noqa: PLC0415  one test makes a dead socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with running(path) as second:
        reporter = await Reporter.greet(second.path)
        assert await reporter.receive() is not None
        await reporter.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda path: path.write_text("precious"), "is no socket", id="a file"),
        pytest.param(lambda path: path.mkdir(), "is no socket", id="a folder"),
    ],
)
async def test_other_things_at_the_path_stay(tmp_path: Path, make: object, said: str) -> None:
    """Nothing that isn't a dead socket is removed."""
    path = tmp_path / "agent.sock"
    make(path)  # type: ignore[operator]  parametrised callables
    with pytest.raises(SocketUnavailableError, match=said):
        await Bench(path).server.start()
    assert path.exists()


async def test_a_path_too_long_for_the_kernel_is_said(tmp_path: Path) -> None:
    """sun_path has 108 bytes; the error names the setting."""
    with pytest.raises(SocketUnavailableError, match="set a shorter `socket`"):
        await Bench(tmp_path / ("x" * 120)).server.start()


async def test_a_successors_socket_is_not_removed(tmp_path: Path) -> None:
    """An agent that stops late must not take the path from the one that came after."""
    path = tmp_path / "agent.sock"
    first, second = Bench(path), Bench(path)
    await first.server.start()
    path.unlink()
    await second.server.start()
    await first.server.stop()
    reporter = await Reporter.greet(path)
    assert await reporter.receive() is not None
    await reporter.close()
    await second.server.stop()


async def test_a_peer_of_another_pid_namespace_is_its_connections(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SO_PEERCRED reads 0 the claims group the threads of one process and keep two processes apart."""
    monkeypatch.setattr(wire.Peer, "of", classmethod(lambda cls, _: cls(pid=0, uid=1_000)))
    one = [await Reporter.greet(bench.path, pid=1, start=50, thread=thread) for thread in (0, 1)]
    other = await Reporter.greet(bench.path, pid=1, start=50, ns="pid:[77]", argv=["node", "/srv/worker.mjs"])
    for reporter in (*one, other):
        reporter.send(sample())
    await eventually(lambda: len({process.id for process, _ in bench.feed.heard}) == 2)
    await eventually(lambda: any(len(heap.isolates) == 2 for _, heap in bench.feed.heard))
    found = {process.script: process for process, _ in bench.feed.heard}
    assert set(found) == {"server", "worker"}
    assert not found["server"].id.visible
    assert found["server"].started_at == 1_000_000.5
    thief = await Reporter.greet(bench.path, pid=1, start=50)
    assert await thief.receive() is None, "nobody takes a connection over by a claim alone"
    assert bench.refused("duplicate") == 1
    for reporter in (*one, other, thief):
        await reporter.close()


async def test_hidden_processes_of_one_user_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many there are is their own word; the series of one user's inventions are bounded."""
    monkeypatch.setattr(wire.Peer, "of", classmethod(lambda cls, _: cls(pid=0, uid=1_000)))
    monkeypatch.setattr("heapwarden.sources.reporter.server.MAX_HIDDEN_PROCESSES", 3)
    reporters = [await Reporter.greet(bench.path, pid=pid) for pid in range(1, 6)]
    await eventually(lambda: bench.refused("too_many") == 2)
    assert len({process.id for process, _ in bench.feed.heard}) == 3
    for reporter in reporters:
        await reporter.close()
