"""What Fleet's queries would be without recording rules, by panel and letter.

Written as one would write them by hand over the series that are scraped. What is not named here asks for alerts, or for
more than one would ask of these.
"""

WORKLOAD = "cluster, namespace, workload"
UNUSED = "clamp_min(heapwarden_container_limit_bytes - max_over_time(heapwarden_container_memory_bytes[1h]), 0)"
MAJOR = 'heapwarden_gc_duration_seconds_bucket{kind=~"major|incremental"}'
PRESSURE = f"max by ({WORKLOAD}) (heapwarden_pressure_ratio)"
ENDS, OOM = "heapwarden_exits_total", 'heapwarden_exits_total{reason=~"heap_oom|cgroup_oom"}'
MADE = 'heapwarden_restarts_total{dry_run="false"}'
LIVE, LIMIT = "heapwarden_heap_live_bytes", "heapwarden_heap_effective_limit_bytes"
GC_SECONDS = "heapwarden_gc_duration_seconds_sum"
PROCESS = f"{WORKLOAD}, pod, process, worker"
WORST = "topk(50, heapwarden_pressure_ratio)"
HEAP = f'heapwarden_heap_used_bytes{{thread="main"}} / {LIMIT}{{thread="main"}}'
CONTAINER = "heapwarden_container_memory_bytes / heapwarden_container_limit_bytes"


def _beside(figure: str) -> str:
    return f"{figure} and on ({PROCESS}) {WORST}"


def _most(counter: str) -> str:
    return f"topk(20, sum by ({WORKLOAD}, reason) (increase({counter}[$__range])) > 0)"


RAW: dict[tuple[str, str], str] = {
    ("Processes", "A"): "count(heapwarden_health_state)",
    ("Unhealthy", "A"): "count(heapwarden_health_state == 4)",
    ("Highest pressure", "A"): "max(heapwarden_pressure_ratio)",
    ("Out of memory", "A"): f"sum(increase({OOM}[$__range]))",
    ("Restarts", "A"): f"sum(increase({MADE}[$__range]))",
    ("Health", "A"): 'count by (state) (count_values by (pod) ("state", heapwarden_health_state))',
    ("Worst workloads by pressure", "A"): f"{PRESSURE} and topk(10, {PRESSURE.replace('ratio', 'ratio @ end()')})",
    ("Closest to their limit", "A"): WORST,
    ("Closest to their limit", "B"): _beside(HEAP),
    ("Closest to their limit", "C"): _beside(CONTAINER),
    ("Closest to their limit", "D"): f"{HEAP} > bool ignoring (thread) {CONTAINER} and on ({PROCESS}) {WORST}",
    ("Closest to their limit", "E"): _beside("heapwarden_health_state"),
    ("Closest to their limit", "F"): _beside("time() - heapwarden_process_start_time_seconds"),
    ("Time to the limit", "A"): f"bottomk(20, ({LIMIT} - {LIVE}) / (deriv({LIVE}[30m]) > 0))",
    ("Pressure across workloads", "A"): f"quantile(0.5, {PRESSURE})",
    ("Pressure across workloads", "B"): f"quantile(0.9, {PRESSURE})",
    ("Pressure across workloads", "C"): "max(heapwarden_pressure_ratio)",
    ("Exits by reason", "A"): f"sum by (reason) (increase({ENDS}[$__rate_interval]))",
    ("Restarts by reason", "A"): f"sum by (reason) (increase({MADE}[$__rate_interval]))",
    ("Most exits out of memory", "A"): _most(OOM),
    ("Most restarts", "A"): _most(MADE),
    ("Resident memory by namespace", "A"): "sum by (namespace) (heapwarden_rss_bytes)",
    ("Paid for and not used, by namespace", "A"): f"sum by (namespace) ({UNUSED})",
    ("Paid for and not used, by workload", "A"): f"topk(20, sum by ({WORKLOAD}) ({UNUSED}))",
    ("Paid for and not used, by workload", "B"): f"sum by ({WORKLOAD}) (heapwarden_rss_bytes)",
    ("Major pauses", "A"): f"sum by (le) (rate({MAJOR}[5m]))",
    ("Most time in collections", "A"): f"topk(20, sum by ({PROCESS}) (rate({GC_SECONDS}[5m])))",
    ("Unhealthy share of process minutes", "A"): "avg(avg_over_time((heapwarden_health_state == bool 4)[5m:30s]))",
    ("Unhealthy share of process minutes", "B"): "avg(avg_over_time((heapwarden_health_state == bool 4)[1h:30s]))",
}
