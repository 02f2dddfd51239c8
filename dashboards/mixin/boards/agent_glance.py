"""The first row of Agent."""

from grafana_foundation_sdk.builders import timeseries

from mixin.boards.asking import now, of_agent, of_watched, or_zero, over
from mixin.boards.panels import Panel, about, colored, lines, number, with_marks
from mixin.boards.style import BLUE, ORANGE, SKY, thresholds

RATE = "[$__rate_interval]"
CPU = f"rate({of_agent('process_cpu_seconds_total')}{RATE})"
RSS = of_agent("process_resident_memory_bytes")
MIB = 1024 * 1024


def glance() -> tuple[Panel, ...]:
    """What a person on call looks at first."""
    return (_agents(), _down(), _processes(), _blind(), _versions(), _scrape(), cpu(), rss())


def _agents() -> Panel:
    return number(
        "Agents",
        about(
            "Agents that Prometheus is told to scrape.",
            normal="one a host or pod, as you deployed them.",
            act="too few: see Prometheus' list of targets. None: the job's name does not have heapwarden in it.",
        ),
        "none",
        now(f"count({of_agent('up')})"),
    )


def _down() -> Panel:
    return number(
        "Agents down",
        about(
            "Agents that Prometheus could not scrape the last time.",
            normal="0; one or two during a deployment.",
            act="look at the pods or units of these instances, in Scrapes below. Their processes run on, but nobody "
            "watches them, and nobody restarts them in time.",
        ),
        "none",
        now(or_zero(f"count({of_agent('up')} == 0)", of_agent("up"))),
    ).thresholds(thresholds(1, 10))


def _processes() -> Panel:
    return number(
        "Processes watched",
        about(
            "Processes that the agents watch now.",
            normal="as many Node.js processes as you run.",
            act="fewer: see the agents' settings for what they look for, and whether they may see it.",
        ),
        "none",
        now(f"sum({of_agent('heapwarden_agent_processes')})"),
    )


def _blind() -> Panel:
    old, lost = of_watched("sample_age_seconds"), of_watched("up", source="reporter")
    blind = f"{without_figures()} or {old} > 120 or ignoring (source) {lost} == 0"
    return number(
        "Without V8 figures",
        about(
            "Processes that have no reporter, have lost it, or whose figures are older than two minutes: resident "
            "memory is known, the heap is not.",
            normal="0.",
            act="see What is not seen below. Apps that were started before Heapwarden have no reporter until they are "
            "restarted.",
        ),
        "none",
        now(or_zero(f"count({blind})", of_agent("heapwarden_agent_processes"))),
    ).thresholds(thresholds(1, 10))


def without_figures() -> str:
    """Processes of which V8's figures are not known."""
    figures = of_watched("heap_used_bytes", thread="main")
    return f"{of_watched('health_state')} unless ignoring (thread) {figures}"


def _versions() -> Panel:
    return number(
        "Versions",
        about(
            "Agents by their version.",
            normal="one version.",
            act="several for longer than a deployment takes: a roll-out is stuck.",
        ),
        "none",
        now(f"count by (version) ({of_agent('heapwarden_agent_build_info')})", "{{version}}"),
        named=True,
    )


def _scrape() -> Panel:
    return number(
        "Slowest scrape",
        about(
            "How long the slowest agent took to answer Prometheus the last time.",
            normal="below 0.1 s.",
            act="above the scrape's timeout the figures are lost: see Scrapes below for which agent it is.",
        ),
        "s",
        now(f"max({of_agent('scrape_duration_seconds')})"),
    ).thresholds(thresholds(1, 5))


def cpu() -> Panel:
    """In cores."""
    panel = across(
        "CPU",
        about(
            "CPU time that agents take, in cores.",
            normal="below 0.02 cores.",
            act="the highest grows with the number of processes it watches: see Processes watched. Where it does not, "
            "see Ticks for what takes the time.",
        ),
        "none",
        CPU,
    )
    return with_marks(panel, 0.02, 0.05)


def rss() -> Panel:
    """Of the Python process."""
    panel = across(
        "Resident memory",
        about(
            "Memory that agents hold.",
            normal="below 56 MiB, and flat.",
            act="growing for hours: a leak of the agent itself. Restart it, and report its version and settings.",
        ),
        "bytes",
        RSS,
    )
    return with_marks(panel, 56 * MIB, 80 * MIB)


def across(title: str, description: str, unit: str, expr: str) -> timeseries.Panel:
    """The median, the 99th percentile and the highest of all agents: a line for each agent would be thousands."""
    shares = ((0.5, "median"), (0.99, "99th percentile"), (1, "highest"))
    panel = lines(title, description, unit, *(over(f"quantile({share}, {expr})", name) for share, name in shares))
    return colored(panel, {"median": SKY, "99th percentile": BLUE, "highest": ORANGE})
