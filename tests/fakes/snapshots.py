"""Snapshots of any size, with all figures a process can have."""

from heapwarden.domain.findings import Findings, Pressure
from heapwarden.domain.health import HealthState, Reason, ReasonCode, Verdict
from heapwarden.domain.identity import Name, Process, ProcessId
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
from heapwarden.domain.snapshot import Ledger, Snapshot, Watched

MIB = 2**20
NOW = 1_000.0
STARTED_AT = 1_700_000_000.25

NODE_24_SPACES = (
    *("read_only", "new", "old", "code", "shared", "trusted", "shared_trusted", "new_large_object", "large_object"),
    *("code_large_object", "shared_large_object", "shared_trusted_large_object", "trusted_large_object"),
)
NODE_24_SPACES_IN_USE = frozenset({"new", "old", "code", "trusted", "new_large_object", "large_object"})
"""Of a web server that allocates, as Node 24 and 26 showed it; Node 18 to 22 use five or six."""

ALL_KINDS = tuple(GcKind)


def gc_totals(kind: GcKind, scale: int = 1) -> GcTotals:
    """Some collections, in every bucket."""
    return GcTotals((40 * scale, 12, 6, 3, 1, 0, 0), 1.25 * scale, 50 * MIB if kind is not GcKind.WEAKCB else None)


def isolate(
    thread: int = 0,
    used_mib: int = 60,
    *,
    taken_at: float = NOW - 0.5,
    kinds: tuple[GcKind, ...] = ALL_KINDS,
    live: bool = True,
) -> Isolate:
    """One heap of Node 24, with an effective limit of 1 GiB."""
    spaces = tuple(
        HeapSpace(name, MIB + index, MIB // 2, MIB // 4) if name in NODE_24_SPACES_IN_USE else HeapSpace(name, 0, 0, 0)
        for index, name in enumerate(NODE_24_SPACES)
    )
    return Isolate(
        thread=thread,
        taken_at=taken_at,
        heap_used_bytes=used_mib * MIB,
        heap_total_bytes=(used_mib + 20) * MIB,
        heap_limit_bytes=1216 * MIB,
        effective_limit_bytes=1024 * MIB,
        external_bytes=5 * MIB,
        array_buffers_bytes=3 * MIB,
        malloced_bytes=MIB,
        native_contexts=2,
        detached_contexts=1,
        spaces=spaces,
        gc={kind: gc_totals(kind) for kind in kinds},
        live_bytes=(used_mib - 5) * MIB if live else None,
        loop=LoopDelay(0.0005, 0.0125, 0.25, 0.375) if thread == 0 else None,
    )


def heap(*isolates: Isolate, **fields: object) -> HeapFigures:
    """Figures of the reporter in Node 24."""
    return HeapFigures("reporter", isolates or (isolate(),), "24.21.0", "13.6.233.17-node.34", **fields)  # type: ignore[arg-type]


def verdict(state: HealthState = HealthState.HEALTHY, *, serving: bool | None = None, text: str = "") -> Verdict:
    """A verdict since 40 s ago, with a reason where ``text`` gives one."""
    reasons = (Reason(ReasonCode.HEAP_USAGE, text),) if text else ()
    if serving is None:
        serving = state not in (HealthState.UNHEALTHY, HealthState.DRAINING, HealthState.RESTARTING)
    return Verdict(state, serving=serving, reasons=reasons, since=NOW - 40)


def watched(
    process: str = "api",
    worker: str = "0",
    *,
    pid: int = 4711,
    figures: HeapFigures | None = None,
    judged: Verdict | None = None,
    bare: bool = False,
    limit_bytes: int | None = 2048 * MIB,
) -> Watched:
    """One process with all figures; ``bare``: one of which nothing is known yet."""
    id_ = ProcessId(pid, pid * 10)
    argv = ("node", f"/app/{process}.js", "--token=secret")
    found = Process(id_, argv, started_at=STARTED_AT, script=process, uid=1000)
    if bare:
        findings = Findings(Pressure(None, None), None, 0, 0.0)
        starting = judged or verdict(HealthState.STARTING)
        return Watched(found, Name(process, worker), Sample(id_, NOW), findings, starting)
    sample = Sample(
        id_,
        at=NOW,
        kernel=KernelFigures(NOW, 120 * MIB, 4096, 31_000, 7, 11),
        container=ContainerFigures(NOW, 512 * MIB, limit_bytes),
        heap=figures or heap(),
        sources={"procfs": True, "cgroup": True, "reporter": True},
    )
    findings = Findings(Pressure(60 / 1024, 0.25 if limit_bytes else None), 0.75, 1, 0.01)
    return Watched(found, Name(process, worker), sample, findings, judged or verdict())


def snapshot(
    *processes: Watched,
    wrappers: tuple[Process, ...] = (),
    last_tick_at: float | None = NOW,
    ledger: Ledger | None = None,
) -> Snapshot:
    """These processes, known to an agent that began a minute and a half ago."""
    return Snapshot(
        at=NOW,
        wall=1_700_000_500.0,
        processes=processes,
        wrappers=wrappers,
        agent_started_at=NOW - 90,
        last_tick_at=last_tick_at,
        ledger=ledger or Ledger(),
    )


def fleet(count: int) -> Snapshot:
    """So many processes, ten workers a name, all healthy and with all figures."""
    return snapshot(*(watched(f"service-{i // 10:04d}", str(i % 10), pid=1000 + i) for i in range(count)))
