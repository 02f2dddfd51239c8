"""Processes as JSON. Bytes are integers, times are seconds, ratios have 1.0 as all of it; what is unknown is null.

A command line is never shown: it may hold secrets, and these pages ask for no password.
"""

from collections.abc import Iterable
from typing import Any

from heapwarden.domain.checkup import Checkup
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.place import Place
from heapwarden.domain.restart import Restart
from heapwarden.domain.sample import HeapFigures, Isolate, LoopDelay
from heapwarden.domain.snapshot import Held, Snapshot, Watched

Json = dict[str, Any]


def memory_usage(processes: Iterable[Watched]) -> Json:
    """What ``process.memoryUsage()`` gives, summed: rss from the kernel, the rest of the main threads' heaps."""
    rss = total = used = external = buffers = 0
    kernels = heaps = 0
    for watched in processes:
        sample = watched.sample
        if sample.kernel is not None:
            kernels += 1
            rss += sample.kernel.rss_bytes
        main = main_isolate(sample.heap)
        if main is not None:
            heaps += 1
            total += main.heap_total_bytes
            used += main.heap_used_bytes
            external += main.external_bytes
            buffers += main.array_buffers_bytes
    return {
        "rss": rss if kernels else None,
        "heapTotal": total if heaps else None,
        "heapUsed": used if heaps else None,
        "external": external if heaps else None,
        "arrayBuffers": buffers if heaps else None,
    }


def brief(watched: Watched, snapshot: Snapshot, now: float) -> Json:
    """What a health check tells of one process."""
    sample, verdict, pressure = watched.sample, watched.verdict, watched.findings.pressure
    main = main_isolate(sample.heap)
    container = sample.container
    return {
        "process": watched.name.process,
        "worker": watched.name.worker,
        "pid": pid_of(watched.process.id),
        "status": verdict.state.label,
        "serving": verdict.serving,
        "stateAge": _rounded(now - verdict.since),
        "sampleAge": _rounded(sample.heap_age_seconds(now)),
        "reasons": [{"code": reason.code, "text": reason.text} for reason in verdict.reasons],
        "restart": next((restart(one, now) for one in snapshot.restarts if one.process == watched.process.id), None),
        "held": _held(watched.held),
        "pressure": {
            "ratio": _rounded(pressure.ratio),
            "nearer": pressure.nearer,
            "level": pressure.level,
            "heap": _rounded(pressure.heap_ratio),
            "container": _rounded(pressure.container_ratio),
        },
        "memoryUsage": memory_usage((watched,)),
        "heapLimit": None if main is None else main.heap_limit_bytes,
        "heapEffectiveLimit": None if main is None else main.effective_limit_bytes,
        "containerMemory": None if container is None else container.memory_bytes,
        "containerLimit": None if container is None else container.limit_bytes,
    }


def full(watched: Watched, snapshot: Snapshot, now: float) -> Json:
    """All that is known of one process."""
    process, sample, findings, heap = watched.process, watched.sample, watched.findings, watched.sample.heap
    kernel = sample.kernel
    return brief(watched, snapshot, now) | {
        "script": process.script,
        "role": process.role,
        "uid": process.uid,
        "pod": _pod(watched.place),
        "startedAt": process.started_at,
        "sources": dict(sample.sources),
        "swap": None if kernel is None else kernel.swap_bytes,
        "threads": None if kernel is None else kernel.threads,
        "pageFaults": None if kernel is None else {"minor": kernel.minor_faults, "major": kernel.major_faults},
        "heapTotalRatio": _rounded(findings.heap_total_ratio),
        "markCompacts": findings.mark_compacts,
        "markCompactShare": _rounded(findings.mark_compact_share),
        **_heap(heap, snapshot, now),
        **_checkup(watched.checkup),
    }


def wrapper(process: Process) -> Json:
    """A package manager in front of an app."""
    return {"pid": pid_of(process.id), "script": process.script, "role": process.role, "startedAt": process.started_at}


def restart(under_way: Restart, now: float) -> Json:
    """A restart that is under way; ``since`` is when it was decided, Unix time."""
    return {
        "id": under_way.id,
        "process": under_way.name.process,
        "worker": under_way.name.worker,
        "pid": pid_of(under_way.process),
        "stage": under_way.stage,
        "stageAge": _rounded(now - under_way.stage_since),
        "reason": under_way.trigger.reason,
        "text": under_way.trigger.text,
        "method": under_way.plan.method,
        "since": under_way.wall,
        "note": under_way.note,
    }


def pid_of(process: ProcessId) -> int | None:
    """None where the process lives in a PID namespace that the agent can't see into."""
    return process.pid if process.visible else None


def _held(held: Held | None) -> Json | None:
    """Why a restart that a rule wants is not made."""
    if held is None:
        return None
    return {"code": held.code, "text": held.text, "reason": held.trigger.reason, "wanted": held.trigger.text}


def _pod(place: Place | None) -> Json | None:
    """None of a process that is in no pod, or where that is not known."""
    if place is None or not place.pod:
        return None
    return {"namespace": place.namespace, "name": place.pod, "uid": place.uid, "container": place.container}


def _checkup(found: Checkup) -> Json:
    """Names of options and sizes alone: the values of others may be secret."""
    flags = found.flags
    return {
        "problems": [
            {"code": one.code, "severity": one.severity, "text": one.text, "remedy": one.remedy}
            for one in found.problems
        ],
        "setup": None
        if flags is None
        else {
            "heapKnown": found.heap_known,
            "heapLimitFrom": found.limit_from,
            "heapOptions": [{"option": one.option, "value": one.value, "from": one.origin} for one in flags],
            "nodeOptions": None if found.options is None else list(found.options),
        },
    }


def _heap(heap: HeapFigures | None, snapshot: Snapshot, now: float) -> Json:
    if heap is None:
        return dict.fromkeys(("node", "v8", "source", "reporter", "connected", "sampledAt", "loop")) | {
            "gc": {},
            "isolates": [],
        }
    taken = heap.taken_at
    return {
        "node": heap.node_version,
        "v8": heap.v8_version,
        "source": heap.source,
        "reporter": heap.reporter_version,
        "connected": heap.connected,
        "sampledAt": None if taken is None else taken - snapshot.agent_started_at,
        "loop": None if (main := main_isolate(heap)) is None else _loop(main.loop),
        "gc": {
            kind: {"count": totals.count, "seconds": totals.seconds, "reclaimed": totals.reclaimed_bytes}
            for kind, totals in heap.gc().items()
        },
        "isolates": [_isolate(isolate, now) for isolate in heap.isolates],
    }


def _isolate(isolate: Isolate, now: float) -> Json:
    return {
        "thread": isolate.thread,
        "sampleAge": _rounded(now - isolate.taken_at),
        "heapUsed": isolate.heap_used_bytes,
        "heapTotal": isolate.heap_total_bytes,
        "heapLimit": isolate.heap_limit_bytes,
        "heapEffectiveLimit": isolate.effective_limit_bytes,
        "heapLive": isolate.live_bytes,
        "external": isolate.external_bytes,
        "arrayBuffers": isolate.array_buffers_bytes,
        "malloced": isolate.malloced_bytes,
        "nativeContexts": isolate.native_contexts,
        "detachedContexts": isolate.detached_contexts,
        "spaces": {
            space.name: {"size": space.size_bytes, "used": space.used_bytes, "available": space.available_bytes}
            for space in isolate.spaces
        },
        "loop": _loop(isolate.loop),
    }


def _loop(loop: LoopDelay | None) -> Json | None:
    if loop is None:
        return None
    return {
        "p50": loop.p50_seconds,
        "p99": loop.p99_seconds,
        "max": loop.max_seconds,
        "utilization": loop.utilization_ratio,
    }


def main_isolate(heap: HeapFigures | None) -> Isolate | None:
    """``heap.main`` in a quarter of the time: a health check of a thousand processes asks a thousand times."""
    isolates = heap.isolates if heap is not None else ()
    return isolates[0] if isolates and isolates[0].thread == 0 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
