"""Heapwarden itself: whether it runs everywhere, whether it sees everything, and what it costs."""

from mixin.boards.agent_glance import glance
from mixin.boards.agent_rows import cost, scrapes, settings, sight, ticks
from mixin.boards.board import Board, Section
from mixin.boards.links import AGENT as UID
from mixin.boards.links import FLEET, PROCESS, to
from mixin.boards.variables import ANY, choice, data_source
from mixin.vocabulary import AGENT_JOB

_UP = f'up{{job=~"{AGENT_JOB}"'

BOARD = Board(
    uid=UID,
    title="Heapwarden / Agent",
    description=(
        "The agents themselves: which are down, what they can't see, and what they cost. Asks only for what they serve "
        f"and for the scrape itself, of jobs whose name matches {AGENT_JOB}."
    ),
    variables=(
        data_source(),
        choice("job", f"{_UP}}}", label="Job", everything=ANY),
        choice("cluster", f'{_UP}, job=~"$job"}}', label="Cluster"),
        choice("namespace", f'{_UP}, job=~"$job", cluster=~"$cluster"}}', label="Namespace"),
        choice(
            "instance",
            f'{_UP}, job=~"$job", cluster=~"$cluster", namespace=~"$namespace"}}',
            label="Instance",
            everything=ANY,
        ),
    ),
    annotations=(),
    links=(to(FLEET), to(PROCESS)),
    sections=(
        Section("At a glance", glance(), collapsed=False),
        Section("What is not seen", sight()),
        Section("Ticks", ticks()),
        Section("Settings and journal", settings()),
        Section("Scrapes", scrapes()),
        Section("Cost", cost()),
    ),
    since="now-6h",
)
