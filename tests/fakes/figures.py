"""Samples and what they are made of, with figures of a small healthy app unless told otherwise."""

from collections.abc import Mapping

from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import ContainerFigures, GcKind, GcTotals, HeapFigures, Isolate, KernelFigures, Sample

MIB = 2**20


def process(pid: int = 100, start: int = 5_000, script: str = "server", **fields: object) -> Process:
    """A Node process."""
    argv = ("node", f"/app/{script}.js")
    return Process(ProcessId(pid, start), argv, started_at=1_700_000_000.0, script=script, **fields)  # type: ignore[arg-type]  fields are Process's own


def isolate(
    used_mib: float = 40,
    limit_mib: float = 1_000,
    *,
    thread: int = 0,
    taken_at: float = 1_000.0,
    total_mib: float = 60,
    gc: Mapping[GcKind, GcTotals] | None = None,
) -> Isolate:
    """One heap; ``limit_mib`` is the effective limit."""
    return Isolate(
        thread=thread,
        taken_at=taken_at,
        heap_used_bytes=int(used_mib * MIB),
        heap_total_bytes=int(total_mib * MIB),
        heap_limit_bytes=int((limit_mib + 48) * MIB),
        effective_limit_bytes=int(limit_mib * MIB),
        external_bytes=2 * MIB,
        array_buffers_bytes=MIB,
        malloced_bytes=MIB,
        native_contexts=1,
        detached_contexts=0,
        gc=gc or {},
    )


def majors(count: int, seconds: float) -> dict[GcKind, GcTotals]:
    """So many mark-compacts, that took so long together."""
    return {GcKind.MAJOR: GcTotals((0, 0, count, 0, 0, 0, 0), seconds)}


def heap(*isolates: Isolate, connected: bool = True) -> HeapFigures:
    """Figures of the reporter."""
    return HeapFigures("reporter", isolates, "20.20.2", "11.3.244.8-node.33", connected=connected)


def sample(
    *isolates: Isolate, at: float = 1_000.0, container: tuple[float, float | None] | None = None, connected: bool = True
) -> Sample:
    """A sample; ``container`` is (memory, limit) in MiB."""
    figures = None
    if container is not None:
        memory, limit = container
        figures = ContainerFigures(at, int(memory * MIB), None if limit is None else int(limit * MIB))
    kernel = KernelFigures(at, 80 * MIB, 0, 1_000, 2, 11)
    return Sample(
        ProcessId(100, 5_000), at, kernel, figures, heap(*isolates, connected=connected) if isolates else None
    )
