"""Names that dashboards and rules share: labels, and what the recording rules record."""

WORKLOAD = ("cluster", "namespace", "workload")
"""``workload`` is relabelled at the scrape; a recorded series has the process's name in it where there is none."""
IDENTITY = ("cluster", "namespace", "workload", "pod", "instance", "process", "worker")
"""One process. On a host without Kubernetes the first four are absent, and ``instance`` tells the hosts apart. A series
that is recorded by IDENTITY has ``workload`` as it was scraped, so that it joins with what was scraped."""
AGENT_JOB = ".*heapwarden.*"
"""Matches the job of the agents, whether a scrape config or a PodMonitor names it."""

STATES = ("unknown", "starting", "healthy", "degraded", "unhealthy", "draining", "restarting")
"""Values of ``heapwarden_health_state``, 0 first."""

# Recorded series: level:metric:operation. By WORKLOAD unless said otherwise.
PROCESSES = "workload:heapwarden_processes:count"
PROCESSES_BY_STATE = "workload_state:heapwarden_processes:count"
"""With ``state``, one of STATES."""
PRESSURE = "workload:heapwarden_pressure_ratio:max"
RSS = "workload:heapwarden_rss_bytes:sum"
LIMIT_UNUSED = "workload:heapwarden_limit_unused_bytes:sum"
"""Memory paid for and not used: each container's limit less the peak of its memory over the last hour."""
UNHEALTHY_5M = "workload:heapwarden_unhealthy:avg5m"
"""Share of judged process-minutes that were unhealthy ones. Judged are all processes but those unknown and starting."""
UNHEALTHY_1H = "workload:heapwarden_unhealthy:avg1h"
EXITS = "workload_reason:heapwarden_exits:increase1m"
"""With ``reason``: events of the last minute, recorded each minute, so that ``sum_over_time`` counts them over a range.
A series that is born with its first event counts with its value, as ``increase`` would not have it."""
RESTARTS = "workload_reason:heapwarden_restarts:increase1m"
"""The same; dry runs left out."""
PROCESS_EXITS = "process_reason:heapwarden_exits:increase1m"
PROCESS_RESTARTS = "process_reason:heapwarden_restarts:increase1m"
"""The same by IDENTITY and ``reason``."""
GC_MAJOR_BUCKET = "workload_le:heapwarden_gc_major_duration_seconds_bucket:rate5m"
"""With ``le``; kinds major and incremental. Collections per second."""
GC_SHARE = "process:heapwarden_gc:ratio_rate5m"
"""By IDENTITY: share of wall time in collections, the average of its isolates."""
LIMIT_ETA = "process:heapwarden_limit_eta_seconds:min"
"""By IDENTITY: time to the nearer limit by the growth of the live set or of the container's memory, in the last 30
minutes or the last ten, whichever is slower; absent while nothing grows, where it is more than a day, and in a
process's first ten minutes."""
CLOSEST_PRESSURE = "process:heapwarden_pressure_ratio:top10"
"""By IDENTITY: pressure of the ten processes of each workload that are closest to their limit; and of the same ones"""
CLOSEST_HEAP = "process:heapwarden_heap_use:top10"
"""used heap of the main thread over its effective limit,"""
CLOSEST_CONTAINER = "process:heapwarden_container_use:top10"
"""memory of the container over its limit,"""
CLOSEST_STATE = "process:heapwarden_health_state:top10"
"""the verdict on their health, and"""
CLOSEST_AGE = "process:heapwarden_age_seconds:top10"
"""how long they have been running."""
