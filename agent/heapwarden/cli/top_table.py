"""The picture that ``heapwarden top`` draws of one look at an agent. Needs rich, the extra ``top``."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from heapwarden.cli.logs import shown

Json = dict[str, Any]

_COLOURS = {
    "healthy": "green",
    "starting": "cyan",
    "degraded": "yellow",
    "unhealthy": "bold red",
    "draining": "bold red",
    "restarting": "bold red",
    "unknown": "magenta",
}
HIGH_RATIO, CRITICAL_RATIO = 0.8, 0.9
"""Where a bar turns yellow and red, as ``domain.findings.PressureLevel`` has it."""
STALE_SECONDS = 5.0
"""From this age on, heap figures are drawn dim; the default of ``stale_after``."""
_COMPLETE_COLUMNS, _ROOMY_COLUMNS, _WIDE_COLUMNS = 80, 120, 150


class _Seen(NamedTuple):
    sampled_at: float
    collections: int
    rate: float | None


class Rates:
    """Collections a second of each process, between the last two of its own samples that were looked at."""

    def __init__(self) -> None:
        """Nothing looked at yet."""
        self._seen: dict[tuple[str, str, int | None], _Seen] = {}

    def take(self, now: Json) -> None:
        """Take in one look; processes that are not in it are forgotten."""
        self._seen = {_key(one): self._next(one) for one in now["processes"] if one["sampledAt"] is not None}

    def of(self, one: Json) -> float | None:
        """None before there are two samples."""
        seen = self._seen.get(_key(one))
        return seen.rate if seen else None

    def _next(self, one: Json) -> _Seen:
        at, count = one["sampledAt"], sum(kind["count"] for kind in one["gc"].values())
        before = self._seen.get(_key(one))
        if before is None or at < before.sampled_at or count < before.collections:  # new, or the agent is
            return _Seen(at, count, None)
        if at == before.sampled_at:
            return before
        return _Seen(at, count, (count - before.collections) / (at - before.sampled_at))


def _key(one: Json) -> tuple[str, str, int | None]:
    return one["process"], one["worker"], one["pid"]


def picture(now: Json, rates: Rates, width: int, height: int | None = None) -> RenderableType:
    """One look: a line that sums up, the table with the worst on top, and why some are not healthy.

    ``width`` and ``height`` are the terminal's, in cells; with a height, what does not fit is counted and left out.
    """
    rows = sorted(now["processes"], key=lambda one: (one["serving"], -(one["pressure"]["ratio"] or 0.0), _key(one)[:2]))
    wrappers = now.get("wrappers", [])
    reasons = [text for one in rows for text in _reasons(one)]
    summary = _summary(rows)
    if height is not None:
        room = max(1, height - 6)  # less the summary, the headings, three empty lines or "… and more"
        reasons = _fitting(reasons, width, max(room // 3, room - len(rows) - len(wrappers)))
        room -= sum(_lines(reason, width) for reason in reasons)
        rows, wrappers = rows[:room], wrappers[: max(0, room - len(rows))]
    parts: list[RenderableType] = [summary]
    if rows or wrappers:
        parts += [Text(), _table(rows, wrappers, rates, width)]
    left_out = len(now["processes"]) - len(rows)
    if left_out:
        parts += [Text(f"… and {left_out} more, under less pressure", style="dim")]
    return Group(*parts, *([Text()] if reasons else []), *reasons)


def _summary(processes: Sequence[Json]) -> Text:
    if not processes:
        return Text("No Node process is watched yet; try: heapwarden run -- node server.js", style="dim")
    counts = Counter(one["status"] for one in processes)
    line = Text(f"{len(processes)} process{'' if len(processes) == 1 else 'es'}: ", style="bold")
    parts = [plain(f"{count} {status}", _COLOURS.get(status, "")) for status, count in counts.items()]
    return line.append_text(Text(", ", style="default").join(parts))


def _reasons(one: Json) -> list[Text]:
    return [
        plain(f"{one['process']}/{one['worker']}", "bold")
        .append(": ", style="not bold default")
        .append_text(plain(reason["text"], f"not bold {_COLOURS.get(one['status'], 'default').removeprefix('bold ')}"))
        for reason in one["reasons"]
    ]


def _lines(text: Text, width: int) -> int:
    return -(-text.cell_len // width)


def _fitting(texts: list[Text], width: int, room: int) -> list[Text]:
    fitting: list[Text] = []
    for text in texts:
        room -= _lines(text, width)
        if room < 0:
            break
        fitting.append(text)
    return fitting


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[Json], Text]
    from_width: int = 0
    side: Literal["left", "right"] = "right"


def _columns(rates: Rates, width: int) -> list[_Column]:
    """Those that the width has room for."""
    roomy, wide = width >= _ROOMY_COLUMNS, width >= _WIDE_COLUMNS
    name_cells, bar_cells = (14, 7) if not roomy else (24, 14) if not wide else (36, 24)
    every = (
        _Column("process", lambda one: _name(one, name_cells), side="left"),
        _Column("pid", lambda one: plain(one["pid"] or "-"), _ROOMY_COLUMNS),
        _Column("health", lambda one: plain(one["status"], _COLOURS.get(one["status"], "")), side="left"),
        _Column("rss", lambda one: Text(size(one["memoryUsage"]["rss"]))),
        _Column("heap of its limit", lambda one: _heap(one, bar_cells, " thread " if roomy else " t"), side="left"),
        _Column("container", _container, 66),
        _Column("GC/s", lambda one: _rate(rates.of(one), one), 72),
        _Column("loop p99" if roomy else "loop", _loop, _COMPLETE_COLUMNS),
    )
    return [column for column in every if width >= column.from_width]


def _table(rows: Sequence[Json], wrappers: Sequence[Json], rates: Rates, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2 if width >= _ROOMY_COLUMNS else 1, 0, 0), header_style="dim")
    columns = _columns(rates, width)
    for column in columns:
        table.add_column(column.heading, justify=column.side, no_wrap=True, overflow="ellipsis")
    for one in rows:
        table.add_row(*(column.cell(one) for column in columns))
    for one in wrappers:
        known = {"process": plain(one["script"]), "pid": plain(one["pid"] or "-"), "health": Text("wrapper")}
        table.add_row(*(known.get(column.heading, Text()) for column in columns), style="dim")
    return table


def _name(one: Json, cells: int) -> Text:
    """The name is cut before its worker is."""
    worker = plain(f"/{one['worker']}", "dim")
    name = plain(one["process"], "bold")
    name.truncate(max(4, cells - worker.cell_len), overflow="ellipsis")
    return name.append_text(worker)


def _heap(one: Json, cells: int, thread: str) -> Text:
    """The isolate nearest its limit: a process dies with the first of them."""
    if not one["isolates"]:
        return Text("no figures", style="dim")
    worst = max(one["isolates"], key=lambda isolate: isolate["heapUsed"] / isolate["heapEffectiveLimit"])
    used, limit = worst["heapUsed"], worst["heapEffectiveLimit"]
    ratio = used / limit
    filled = min(cells, round(ratio * cells))
    colour = "red" if ratio >= CRITICAL_RATIO else "yellow" if ratio >= HIGH_RATIO else "green"
    bar = Text("━" * filled, style=colour).append("─" * (cells - filled), style="bright_black")
    bar.append(f" {ratio:4.0%} {size(used)}/{size(limit)}", style="default")
    if worst["thread"]:
        bar.append(f"{thread}{worst['thread']}", style="dim")
    return _aged(bar, one)


def _container(one: Json) -> Text:
    limit = one["containerLimit"]
    return Text(size(one["containerMemory"]) + (f"/{size(limit)}" if limit else ""))


def _rate(rate: float | None, one: Json) -> Text:
    return Text("-") if rate is None else _aged(Text(f"{rate:.1f}"), one)


def _loop(one: Json) -> Text:
    if not one["loop"]:
        return Text("-")
    seconds = one["loop"]["p99"]
    return _aged(Text(f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1_000:.0f} ms"), one)


def _aged(text: Text, one: Json) -> Text:
    if one["sampleAge"] is not None and one["sampleAge"] >= STALE_SECONDS:
        text.stylize("dim")
    return text


def plain(value: object, style: str = "") -> Text:
    """Text as it is: names come from outside, and must not be taken for markup or for the terminal's commands."""
    return Text(shown(str(value)), style=style)


def size(count: int | None) -> str:
    """Bytes in four or five characters, in powers of 1,024, as the settings read them: ``134M``, ``1.4G``."""
    if count is None:
        return "-"
    mebibytes = count / 2**20
    return f"{mebibytes:.0f}M" if mebibytes < 1_000 else f"{mebibytes / 1_024:.1f}G"  # noqa: PLR2004  three digits
