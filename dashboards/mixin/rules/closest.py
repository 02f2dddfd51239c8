"""The processes of each workload that are closest to their limit, so that a table of them need not read all series.

Of ten thousand processes each of its columns would take up to a second. Ten of a workload are enough to see who they
are; where a workload has processes of several names, ten of each.
"""

from mixin.rules.promql import aggregate, labels
from mixin.rules.rule import Recording
from mixin.vocabulary import (
    CLOSEST_AGE,
    CLOSEST_CONTAINER,
    CLOSEST_HEAP,
    CLOSEST_PRESSURE,
    CLOSEST_STATE,
    IDENTITY,
    WORKLOAD,
)

MOST = 10


def _closest() -> str:
    pressure = f"max by ({labels(IDENTITY)}) (heapwarden_pressure_ratio)"
    return f"topk by ({labels((*WORKLOAD, 'process'))}) (\n  {MOST},\n  {pressure}\n)"


def _of_these(figure: str) -> str:
    """A figure of these processes alone, by IDENTITY."""
    return aggregate("max", IDENTITY, f"{figure}\nand on ({labels(IDENTITY)}) {CLOSEST_PRESSURE}")


_HEAP = 'heapwarden_heap_used_bytes{thread="main"} / heapwarden_heap_effective_limit_bytes{thread="main"}'

CLOSEST = (
    Recording(CLOSEST_PRESSURE, _closest()),
    Recording(CLOSEST_HEAP, _of_these(_HEAP)),
    Recording(CLOSEST_CONTAINER, _of_these("heapwarden_container_memory_bytes / heapwarden_container_limit_bytes")),
    Recording(CLOSEST_STATE, _of_these("heapwarden_health_state")),
    Recording(CLOSEST_AGE, _of_these("time() - heapwarden_process_start_time_seconds")),
)
