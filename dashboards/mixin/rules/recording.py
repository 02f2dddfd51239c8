"""What is recorded so that panels over a whole fleet and alerts need not read every process's series."""

from mixin.rules.closest import CLOSEST
from mixin.rules.events import EVENTS
from mixin.rules.forecast import FORECAST
from mixin.rules.promql import aggregate, block, labels, named, per_workload
from mixin.rules.rule import Recording, RecordingGroup
from mixin.vocabulary import (
    GC_MAJOR_BUCKET,
    GC_SHARE,
    IDENTITY,
    LIMIT_UNUSED,
    PRESSURE,
    PROCESSES,
    PROCESSES_BY_STATE,
    RSS,
    STATES,
    UNHEALTHY_1H,
    UNHEALTHY_5M,
    WORKLOAD,
)

_JUDGED = f'{PROCESSES_BY_STATE}{{state!~"unknown|starting"}}'
_UNHEALTHY = f'{PROCESSES_BY_STATE}{{state="unhealthy"}}'


def _of_processes(operator: str, expression: str) -> str:
    """``expression`` of each process, aggregated to its workload by ``sum``, ``max`` or ``count``."""
    once_more = "sum" if operator == "count" else operator
    return per_workload(once_more, f"{operator} by ({labels(named(()))}) ({expression})")


def _in_state(value: int, state: str) -> Recording:
    """A count for every state, 0 too: a sum over time needs it."""
    return Recording(
        PROCESSES_BY_STATE, _of_processes("sum", f"heapwarden_health_state == bool {value}"), {"state": state}
    )


def _unhealthy_share(time: str) -> str:
    unhealthy, judged = (
        f"sum by ({labels(WORKLOAD)}) (sum_over_time({series}[{time}]))" for series in (_UNHEALTHY, _JUDGED)
    )
    return f"{unhealthy}\n/\n({judged} > 0)"


_LIMIT_UNUSED = """\
clamp_min(
  heapwarden_container_limit_bytes - max_over_time(heapwarden_container_memory_bytes[1h]),
  0
)"""
# Processes that share a container each repeat its figures, so one of them is taken. Those of a pod share it, unless an
# agent of the node names containers; on a host nobody tells, and each name is taken for a container of its own.
_HOME = ("cluster", "namespace", "workload", "pod", "instance", "container")
_OF_NAMES = aggregate("min", (*_HOME, "process"), _LIMIT_UNUSED)
_NAMED = f'label_replace(\n{block(_OF_NAMES)},\n  "name", "$1", "process", "(.+)"\n)'
_NAMED_ON_HOSTS = f'label_replace(\n{block(_NAMED)},\n  "name", "", "pod", ".+"\n)'
_LIMIT_UNUSED_ONCE = aggregate(
    "sum", named(()), f"bottomk by ({labels((*_HOME, 'name'))}) (\n  1,\n{block(_NAMED_ON_HOSTS)}\n)"
)

_GC_MAJOR = 'rate(heapwarden_gc_duration_seconds_bucket{kind=~"major|incremental"}[5m])'

# The histogram counts the collections of all isolates of a process.
_GC_SHARE = f"""\
sum by ({labels(IDENTITY)}) (rate(heapwarden_gc_duration_seconds_sum[5m]))
/
clamp_min(max by ({labels(IDENTITY)}) (heapwarden_isolates), 1)"""

GROUPS: tuple[RecordingGroup, ...] = (
    RecordingGroup(
        "heapwarden-fleet",
        "30s",
        (
            Recording(PROCESSES, _of_processes("count", "heapwarden_health_state")),
            *(_in_state(value, state) for value, state in enumerate(STATES)),
            Recording(PRESSURE, _of_processes("max", "heapwarden_pressure_ratio")),
            Recording(RSS, _of_processes("sum", "heapwarden_rss_bytes")),
            Recording(UNHEALTHY_5M, _unhealthy_share("5m")),
            Recording(UNHEALTHY_1H, _unhealthy_share("1h")),
        ),
    ),
    RecordingGroup(
        "heapwarden-memory",
        "1m",
        (Recording(LIMIT_UNUSED, per_workload("sum", _LIMIT_UNUSED_ONCE)), *FORECAST),
    ),
    RecordingGroup(
        "heapwarden-collections",
        "1m",
        (
            Recording(GC_MAJOR_BUCKET, per_workload("sum", f"sum by ({labels(named(('le',)))}) ({_GC_MAJOR})", "le")),
            Recording(GC_SHARE, _GC_SHARE),
        ),
    ),
    RecordingGroup("heapwarden-events", "1m", EVENTS),
    RecordingGroup("heapwarden-closest", "1m", CLOSEST),
)
