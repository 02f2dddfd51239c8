"""The collapsed rows of Agent."""

from mixin.boards.agent_glance import RATE, across, without_figures
from mixin.boards.asking import AGENT, buckets, events, of_agent, of_watched, over, rows, selector
from mixin.boards.panels import Panel, about, bars, colored, lines, option, quiet, spread, with_marks
from mixin.boards.style import BLUE, VERMILION
from mixin.boards.tables import listing, with_links, without_time


def sight() -> tuple[Panel, ...]:
    """Processes and sources that do not answer."""
    blind = lines(
        "Sources that do not answer",
        about(
            "Processes by the source that does not answer for them.",
            normal="none, or moments at a start.",
            act="reporter: the app was started without it, or has lost its agent. cgroup or procfs: the agent may not "
            "read them; see its user and its capabilities.",
        ),
        "none",
        over(f"count by (source) ({_silent()})", "{{source}}"),
    )
    errors = lines(
        "Errors of sources",
        about(
            "Failures and missed deadlines of sources, by reason, in each step of the graph.",
            normal="none, or single ones when a process ends.",
            act="steady ones: the reason names what is refused. A deadline that is missed means a busy machine.",
        ),
        "none",
        over(
            f"sum by (source, reason) ({events(of_agent('heapwarden_agent_source_errors_total'))})",
            "{{source}}: {{reason}}",
        ),
    )
    refused = selector("heapwarden_agent_frames_total", 'result!="accepted"', AGENT)
    frames = lines(
        "Frames refused",
        about(
            "Reports from apps that an agent did not take, by reason, in each step of the graph.",
            normal="none.",
            act="an app with a reporter of another version, or something else that writes to the agent's socket.",
        ),
        "none",
        over(f"sum by (result) ({events(refused)})", "{{result}}"),
    )
    return quiet(blind), quiet(bars(errors)), quiet(bars(frames)), _list_of_blind()


_PROCESS = "cluster, namespace, pod, instance, process, worker"


def _silent() -> str:
    """0 for each process and source that does not answer. A reporter that never did so has no ``heapwarden_up``."""
    unreported = f'label_replace({without_figures()}, "source", "reporter", "", "")'
    return f"max by ({_PROCESS}, source) (0 * ({of_watched('up')} == 0) or 0 * {unreported})"


def _list_of_blind() -> Panel:
    age = f"max by ({_PROCESS}) (time() - {of_watched('process_start_time_seconds')})"
    table = listing(
        "Processes without an answer",
        about(
            "Up to a hundred processes and the source that does not answer for them, the oldest first.",
            normal="empty, or processes that started just now.",
            act="click a process to see since when.",
        ),
        rows(f"topk(100, {age} + on ({_PROCESS}) group_right () {_silent()})"),
        sort="Age",
        span=12,
    ).height(8)
    table.override_by_name("Value", [option("displayName", "Age"), option("unit", "s")])
    return quiet(with_links(without_time(table)))


def ticks() -> tuple[Panel, ...]:
    """A tick: measure all processes, judge all, act."""
    return (
        spread(
            "Time of a tick",
            about(
                "How long agents took to measure and judge all of their processes: ticks per second.",
                normal="most below 25 ms.",
                act="above half a second, an agent has too many processes or too little CPU: give it more of it, or a "
                "longer interval.",
            ),
            buckets(f"sum by (le) (rate({of_agent('heapwarden_agent_tick_seconds_bucket')}{RATE}))"),
        ),
        lines(
            "Late ticks",
            about(
                "Ticks per second, of all agents, that began an interval or more after they were due.",
                normal="0.",
                act="the agent gets too little CPU: see Cost, and the CPU limit of its container.",
            ),
            "ops",
            over(f"sum(rate({of_agent('heapwarden_agent_ticks_late_total')}{RATE}))", "late"),
        ),
    )


def settings() -> tuple[Panel, ...]:
    """Files that were read and written."""
    reloads = lines(
        "Settings read again",
        about(
            "Times that agents read their settings again, by result, in each step of the graph.",
            normal="ok, when you change them.",
            act="failed: the agent goes on with the settings that it has. Its log names the line; run "
            "heapwarden check-config on the file.",
        ),
        "none",
        over(f"sum by (result) ({events(of_agent('heapwarden_agent_config_reloads_total'))})", "{{result}}"),
    )
    journal = lines(
        "Errors of the journal",
        about(
            "Times that the journal could not be opened, read or written, in each step of the graph.",
            normal="none.",
            act="see the disk and the rights on the agent's state directory. Without its journal an agent makes no "
            "restarts.",
        ),
        "none",
        over(f"sum({events(of_agent('heapwarden_agent_journal_errors_total'))})", "errors"),
    )
    colored(reloads, {"ok": BLUE, "failed": VERMILION})
    return quiet(bars(reloads)), quiet(colored(bars(journal), {"errors": VERMILION}))


def scrapes() -> tuple[Panel, ...]:
    """What Prometheus sees of the agents."""
    duration = across(
        "Duration of a scrape",
        about(
            "How long agents took to answer Prometheus.",
            normal="below 0.1 s.",
            act="see the samples beside: many processes take time. Else the machine is short of CPU.",
        ),
        "s",
        of_agent("scrape_duration_seconds"),
    )
    samples = across(
        "Samples of a scrape",
        about(
            "Samples that agents gave in one scrape: up to 80 a process, and some 40 of the agent's own.",
            normal="follows the number of processes.",
            act="more than 80 a process: many heap spaces or kinds of collections; see the page on metrics.",
        ),
        "none",
        of_agent("scrape_samples_scraped"),
    )
    table = listing(
        "Agents that are down",
        about(
            "Up to a hundred agents that Prometheus could not scrape the last time.",
            normal="empty.",
            act="see the pod or the unit of the instance; Prometheus' list of targets has the error.",
        ),
        rows(f"topk(100, 1 - ({of_agent('up')} == 0))"),
        sort="Down",
        span=24,
    ).height(8)
    table.override_by_name("Value", [option("displayName", "Down")])
    return with_marks(duration, 1, 5), samples, quiet(without_time(table))


def cost() -> tuple[Panel, ...]:
    """Beyond the CPU and memory at the top."""
    return (
        lines(
            "Collections of the agents' Python",
            about(
                "Garbage collections per second of the agents' own Python, by generation.",
                normal="generation 2 is rare.",
                act="steady ones of generation 2 go with growing memory: report it with the agent's version.",
            ),
            "ops",
            over(
                f"sum by (generation) (rate({of_agent('python_gc_collections_total')}{RATE}))",
                "generation {{generation}}",
            ),
        ),
        across(
            "Open files",
            about(
                "File descriptors that agents hold.",
                normal="some twenty, and a few for each process watched.",
                act="growing while the number of processes does not: sockets that are not closed. Report it.",
            ),
            "none",
            of_agent("process_open_fds"),
        ),
    )
