"""Logs on standard error: lines for people on a terminal, JSON for machines elsewhere."""

import json
import logging
import os
import sys
import time
from typing import Any, TextIO

COLOURS = {logging.WARNING: "\033[33m", logging.ERROR: "\033[31m", logging.CRITICAL: "\033[31m"}
DIM, PLAIN = "\033[2m", "\033[0m"
BURST, PER_SECONDS = 20, 10.0
BOUNDED_ALREADY = frozenset({"heapwarden.runtime.memory_log"})
"""Loggers that bound themselves and are not throttled: --log-interval is what the user asked for."""
_TALKATIVE = ("asyncio", "uvicorn", "httpx2", "httpcore2")
"""Libraries' loggers; those for HTTP say a line about each request, every few seconds while a restart waits."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave beside the message."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def shown(text: str, keep: str = "") -> str:
    """``text`` with control characters, which may come from outside, made visible; those in ``keep`` stay."""
    return "".join(char if char.isprintable() or char in keep else repr(char)[1:-1] for char in text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, and what came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """As the class says."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        more = {key: value for key, value in extras(record).items() if key not in line}
        try:
            return json.dumps({**line, **more}, default=str, allow_nan=False)
        except (TypeError, ValueError):  # a key that is no text, a NaN, a ring: JSON has none of them
            return json.dumps({**line, **{key: str(value) for key, value in more.items()}})


class HumanFormatter(logging.Formatter):
    """Time of day, message; colour where the stream is a terminal."""

    def __init__(self, *, colour: bool) -> None:
        """With or without ``colour``."""
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """As the class says. Control characters that came from outside are shown, not obeyed."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        message = shown(record.getMessage())
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        colour = COLOURS.get(record.levelno, "")
        line = f"{DIM}{clock} heapwarden{PLAIN} {colour}{level}{message}{PLAIN}"
        if not self._colour:
            line = f"{clock} heapwarden {level}{message}"
        return f"{line}\n{shown(self.formatException(record.exc_info), keep=chr(10))}" if record.exc_info else line


class Throttle(logging.Filter):
    """At most :data:`BURST` lines from one place in :data:`PER_SECONDS`, and then how many were left out.

    What reporters send must not be able to fill a disk.
    """

    def __init__(self) -> None:
        """Nothing seen yet."""
        super().__init__()
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written; the first one after a pause tells of those that were not."""
        if record.name in BOUNDED_ALREADY:
            return True
        place = (record.pathname, record.lineno)
        began, count = self._seen.get(place, (record.created, 0))
        if not 0 <= record.created - began < PER_SECONDS:  # below 0: the clock was set back
            if count > BURST:
                record.msg = f"{record.msg} ({count - BURST} lines like this left out before)"
            began, count = record.created, 0
        self._seen[place] = (began, count + 1)
        return count < BURST


def set_up(form: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logs to ``stream``. ``form``: ``auto``, ``json`` or ``human``."""
    terminal = stream.isatty()
    human = form == "human" or (form == "auto" and terminal)
    handler = logging.StreamHandler(stream)
    colour = terminal and not os.environ.get("NO_COLOR")
    handler.setFormatter(HumanFormatter(colour=colour) if human else JsonFormatter())
    handler.addFilter(Throttle())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
