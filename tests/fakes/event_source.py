"""A plain client of server-sent events."""

import json
import struct
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen


class EventSource:
    """Reads one stream; blocks while nothing comes, for a minute at most."""

    def __init__(self, response: Any) -> None:
        """``response`` is what urlopen gave."""
        self._response = response
        self.headers = response.headers

    def line(self) -> str:
        """The next line; empty between two events. Fails at the end of the stream."""
        line = self._response.readline()
        assert line, "the stream has ended"
        return str(line.decode().rstrip("\n"))

    def any(self) -> tuple[str, Any]:
        """The next event: its name and its data."""
        name = ""
        while not (line := self.line()).startswith("data: "):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
        return name, json.loads(line.removeprefix("data: "))

    def next(self, name: str) -> Any:
        """The data of the next event of this name; others are passed over."""
        while (found := self.any())[0] != name:
            pass
        return found[1]

    def ended(self) -> bool:
        """Whether the server ends the stream, whatever is still on its way."""
        while self._response.readline():
            pass
        return True


@contextmanager
def event_source(url: str) -> Iterator[EventSource]:
    """Connect; leave at last. Raises HTTPError for all but 200."""
    request = Request(url, headers={"accept": "text/event-stream"})  # noqa: S310  loopback
    with urlopen(request, timeout=60) as response:  # noqa: S310  loopback
        yield EventSource(response)


def rows_of(history: dict[str, Any]) -> list[dict[str, float]]:
    """What an event ``history`` holds, a dictionary a row."""
    columns = history["columns"]
    packed = struct.Struct(f"<d{len(columns) - 1}f")
    return [dict(zip(columns, row, strict=True)) for row in packed.iter_unpack(b64decode(history["rows"]))]
