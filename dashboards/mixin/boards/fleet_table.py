"""The table of the processes that are closest to their limit."""

from mixin.boards.asking import by_process, rows
from mixin.boards.panels import Panel, about, option
from mixin.boards.style import BLUE, GREY, ORANGE, STATE_TEXTS, texts
from mixin.boards.tables import bar, listing, merged, with_links
from mixin.vocabulary import (
    CLOSEST_AGE,
    CLOSEST_CONTAINER,
    CLOSEST_HEAP,
    CLOSEST_PRESSURE,
    CLOSEST_STATE,
    IDENTITY,
)

MOST = 50
_BY = ", ".join(IDENTITY)

_NEARER = texts((0, "heap", BLUE), (1, "container", ORANGE), (2, "worker's heap", GREY))


def closest() -> Panel:
    """Fifty rows: pressure, what it is made of, health and age, with a link to Process."""
    panel = listing(
        "Closest to their limit",
        about(
            "The fifty processes with the highest pressure, at most ten of each workload, as of the last minute: what "
            "it is made of, and which limit is the nearer one.",
            normal="nothing above 80 %.",
            act="click a process. Where the heap is nearer, look at its live set; where the container is nearer while "
            "the heap is not, look at buffers, native memory and at other processes of the same container.",
        ),
        *(rows(expr) for expr in _columns()),
        sort="Pressure",
    )
    for ref, (name, unit) in zip("ABCDEF", _COLUMNS, strict=True):
        panel.override_by_name(f"Value #{ref}", [option("displayName", name), option("unit", unit)])
    for ref in "ABC":
        panel.override_by_name(f"Value #{ref}", bar(0.8, 0.9))
    panel.override_by_name("Value #D", [option("mappings", [_NEARER.to_json()])])
    panel.override_by_name("Value #E", [*_TEXT_IN_COLOR, option("mappings", [STATE_TEXTS.to_json()])])
    return with_links(merged(panel))


_COLUMNS = (
    ("Pressure", "percentunit"),
    ("Heap", "percentunit"),
    ("Container", "percentunit"),
    ("Nearer limit", "none"),
    ("Health", "none"),
    ("Age", "s"),
)
_TEXT_IN_COLOR = [option("custom.cellOptions", {"type": "color-text"})]


def _columns() -> tuple[str, ...]:
    """One query a column, in the order of :data:`_COLUMNS`."""
    worst = f"topk({MOST}, {by_process(CLOSEST_PRESSURE)})"
    heap, container = by_process(CLOSEST_HEAP), by_process(CLOSEST_CONTAINER)
    return (
        worst,
        _beside(heap, worst),
        _beside(container, worst),
        _nearer(heap, container, worst),
        _beside(by_process(CLOSEST_STATE), worst),
        _beside(by_process(CLOSEST_AGE), worst),
    )


def _beside(expr: str, worst: str) -> str:
    return f"{expr} and on ({_BY}) {worst}"


def _nearer(heap: str, container: str, worst: str) -> str:
    """0 where the heap's share makes up the pressure, 1 where the container's does, else 2: a worker thread's heap."""
    almost = f"0.999 * {worst}"
    return f"0 * ({heap} >= {almost}) or 0 * ({container} >= {almost}) + 1 or 0 * {worst} + 2"
