"""How ``heapwarden history`` writes events: lines for people, and JSON for machines."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from heapwarden.cli.logs import DIM, PLAIN, shown
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.restart import Figure
from heapwarden.journal.reading import Entry

RED, GREEN, YELLOW, CYAN = "\033[31m", "\033[32m", "\033[33m", "\033[36m"
_COLOURS = {
    EventKind.HEALTH: {"healthy": GREEN, "starting": CYAN, "degraded": YELLOW, "unhealthy": RED, "draining": YELLOW},
    EventKind.RESTART: {"done": GREEN, "dry_run": CYAN, "failed": RED, "no_successor": RED, "cancelled": CYAN},
    EventKind.EXIT: {"clean": GREEN, "heap_oom": RED, "cgroup_oom": RED, "crash": RED},
    EventKind.AGENT: {"started": PLAIN, "stopped": PLAIN},
}
_OTHERWISE = YELLOW
_BYTES = frozenset(
    ("rss", "tree_rss", "heap_used", "heap_live", "heap_limit", "external", "container", "container_limit")
)
_LIMITS = {"heap_used": "heap_limit", "container": "container_limit"}
_MANY = 100
"""From here on, decimals say nothing."""
_RATIOS = frozenset(("pressure",))
_WIDEST_NAME = 32
_INDENT = " " * 21


def as_json(entries: Sequence[Entry]) -> Iterator[str]:
    """One object a line; a key that does not apply is null."""
    for entry in entries:
        yield json.dumps(_object(entry), allow_nan=False)


def _object(entry: Entry) -> dict[str, Any]:
    event, restart = entry.event, entry.restart
    return {
        "time": _utc(event.wall),
        "wall": event.wall,
        "kind": event.kind,
        "what": event.what,
        "text": event.text,
        "process": event.process or None,
        "worker": event.worker or None,
        "pid": event.pid or None,
        "restart": event.restart or None,
        "reason": restart.trigger.reason if restart else None,
        "trigger": restart.trigger.text if restart else None,
        "method": restart.plan.method if restart else None,
        "dryRun": restart.dry_run if restart else None,
        "outcome": restart.outcome if restart else None,
        "figures": {**(restart.figures if restart else {}), **event.figures},
    }


def as_table(entries: Sequence[Entry], *, colour: bool) -> Iterator[str]:
    """Local time, kind, process/worker, what, text; below it why, once a restart, and figures where they are new."""
    names = [_name(entry.event) for entry in entries]
    name_width = max((len(name) for name in names), default=0)
    what_width = max((len(shown(entry.event.what)) for entry in entries), default=0)
    explained: set[str] = set()
    figures_before: dict[str, Mapping[str, Figure]] = {}
    for entry, name in zip(entries, names, strict=True):
        event = entry.event
        what = shown(event.what).ljust(what_width)
        if colour:
            what = f"{_COLOURS.get(event.kind, {}).get(event.what, _OTHERWISE)}{what}{PLAIN}"
        line = f"{_local(event.wall)}  {event.kind:7}  {name.ljust(name_width)}  {what}  {shown(event.text)}"
        yield line.rstrip()
        details = [*_why(entry, explained)]
        figures = event.figures or (entry.restart.figures if entry.restart else {})
        if figures and figures != figures_before.get(name):
            details.append(", ".join(_figures(figures)))
            figures_before[name] = figures
        for detail in details:
            yield f"{_INDENT}{DIM}{detail}{PLAIN}" if colour else f"{_INDENT}{detail}"


def _why(entry: Entry, explained: set[str]) -> Iterator[str]:
    """Why it is restarted, beside the first event of a restart that is listed, unless that says it."""
    restart = entry.restart
    if restart is not None and restart.id not in explained:
        explained.add(restart.id)
        if restart.trigger.text not in entry.event.text:
            yield f"because {shown(restart.trigger.text)} ({restart.trigger.reason})"


def _figures(figures: Mapping[str, Figure]) -> Iterator[str]:
    """Each with its unit; what is used of a limit together with the limit."""
    told_before: set[str] = set()
    for key, value in figures.items():
        limit_key = _LIMITS.get(key, "")
        limit = figures.get(limit_key)
        if isinstance(value, int) and isinstance(limit, int):
            told_before.add(limit_key)
            yield f"{_words(key.removesuffix('_used'))} {_mebibytes(value)} of {_mebibytes(limit)} MiB"
        elif key not in told_before:
            yield f"{_words(key)} {_in_unit(key, value)}"


def _words(key: str) -> str:
    return shown(key).removesuffix("_bytes").removesuffix("_seconds").removesuffix("_ratio").replace("_", " ")


def _in_unit(key: str, value: Figure) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return shown(value)
    if key in _BYTES or key.endswith("_bytes"):
        return f"{_mebibytes(value)} MiB"
    if key in _RATIOS or key.endswith("_ratio"):
        return f"{value:.1%}"
    if key.endswith("_seconds"):
        return _span(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _mebibytes(count: float) -> str:
    mebibytes = count / 2**20
    return f"{mebibytes:,.0f}" if mebibytes >= _MANY else f"{mebibytes:.1f}"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.1f} s"


def _name(event: Event) -> str:
    name = shown(f"{event.process}/{event.worker}" if event.worker else event.process) or "-"
    return name if len(name) <= _WIDEST_NAME else f"{name[: _WIDEST_NAME - 1]}…"


def _local(wall: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
    except (OverflowError, ValueError, OSError):
        return f"{wall:<19.12g}"


def _utc(wall: float) -> str | None:
    """RFC 3339; None for a time that no calendar has."""
    try:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall))
    except (OverflowError, ValueError, OSError):
        return None
    return f"{seconds}.{int(wall % 1 * 1000):03d}Z"
