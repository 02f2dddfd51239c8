"""Alerts about memory limits: near, imminent, hit, and set so that they can't protect."""

from mixin.rules.alert import PERCENT, PROCESS, WHERE, WORKLOAD, Alert, Severity
from mixin.rules.links import FLEET
from mixin.rules.links import PROCESS as PROCESS_BOARD
from mixin.rules.promql import labels, per_process
from mixin.vocabulary import EXITS, IDENTITY, LIMIT_ETA
from mixin.vocabulary import WORKLOAD as BY_WORKLOAD

_IMMINENT_SECONDS = 900

# Garbage makes no alarm: a heap that stays above .97 in spite of V8's collections is full, and the time to the limit
# goes by the live set.
_IMMINENT = f"""\
heapwarden_pressure_ratio > 0.97
or
(
  heapwarden_pressure_ratio > 0.85
  and on ({labels(IDENTITY)})
  {LIMIT_ETA} < {_IMMINENT_SECONDS}
)"""

# What the container would hold if this heap alone grew up to its limit and all else stayed as it is: other processes,
# worker threads (whose limits are defaults that hardly any of them comes near), buffers. So it does not fire for limits
# that could be hit.
_UNREACHABLE = """\
(
  (heapwarden_heap_effective_limit_bytes{thread="main"} - heapwarden_heap_total_bytes{thread="main"})
  + ignoring (thread)
  heapwarden_container_memory_bytes
)
/ heapwarden_container_limit_bytes > 1"""

LIMIT_ALERTS = (
    Alert(
        "NearLimit",
        Severity.WARNING,
        PROCESS_BOARD,
        "Memory by its parts",
        f"{PROCESS} is near its memory limit",
        f"{PROCESS} {WHERE} has been above 90 % of the nearer of its heap and container limits for 15 minutes, and is "
        f"now at {PERCENT}. First see which limit it is, and whether use still grows: the dashboard, or "
        "`heapwarden top`.",
        per_process("heapwarden_pressure_ratio > 0.9"),
        lasts="15m",
        keep_firing_for="15m",
    ),
    Alert(
        "LimitImminent",
        Severity.CRITICAL,
        PROCESS_BOARD,
        "Memory by its parts",
        f"{PROCESS} is about to die of memory",
        f"{PROCESS} {WHERE} is at {PERCENT} of its nearer memory limit, and all but full, or growing so fast that it "
        "is full within 15 minutes. First restart it in good order, before the kernel or V8 ends it: "
        f"`heapwarden restart {{{{ $labels.process }}}} --worker {{{{ $labels.worker }}}}`.",
        per_process(_IMMINENT),
        lasts="2m",
        keep_firing_for="5m",
    ),
    Alert(
        "OOMExits",
        Severity.CRITICAL,
        FLEET,
        "Exits by reason",
        f"{WORKLOAD} keeps dying of memory",
        f"{{{{ $value | humanize }}}} times in 30 minutes a process of {WORKLOAD} has died of a full heap or at its "
        "container's limit. First see which of the two, by reason on the dashboard or in "
        "`heapwarden history --kind exit`: a full heap wants a leak fixed or a larger --max-old-space-size, the "
        "container's limit a smaller heap or a larger container.",
        f'sum by ({labels(BY_WORKLOAD)}) (sum_over_time({EXITS}{{reason=~"heap_oom|cgroup_oom"}}[30m])) >= 3',
        lasts="0m",
        keep_firing_for="15m",
    ),
    Alert(
        "HeapLimitAboveContainer",
        Severity.WARNING,
        PROCESS_BOARD,
        "Heap limit as a share of the container's",
        f"The kernel would kill {PROCESS} before its heap is full",
        f"Were its heap to grow to its limit, the container of {PROCESS} {WHERE} would be at {PERCENT} of its own "
        "limit, even if nothing else in it grew. V8 collects hard only near its own limit, so the kernel would kill it "
        "with garbage in its heap. First lower --max-old-space-size in NODE_OPTIONS, or raise the container's limit.",
        per_process(_UNREACHABLE),
        lasts="30m",
        keep_firing_for="1h",
    ),
)
