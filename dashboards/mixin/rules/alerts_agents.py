"""Alerts about what the others rest upon: that agents run, are heard, and cost little."""

from mixin.rules.alert import PERCENT, PROCESS, WHERE, Alert, Severity
from mixin.rules.links import AGENT
from mixin.rules.links import PROCESS as PROCESS_BOARD
from mixin.rules.promql import aggregate, labels, per_process
from mixin.vocabulary import AGENT_JOB, IDENTITY

# Processes that procfs can't see (another PID namespace) have no series of that source, and count as up.
_STALE = f"""\
heapwarden_sample_age_seconds > 120
unless on ({labels(IDENTITY)})
heapwarden_up{{source="procfs"}} == 0"""

# Under these names an agent tells of itself; /metrics/prom-client tells of apps, each with its label process.
_OWN = f'{{job=~"{AGENT_JOB}", process=""}}'
_MOST_CORES = 0.05
_MOST_MEBIBYTES = 80
_OVERHEAD = f"""\
label_replace(
  rate(process_cpu_seconds_total{_OWN}[10m]) / {_MOST_CORES},
  "resource", "CPU", "", ""
)
or
label_replace(
  process_resident_memory_bytes{_OWN} / ({_MOST_MEBIBYTES} * 1024 * 1024),
  "resource", "memory", "", ""
)"""

# Where discovery finds no agent any more, no target of the job is there to be down: it is known from an hour and from a
# day ago.
_UP = f'up{{job=~"{AGENT_JOB}"}}'
_DOWN = f"""\
avg by (cluster, job) ({_UP} == bool 0) > 0.1
or
group by (cluster, job) ({_UP} offset 1h or {_UP} offset 1d) unless group by (cluster, job) ({_UP})"""

AGENT_ALERTS = (
    Alert(
        "FiguresStale",
        Severity.WARNING,
        PROCESS_BOARD,
        "Age of V8's figures",
        f"The heap figures of {PROCESS} are stale",
        f"{PROCESS} {WHERE} runs, but its newest heap figures are {{{{ $value | humanizeDuration }}}} old: its event "
        "loop does not turn, or its reporter has lost the agent. Until they come again its heap is not guarded. First "
        "see which: `heapwarden top` says it below the table.",
        per_process(_STALE, "job"),
        lasts="10m",
        keep_firing_for="5m",
    ),
    Alert(
        "AgentDown",
        Severity.WARNING,
        AGENT,
        "Agents down",
        "Agents of {{ $labels.job }} are down",
        f"{PERCENT} of the agents of {{{{ $labels.job }}}} can't be scraped, or are not looked for any more. What they "
        "watch is not seen meanwhile, and no other alert speaks for it. First see the error at Prometheus' page of "
        "targets, then the log of one.",
        _DOWN,
        lasts="15m",
        keep_firing_for="5m",
    ),
    Alert(
        "AgentOverhead",
        Severity.INFO,
        AGENT,
        "CPU",
        "An agent costs more {{ $labels.resource }} than it should",
        f"The agent {WHERE} uses {PERCENT} of the {{{{ $labels.resource }}}} that it should cost "
        f"({_MOST_CORES} of a core, {_MOST_MEBIBYTES} MiB). First see how many processes it watches, and whether its "
        "ticks are late.",
        f"{aggregate('max', ('cluster', 'namespace', 'pod', 'job', 'instance', 'resource'), _OVERHEAD)} > 1",
        lasts="30m",
    ),
)
