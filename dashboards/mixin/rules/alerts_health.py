"""Alerts about processes that do not do well: unhealthy, restarted again and again, busy collecting, blocked."""

from mixin.rules.alert import PERCENT, PROCESS, WHERE, WORKLOAD, Alert, Severity
from mixin.rules.links import FLEET
from mixin.rules.links import PROCESS as PROCESS_BOARD
from mixin.rules.promql import labels, per_process
from mixin.vocabulary import GC_SHARE, IDENTITY, PROCESS_EXITS, PROCESS_RESTARTS, PROCESSES, UNHEALTHY_1H, UNHEALTHY_5M

_BUDGET = 0.01
"""The objective is that 99 % of process-minutes are healthy ones."""
_BURN_RATE = 14.4
"""Two per cent of a month's budget in an hour."""
_MOST_UNHEALTHY = f"{_BUDGET * _BURN_RATE:g}"

# An hour shows that it matters, five minutes that it still goes on.
_BURN = f"""\
{UNHEALTHY_1H} > {_MOST_UNHEALTHY}
and
{UNHEALTHY_5M} > {_MOST_UNHEALTHY}
and
{PROCESSES} >= 5"""

# Its restarts by Heapwarden, or its deaths of another cause, after which somebody else brings it back. Not their sum: a
# process that is being restarted may die before it is asked.
_LOOP = f"""\
sum by ({labels(IDENTITY)}) (sum_over_time({PROCESS_RESTARTS}[15m])) >= 3
or
sum by ({labels(IDENTITY)}) (sum_over_time({PROCESS_EXITS}{{reason=~"heap_oom|cgroup_oom|crash"}}[15m])) >= 3"""

# A dry run spends a budget of its own, and what it holds back would not have been made. Budgets are shared by name.
_NAME = labels(label for label in IDENTITY if label != "worker")
_HELD = f"""\
heapwarden_restart_held{{code=~"budget|cooldown"}} == 1
unless on ({_NAME}) (
  heapwarden_restarts_total{{dry_run="true"}} unless on ({_NAME}) heapwarden_restarts_total{{dry_run="false"}}
)"""

HEALTH_ALERTS = (
    Alert(
        "UnhealthyBurn",
        Severity.CRITICAL,
        FLEET,
        "Unhealthy share of process minutes",
        f"Too many processes of {WORKLOAD} are unhealthy",
        f"{PERCENT} of the process-minutes of {WORKLOAD} in the last hour were unhealthy ones, at which load balancers "
        "send elsewhere, and it goes on. First see whether they have a reason in common: the fleet dashboard, or "
        "`reasons` in /healthz of one of them.",
        _BURN,
        lasts="2m",
        keep_firing_for="10m",
    ),
    Alert(
        "RestartLoop",
        Severity.WARNING,
        PROCESS_BOARD,
        "Restarts",
        f"{PROCESS} is restarted again and again",
        f"{PROCESS} {WHERE} has been restarted, or has died and come back, {{{{ $value | humanize }}}} times in 15 "
        "minutes. First see why: `heapwarden history --since 1h --kind restart --kind exit "
        "--process {{ $labels.process }}`.",
        per_process(_LOOP),
        lasts="5m",
        keep_firing_for="15m",
    ),
    Alert(
        "RestartBudgetSpent",
        Severity.WARNING,
        PROCESS_BOARD,
        "Restarts that are held",
        f"{PROCESS} needs a restart and may not have one",
        f"A rule wants {PROCESS} {WHERE} restarted; the {{{{ $labels.code }}}} of its restarts does not allow it, so "
        "it goes on towards its limit. First see what it was restarted for before: "
        "`heapwarden history --kind held --kind restart --process {{ $labels.process }}`.",
        per_process(_HELD, "code"),
        lasts="0m",
        keep_firing_for="15m",
    ),
    Alert(
        "GCThrashing",
        Severity.WARNING,
        PROCESS_BOARD,
        "Time in collections",
        f"{PROCESS} spends its time collecting garbage",
        f"{PROCESS} {WHERE} spends {PERCENT} of its time in garbage collections. First compare its live set with its "
        "heap limit: near to it, the heap is too small or leaks; far from it, the app allocates too much.",
        per_process(f"{GC_SHARE} > 0.2"),
        lasts="10m",
        keep_firing_for="10m",
    ),
    Alert(
        "EventLoopStalled",
        Severity.WARNING,
        PROCESS_BOARD,
        "Event loop delay",
        f"The event loop of {PROCESS} is blocked again and again",
        f"One in a hundred turns of the event loop of {PROCESS} {WHERE} is late by {{{{ $value | humanizeDuration }}}} "
        "or more, and all its requests wait as long. First compare with the time in collections on the dashboard: if "
        "that is low, code blocks the loop, and a CPU profile shows which.",
        per_process('heapwarden_eventloop_delay_seconds{quantile="0.99"} > 0.5'),
        lasts="10m",
        keep_firing_for="10m",
    ),
)
