"""The collapsed rows of Fleet."""

from mixin.boards.asking import FLEET, buckets, by_process, count_recorded, of_fleet, over, rows, selector
from mixin.boards.fleet_glance import FIRING, OOM
from mixin.boards.panels import Panel, about, as_line, bars, colored, lines, option, quiet, spread, stacked, with_marks
from mixin.boards.style import BLUE, ORANGE, REASON_COLORS, RESTART_COLORS, SKY, VERMILION
from mixin.boards.tables import bar, listing, merged, with_links, without_time
from mixin.vocabulary import (
    EXITS,
    GC_MAJOR_BUCKET,
    GC_SHARE,
    LIMIT_ETA,
    LIMIT_UNUSED,
    PRESSURE,
    PROCESSES_BY_STATE,
    RESTARTS,
    RSS,
    UNHEALTHY_1H,
)


def pressure() -> tuple[Panel, ...]:
    """Who gets there next."""
    table = listing(
        "Time to the limit",
        about(
            "How long each process has until its nearer limit if it goes on growing as in the last half hour, or as in "
            "the last ten minutes where that is slower. The twenty with the least time; what does not grow is not "
            "listed.",
            normal="empty, or many hours. Just after a start or a deployment every process grows for a while.",
            act="below an hour, open the process and see whether its live set grows too. If it does, plan a restart, "
            "and look for the leak.",
        ),
        rows(f"sort(bottomk(20, {by_process(LIMIT_ETA)}))"),
        sort="Time left",
        descending=False,
    )
    table.override_by_name("Value", [option("displayName", "Time left"), option("unit", "s")])
    spread_over = lines(
        "Pressure across workloads",
        about(
            "The highest pressure of each workload: the median of these, the 90th percentile and the highest.",
            normal="the three lines keep their distance.",
            act="where all rise together, look for a change that all share: a deployment, a base image, more load. "
            "Where the highest alone rises, it is one workload: see Worst workloads.",
        ),
        "percentunit",
        *(over(f"quantile({share}, {of_fleet(PRESSURE)})", name) for share, name in _QUANTILES),
    )
    colored(spread_over, {"median": SKY, "90th percentile": BLUE, "highest": ORANGE})
    return quiet(with_links(without_time(table))), with_marks(spread_over, 0.8, 0.9)


_QUANTILES = ((0.5, "median"), (0.9, "90th percentile"), (1, "highest"))


def alerts() -> tuple[Panel, ...]:
    """What fires, by name and place."""
    table = listing(
        "Alerts that fire",
        about(
            "Alerts of Heapwarden that fire now, with what they name. Only those that Prometheus evaluates: where "
            "Grafana does, see its own list of alerts.",
            normal="empty.",
            act="read the alert's page in docs/runbooks, and click the process where one is named.",
        ),
        rows(FIRING),
        sort="severity",
    )
    hidden = option("custom.hidden", True)
    for column in ("Value", "alertstate"):
        table.override_by_name(column, [hidden])
    return (quiet(with_links(without_time(table), "process")),)


def exits() -> tuple[Panel, ...]:
    """What ended, and what was ended in time."""
    ended = lines(
        "Exits by reason",
        about(
            "Ends of processes by their cause, in each step of the graph.",
            normal="clean and memory_restart only.",
            act="heap_oom: V8 ran into its heap limit. cgroup_oom: the kernel killed it at the container's limit, so "
            "the heap limit may be too large for the container. crash: see the app's log at that time.",
        ),
        "none",
        over(f"sum by (reason) ({count_recorded(EXITS)}) > 0", "{{reason}}"),
    )
    restarted = lines(
        "Restarts by reason",
        about(
            "Restarts that Heapwarden made, by the rule that asked for them, in each step of the graph.",
            normal="now and then, never many at once.",
            act="a steady rhythm is a leak that the restarts hide. Look for the workload below.",
        ),
        "none",
        over(f"sum by (reason) ({count_recorded(RESTARTS)}) > 0", "{{reason}}"),
    )
    return (
        quiet(colored(bars(ended), REASON_COLORS)),
        quiet(colored(bars(restarted), RESTART_COLORS)),
        _most("Most exits out of memory", EXITS, "died for want of memory", reason=OOM),
        _most("Most restarts", RESTARTS, "Heapwarden restarted"),
    )


def _most(title: str, series: str, what: str, **reasons: str) -> Panel:
    table = listing(
        title,
        about(
            f"Workloads whose processes {what} in the time range, the most frequent first.",
            normal="empty.",
            act="choose the workload at the top: Closest to their limit then has its processes, each with a link.",
        ),
        rows(
            f"topk(20, sum by (cluster, namespace, workload, reason)"
            f" ({count_recorded(series, '$__range', **reasons)}) > 0)"
        ),
        sort="Times",
        span=12,
    )
    return quiet(without_time(table.override_by_name("Value", [option("displayName", "Times"), option("decimals", 0)])))


def memory() -> tuple[Panel, ...]:
    """Where memory goes, and where it is paid for in vain."""
    return (
        stacked(
            "Resident memory by namespace",
            about(
                "Memory that the kernel holds for the watched processes.",
                normal="follows the number of processes.",
                act="where it grows and the number of processes does not, look at Worst workloads above.",
            ),
            "bytes",
            over(_by_namespace(RSS), "{{namespace}}"),
        ),
        stacked(
            "Paid for and not used, by namespace",
            about(
                "Limits of containers less the peak of their memory over the last hour.",
                normal="a quarter or so of the limits: room for a peak.",
                act="where it is more than is used, lower the request and the limit of these workloads; see the table.",
            ),
            "bytes",
            over(_by_namespace(LIMIT_UNUSED), "{{namespace}}"),
        ),
        _idle(),
    )


def _by_namespace(series: str) -> str:
    """A host without Kubernetes has no namespace; its part gets a name that can be read."""
    total = f"sum by (namespace) ({of_fleet(series)})"
    return f'label_replace({total}, "namespace", "(none)", "namespace", "")'


def _idle() -> Panel:
    table = listing(
        "Paid for and not used, by workload",
        about(
            "The twenty workloads with the most memory between their limits and their peak of the last hour.",
            normal="large workloads stand at the top, each with room for one peak.",
            act="hold the figure against what the workload uses: where it never used half of its limit, halve it, "
            "and set the heap limit to fit.",
        ),
        rows(f"topk(20, sum by (cluster, namespace, workload) ({of_fleet(LIMIT_UNUSED)}))"),
        rows(f"sum by (cluster, namespace, workload) ({of_fleet(RSS)})"),
        sort="Not used",
    )
    table.override_by_name("Value #A", [option("displayName", "Not used"), option("unit", "bytes")])
    table.override_by_name("Value #B", [option("displayName", "Resident"), option("unit", "bytes")])
    return merged(table)


def gc() -> tuple[Panel, ...]:
    """How long the fleet stands still for its collections."""
    table = listing(
        "Most time in collections",
        about(
            "The twenty processes that spend the largest share of their time in garbage collections.",
            normal="below 5 %.",
            act="above 20 % a process does little else: its heap is nearly full or its limit too small. Open it, and "
            "compare used heap, live set and limit.",
        ),
        rows(f"topk(20, {by_process(GC_SHARE)})"),
        sort="Share of time",
        span=12,
    )
    table.override_by_name("Value", [option("displayName", "Share of time"), *bar(0.1, 0.2)])
    pauses = spread(
        "Major pauses",
        about(
            "How long mark-compacts and steps of incremental marking stopped a thread: collections per second.",
            normal="most are below 25 ms, nearly all below 100 ms.",
            act="a band that moves up means larger heaps or busier machines: see which processes below.",
        ),
        buckets(f"sum by (le) ({of_fleet(GC_MAJOR_BUCKET)})"),
    ).height(10)
    return pauses, with_links(without_time(table))


def _share(window: str) -> str:
    """Of all judged minutes of all processes in the window, those that were unhealthy."""
    unhealthy = of_fleet(PROCESSES_BY_STATE, state="unhealthy")
    judged = selector(PROCESSES_BY_STATE, 'state!~"unknown|starting"', FLEET)
    return f"sum(sum_over_time({unhealthy}[{window}])) / (sum(sum_over_time({judged}[{window}])) > 0)"


def slo() -> tuple[Panel, ...]:
    """How fast the objective is used up."""
    burn = lines(
        "Unhealthy share of process minutes",
        about(
            "The share of judged process minutes that were unhealthy, over all chosen workloads: of the last five "
            "minutes and of the last hour. The worst workload is the dashed one.",
            normal="below 1 %: the objective.",
            act="at 14.4 % a month's allowance is gone in two days, and an alert pages. Look for the state that grows "
            "in Health, and for the workload in the table beside.",
        ),
        "percentunit",
        over(_share("5m"), "5 minutes"),
        over(_share("1h"), "1 hour"),
        over(f"max({of_fleet(UNHEALTHY_1H)})", "1 hour, worst workload"),
    )
    colored(burn, {"5 minutes": SKY, "1 hour": BLUE})
    as_line(burn, "1 hour, worst workload", VERMILION, dashed=True)
    table = listing(
        "Workloads that use up the objective",
        about(
            "The twenty workloads with the largest unhealthy share over the last hour.",
            normal="empty.",
            act="choose the first one at the top: Closest to their limit then has its processes, each with a link.",
        ),
        rows(f"topk(20, {of_fleet(UNHEALTHY_1H)} > 0)"),
        sort="Unhealthy",
        span=12,
    ).height(8)
    table.override_by_name("Value", [option("displayName", "Unhealthy"), *bar(0.01, 0.144)])
    return with_marks(burn, 0.01, 0.144), quiet(without_time(table))
