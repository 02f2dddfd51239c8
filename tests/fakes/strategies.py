"""Snapshots of every shape, for property tests: any figure missing, any text in a label."""

from hypothesis import strategies as st

from fakes.snapshots import NOW
from heapwarden.domain.exit import ExitReason
from heapwarden.domain.findings import Findings, Pressure
from heapwarden.domain.health import HealthState, Verdict
from heapwarden.domain.identity import Name, Process, ProcessId
from heapwarden.domain.place import Place, placed
from heapwarden.domain.restart import RestartReason, Trigger
from heapwarden.domain.sample import (
    ContainerFigures,
    GcKind,
    GcTotals,
    HeapFigures,
    HeapSpace,
    Isolate,
    KernelFigures,
    LoopDelay,
    Sample,
)
from heapwarden.domain.snapshot import Held, Ledger, Snapshot, Watched

nasty_text = st.one_of(
    st.sampled_from(['say "hi"', "back\\slash", "two\nlines", "\\n", '\\"', "{}=,", "日本 🦉", " ", "# EOF", ""]),
    st.text(max_size=20),
)
sizes = st.integers(min_value=0, max_value=2**53)
seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)
ratios = st.none() | st.floats(min_value=0, max_value=100)

collections = st.dictionaries(
    st.sampled_from(GcKind),
    st.builds(
        lambda counts, took, reclaimed: GcTotals((counts, 0, 1, 2, 0, counts, 3), took, reclaimed),
        st.integers(0, 10**9),
        seconds,
        st.none() | sizes,
    ),
    max_size=2,
)


@st.composite
def isolates(draw: st.DrawFn, thread: int) -> Isolate:
    """Heaps of one thread. Sizes differ from each other and come from one draw, which keeps generation fast."""
    size = draw(sizes)
    return Isolate(
        thread=thread,
        taken_at=NOW - draw(st.sampled_from((0.0, 0.25, 99.0))),
        heap_used_bytes=size,
        heap_total_bytes=size + 1,
        heap_limit_bytes=size + 2,
        effective_limit_bytes=size + 3,
        external_bytes=size + 4,
        array_buffers_bytes=size + 5,
        malloced_bytes=size + 6,
        native_contexts=size % 7,
        detached_contexts=size % 3,
        spaces=tuple(
            HeapSpace(name, size * index, size // 2, size // 3)
            for index, name in enumerate(draw(st.lists(nasty_text, max_size=3, unique=True)))
        ),
        gc=draw(collections),
        live_bytes=draw(st.none() | sizes),
        loop=draw(st.none() | st.builds(LoopDelay, seconds, st.just(0.25), st.just(1.5), st.just(0.125))),
    )


heaps = st.builds(
    HeapFigures,
    source=nasty_text,
    isolates=st.sampled_from(((), (0,), (0, 1, 7), (2, 3))).flatmap(lambda threads: st.tuples(*map(isolates, threads))),
    node_version=nasty_text,
    v8_version=nasty_text,
    connected=st.booleans(),
    retired_gc=collections,
)
samples = st.builds(
    Sample,
    process=st.just(ProcessId(1, 1)),
    at=st.just(NOW),
    kernel=st.none()
    | st.builds(KernelFigures, st.just(NOW), sizes, st.just(4096), st.just(31), st.just(7), st.integers(1, 99)),
    container=st.none() | st.builds(ContainerFigures, st.just(NOW), sizes, st.none() | sizes),
    heap=st.none() | heaps,
    sources=st.dictionaries(nasty_text, st.booleans(), max_size=3),
)


places = st.none() | st.builds(Place, nasty_text, nasty_text, nasty_text, shown=st.booleans())


@st.composite
def watched(draw: st.DrawFn) -> Watched:
    """One process."""
    process = Process(ProcessId(draw(st.integers(1, 2**22)), 1), ("node",), draw(seconds), script="server")
    return Watched(
        process,
        Name(draw(nasty_text), draw(st.sampled_from(("0", "1", "12")))),
        draw(samples),
        Findings(Pressure(draw(ratios), draw(ratios)), None, 0, 0.0),
        Verdict(draw(st.sampled_from(HealthState)), serving=draw(st.booleans()), since=NOW - 1),
        draw(st.none() | st.builds(Held, st.just(Trigger(RestartReason.MAX_MEMORY, "")), nasty_text, nasty_text)),
        place=draw(places),
    )


names = st.builds(placed, st.builds(Name, nasty_text, st.sampled_from(("0", "1", "12"))), places)
ledgers = st.builds(
    Ledger,
    st.dictionaries(st.tuples(names, st.sampled_from(RestartReason), st.booleans()), st.integers(1, 10**9), max_size=3),
    st.dictionaries(st.tuples(names, st.sampled_from(ExitReason)), st.integers(1, 10**9), max_size=3),
)
snapshots = st.builds(
    lambda processes, ledger: Snapshot(
        NOW,
        1.7e9,
        tuple(sorted(processes, key=lambda one: one.name)),
        agent_started_at=NOW - 90,
        ledger=ledger,
    ),
    st.lists(watched(), max_size=3, unique_by=lambda one: one.name),
    ledgers,
)
