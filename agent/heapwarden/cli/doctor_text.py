"""What ``heapwarden doctor`` has found, as text: each process's name and figures, each finding and its next step."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from heapwarden.cli.logs import shown

MIB = 2**20
RED, YELLOW, GREEN, BOLD, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
COLOURS = {"error": RED, "warning": YELLOW}
WIDEST = 120
Json = Mapping[str, Any]


def written(report: Json, *, colour: bool) -> str:
    """The whole text. On a terminal, where there is ``colour``, long lines are folded to its width."""
    width = min(WIDEST, shutil.get_terminal_size().columns) if colour else None
    page = _Page(colour=colour, width=width)
    return "\n".join(page.lines(report)) + "\n"


class _Page:
    def __init__(self, *, colour: bool, width: int | None) -> None:
        self._colour, self._width = colour, width

    def lines(self, report: Json) -> Iterator[str]:
        for process in report["processes"]:
            yield from self._process(process)
            yield ""
        count, processes = report["problems"], len(report["processes"])
        of = f"{processes} process{'es' if processes > 1 else ''}"
        verdict = f"{count} problem{'s' if count > 1 else ''} in {of}" if count else f"no problem in {of}"
        yield self._painted(verdict, (YELLOW if count else GREEN))
        if report["agent"] is None:
            yield self._painted("no agent was asked: V8's own figures are not known (--url names its address)", DIM)

    def _process(self, process: Json) -> Iterator[str]:
        worker = "" if process["worker"] is None else f"/{process['worker']}"
        pid = "in a PID namespace of its own" if process["pid"] is None else f"pid {process['pid']}"
        node = "" if process["node"] is None else f", Node {process['node']}"
        yield self._painted(shown(f"{process['process']}{worker} ({pid}{node})"), BOLD)
        for figures in (_heap(process), _memory(process), _options(process)):
            yield from self._folded(figures, "  ", "  ", DIM)
        for one in process["problems"]:
            yield from self._folded(f"{one['severity']}: {one['text']}", "  ", "    ", COLOURS.get(one["severity"], ""))
            yield from self._folded(f"-> {one['remedy']} [{one['code']}]", "    ", "       ")
        if not process["problems"]:
            yield self._painted("  nothing found", GREEN)

    def _folded(self, text: str, first: str, rest: str, colour: str = "") -> Iterator[str]:
        text = shown(text)
        lines = [f"{first}{text}"]
        if self._width is not None:
            lines = textwrap.wrap(
                text, self._width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
            )
        return (self._painted(line, colour) for line in lines)

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colour and colour else text


def _heap(process: Json) -> str:
    origin = "" if process["heapLimitFrom"] is None else f", from {process['heapLimitFrom']}"
    if process["heapLimit"] is None:
        return f"heap limit: not known without the reporter{origin}"
    isolates = f", {process['isolates']} isolates" if process["isolates"] > 1 else ""
    return (
        f"heap limit: {_mib(process['heapEffectiveLimit'])} and 3 semi-spaces of {_mib(process['semiSpace'])}"
        f"{origin}{isolates}"
    )


def _memory(process: Json) -> str:
    limit = "no limit" if process["containerLimit"] is None else f"limit {_mib(process['containerLimit'])}"
    container = f"container {_mib(process['containerMemory'])}, {limit}"
    if process["containerMemory"] is None:
        container = "no container"
    return f"memory: RSS {_mib(process['rss'])}, swap {_mib(process['swap'])}; {container}"


def _options(process: Json) -> str:
    names = process["nodeOptions"]
    flags = [f"{one['option']}={one['value']} ({one['from']})" for one in process["heapOptions"]]
    seen = "can't be read" if names is None else " ".join(names) or "none"
    return f"NODE_OPTIONS: {seen}; heap options: {', '.join(flags) or 'none'}"


def _mib(size: int | None) -> str:
    return "?" if size is None else f"{size / MIB:.0f} MiB"
