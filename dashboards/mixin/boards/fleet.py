"""All processes together: whether anything is wrong, and where; and what memory is paid for in vain."""

from mixin.boards.annotations import mark
from mixin.boards.asking import chosen, count_recorded
from mixin.boards.board import Board, Section
from mixin.boards.fleet_details import alerts, exits, gc, memory, pressure, slo
from mixin.boards.fleet_glance import glance
from mixin.boards.links import AGENT, PROCESS, to
from mixin.boards.links import FLEET as UID
from mixin.boards.style import MAUVE, VERMILION
from mixin.boards.variables import choice, data_source
from mixin.vocabulary import EXITS, PROCESSES, RESTARTS

_BY = "cluster, namespace, workload, reason"

BOARD = Board(
    uid=UID,
    title="Heapwarden / Fleet",
    description=(
        "All Node.js processes that Heapwarden watches. Asks for recorded series: load Heapwarden's rules into "
        "Prometheus first. Open Process for one process in detail."
    ),
    variables=(
        data_source(),
        choice("cluster", PROCESSES, label="Cluster"),
        choice("namespace", f"{PROCESSES}{{{chosen('cluster')}}}", label="Namespace"),
        choice("workload", f"{PROCESSES}{{{chosen('cluster', 'namespace')}}}", label="Workload"),
    ),
    annotations=(
        mark(
            "Restarts",
            f"sum by ({_BY}) ({count_recorded(RESTARTS)}) > 0",
            color=MAUVE,
            title="Restarted: {{workload}}",
            text="{{workload}} {{namespace}}, because of {{reason}}",
            tags="reason,workload",
        ),
        mark(
            "Exits that nobody asked for",
            f"sum by ({_BY}) ({count_recorded(EXITS, reason='heap_oom|cgroup_oom|crash')}) > 0",
            color=VERMILION,
            title="Ended: {{workload}}",
            text="{{workload}} {{namespace}}, because of {{reason}}",
            tags="reason,workload",
        ),
    ),
    links=(to(PROCESS), to(AGENT)),
    sections=(
        Section("At a glance", glance(), collapsed=False),
        Section("Pressure", pressure()),
        Section("Alerts", alerts()),
        Section("Restarts and exits", exits()),
        Section("Memory and what it costs", memory()),
        Section("Garbage collection", gc()),
        Section("Objective: 99 % of process minutes not unhealthy", slo()),
    ),
    since="now-6h",
)
