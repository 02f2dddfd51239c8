"""The first row of Fleet: six numbers, health over time, and the processes that are closest to their limit."""

from mixin.boards.asking import FLEET, count_recorded, now, of_fleet, or_zero, over, selector
from mixin.boards.fleet_table import closest
from mixin.boards.panels import Panel, about, colored, lines, number, stacked, with_marks
from mixin.boards.style import STATE_COLORS, thresholds
from mixin.vocabulary import EXITS, PRESSURE, PROCESSES, PROCESSES_BY_STATE, RESTARTS

OOM = "heap_oom|cgroup_oom"
FIRING = selector("ALERTS", 'alertname=~"Heapwarden.+"', FLEET, alertstate="firing")


def glance() -> tuple[Panel, ...]:
    """What a person on call looks at first."""
    return (_processes(), _unhealthy(), _highest(), _ooms(), _restarts(), _alerts(), _health(), worst(), closest())


def _processes() -> Panel:
    return number(
        "Processes",
        about(
            "Node.js processes that Heapwarden watches now.",
            normal="as many as you run. It moves with deployments and autoscaling only.",
            act="look for agents that are down on the Agent dashboard, then for exits below. "
            "Nothing at all means that Heapwarden's recording rules are not loaded.",
        ),
        "none",
        now(f"sum({of_fleet(PROCESSES)})"),
    )


def _unhealthy() -> Panel:
    return number(
        "Unhealthy",
        about(
            "Processes that are unhealthy now: load balancers are told to leave them out.",
            normal="0. One for a moment is no reason to get up.",
            act="open the first process of the table below; its health and the reason for it stand at the top.",
        ),
        "none",
        now(f"sum({of_fleet(PROCESSES_BY_STATE, state='unhealthy')})"),
    ).thresholds(thresholds(1, 10))


def _highest() -> Panel:
    return number(
        "Highest pressure",
        about(
            "The process that is closest to its limit: used heap over V8's limit, or container memory over the "
            "container's limit, whichever is more. At 100 % it dies.",
            normal="below 80 %.",
            act="find it in the table below, and look at which limit is the nearer one.",
        ),
        "percentunit",
        now(f"max({of_fleet(PRESSURE)})"),
    ).thresholds(thresholds(0.8, 0.9))


def _ooms() -> Panel:
    return number(
        "Out of memory",
        about(
            "Processes that died for want of memory in the time range: by V8's heap limit or by the kernel.",
            normal="0.",
            act="see Restarts and exits for which limit it was, then raise that limit or look for a leak.",
        ),
        "none",
        now(or_zero(f"sum({count_recorded(EXITS, '$__range', reason=OOM)})", of_fleet(PROCESSES))),
    ).thresholds(thresholds(1, 5))


def _restarts() -> Panel:
    return number(
        "Restarts",
        about(
            "Restarts that Heapwarden made in the time range; dry runs are not counted.",
            normal="few, and spread over the day. Each one is an out-of-memory death that did not happen.",
            act="many of one workload are a leak: open it in Process and compare the live set before and after.",
        ),
        "none",
        now(or_zero(f"sum({count_recorded(RESTARTS, '$__range')})", of_fleet(PROCESSES))),
    )


def _alerts() -> Panel:
    return number(
        "Firing alerts",
        about(
            "Alerts of Heapwarden that fire now. Only those that Prometheus evaluates: where Grafana does, see its own "
            "list of alerts.",
            normal="0.",
            act="see Alerts below for which ones; each has a link to its runbook where it was sent.",
        ),
        "none",
        now(or_zero(f"count({FIRING})", of_fleet(PROCESSES))),
    ).thresholds(thresholds(1, 5))


def _health() -> Panel:
    panel = stacked(
        "Health",
        about(
            "Processes by the verdict on their health.",
            normal="nearly all healthy. Starting and draining show for minutes around a deployment.",
            act="a growing share of degraded comes before unhealthy: look at pressure beside it. "
            "Unknown means that figures are missing: see the Agent dashboard.",
        ),
        "none",
        over(f"sum by (state) ({of_fleet(PROCESSES_BY_STATE)})", "{{state}}"),
    )
    return colored(panel, STATE_COLORS)


def worst() -> Panel:
    """The ten at the end of the range, over all of it: a set that changes from point to point can't be read."""
    series = of_fleet(PRESSURE)
    panel = lines(
        "Worst workloads by pressure",
        about(
            "The ten workloads whose worst process is closest to its limit at the end of the time range.",
            normal="flat or a sawtooth, and below 80 %.",
            act="a line that climbs through collections and deployments is a leak or a cache without a bound. "
            "One that stands high is a limit that is too small for what it carries.",
        ),
        "percentunit",
        over(f"{series} and topk(10, {series} @ end())", "{{workload}} {{namespace}}"),
    )
    return with_marks(panel, 0.8, 0.9)
