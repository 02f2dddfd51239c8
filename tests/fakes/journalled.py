"""What the journal's tests share: journals that are closed again, and restarts and events, plain or any."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from fakes.conditions import eventually
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import (
    Hook,
    Method,
    Outcome,
    Plan,
    Restart,
    RestartReason,
    Stage,
    Trigger,
)
from heapwarden.journal import FILE_NAME, SqliteJournal, journal

WALL = 1_790_000_000.0


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For this test, a loaded machine's disk has time to answer."""
    for deadline in ("SAVE_SECONDS", "RECENT_SECONDS", "CLOSE_SECONDS", "LOAD_SECONDS"):
        monkeypatch.setattr(journal, deadline, 60.0)


@asynccontextmanager
async def journal_in(
    folder: Path, *, telemetry: FakeTelemetry | None = None, wall: float = WALL, **bounds: Any
) -> AsyncIterator[SqliteJournal]:
    """A journal whose clock stands at ``wall``; closed, and its thread gone, at the end."""
    made = SqliteJournal(folder, telemetry=telemetry or FakeTelemetry(), wall=lambda: wall, **bounds)
    try:
        yield made
    finally:
        await made.close()
        thread = made._thread
        await eventually(lambda: thread is None or not thread.is_alive(), seconds=30)


def names(folder: Path) -> set[str]:
    """What lies there."""
    return {path.name for path in folder.iterdir()}


def moved_aside(folder: Path) -> list[Path]:
    """Damaged journals, without what lies beside them."""
    return sorted(path for path in folder.glob(f"{FILE_NAME}.corrupt-*") if not path.name.endswith(("-wal", "-shm")))


def copied(folder: Path, target: Path) -> Path:
    """All files of ``folder`` as they are now, as a kill of whoever writes them would leave them."""
    target.mkdir(exist_ok=True)
    for path in [path for path in folder.iterdir() if path.is_file()]:
        (target / path.name).write_bytes(path.read_bytes())
    return target


def a_restart(identity: str = "r1", **changes: Any) -> Restart:
    """One under way, with ``changes``."""
    plain = Restart(
        id=identity,
        process=ProcessId(4242, 99),
        name=Name("api", "0"),
        boot="boot",
        trigger=Trigger(RestartReason.MAX_MEMORY, "RSS is 231 MiB, max_memory 200 MiB"),
        plan=Plan(before=(Hook(("save", "heap")),), after=(Hook(url="http://127.0.0.1/after", timeout_seconds=3.0),)),
        wall=WALL,
        stage=Stage.DRAIN,
        stage_since=12.5,
        figures={"rss_bytes": 231 * 2**20, "heap_ratio": 0.5, "limit": None},
    )
    return replace(plain, **changes)


def an_event(what: str = "drain", **changes: Any) -> Event:
    """A restart's, with ``changes``."""
    plain = Event(WALL, EventKind.RESTART, what, "draining", "api", "0", 4242, "r1", {"rss_bytes": 231 * 2**20})
    return replace(plain, **changes)


finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=20)
figures = st.dictionaries(texts, st.none() | texts | finite | st.integers(1 - 2**63, 2**63 - 1), max_size=4)
hooks = st.builds(Hook, st.lists(texts, max_size=3).map(tuple), texts, finite)
plans = st.builds(
    Plan,
    method=st.sampled_from(Method),
    signal=texts,
    drain_seconds=finite,
    grace_seconds=finite,
    successor_seconds=finite,
    before=st.lists(hooks, max_size=2).map(tuple),
    after=st.lists(hooks, max_size=2).map(tuple),
    command=st.lists(texts, max_size=2).map(tuple),
    url=texts,
)
process_ids = st.builds(ProcessId, st.integers(1, 2**22), st.integers(0, 2**62)) | st.builds(
    ProcessId, st.just(0), st.integers(0, 2**62), st.text(min_size=1, max_size=9)
)
restarts = st.builds(
    Restart,
    id=texts,
    process=process_ids,
    name=st.builds(Name, texts, texts),
    boot=texts,
    trigger=st.builds(Trigger, st.sampled_from(RestartReason), texts),
    plan=plans,
    wall=finite,
    stage=st.sampled_from(Stage),
    stage_since=finite,
    figures=figures,
    newest_start=st.integers(0, 2**62),
    dry_run=st.booleans(),
    signalled=st.booleans(),
    outcome=st.none() | st.sampled_from(Outcome),
    ended_wall=st.none() | finite,
    note=texts,
)
events = st.builds(
    Event,
    wall=finite,
    kind=st.sampled_from(EventKind),
    what=texts,
    text=texts,
    process=texts,
    worker=texts,
    pid=st.integers(0, 2**22),
    restart=texts,
    figures=figures,
)
