"""One process, or a few, in every detail. Asks only for what is scraped, so it works without any recording rules."""

from mixin.boards.annotations import mark
from mixin.boards.asking import chosen, events, of_process
from mixin.boards.board import Board, Section
from mixin.boards.links import AGENT, FLEET, to
from mixin.boards.links import PROCESS as UID
from mixin.boards.process_glance import glance
from mixin.boards.process_heap import gc, heap
from mixin.boards.process_rest import end, loop, native, threads, trust
from mixin.boards.style import MAUVE, VERMILION
from mixin.boards.variables import ANY, choice, data_source

_HEALTH = "heapwarden_health_state"
_BY = "process, worker, pod, instance, reason"
_WHERE = "{{pod}} {{instance}}"


def _series(*labels: str) -> str:
    return f"{_HEALTH}{{{chosen(*labels)}}}"


BOARD = Board(
    uid=UID,
    title="Heapwarden / Process",
    description=(
        "One Node.js process, or a few, in every detail: memory by its parts, heap, collections, event loop, health, "
        "restarts. Asks only for what Heapwarden serves; no recording rules are needed."
    ),
    variables=(
        data_source(),
        choice("job", _HEALTH, label="Job", everything=ANY),
        choice("cluster", _series("job"), label="Cluster"),
        choice("namespace", _series("job", "cluster"), label="Namespace"),
        choice("process", _series("job", "cluster", "namespace"), label="Process", everything=None),
        choice("pod", _series("job", "cluster", "namespace", "process"), label="Pod"),
        choice("instance", _series("job", "cluster", "namespace", "process", "pod"), label="Instance", everything=ANY),
        choice(
            "worker",
            _series("job", "cluster", "namespace", "process", "pod", "instance"),
            label="Worker",
            everything=ANY,
        ),
    ),
    annotations=(
        mark(
            "Restarts",
            f"sum by ({_BY}) ({events(of_process('restarts_total', dry_run='false'))})",
            color=MAUVE,
            title="Restarted: {{process}} {{worker}}",
            text=f"Because of {{{{reason}}}}, {_WHERE}",
            tags="reason",
        ),
        mark(
            "Exits",
            f"sum by ({_BY}) ({events(of_process('exits_total'))})",
            color=VERMILION,
            title="Ended: {{process}} {{worker}}",
            text=f"Because of {{{{reason}}}}, {_WHERE}",
            tags="reason",
        ),
    ),
    links=(to(FLEET), to(AGENT)),
    sections=(
        Section("At a glance", glance(), collapsed=False),
        Section("Heap", heap()),
        Section("Garbage collection", gc()),
        Section("Event loop", loop()),
        Section("Memory outside of the heap", native()),
        Section("Worker threads", threads()),
        Section("Restarts and exits", end()),
        Section("Can these figures be trusted?", trust()),
    ),
    since="now-3h",
    refresh="30s",
)
