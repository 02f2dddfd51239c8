"""The newest entries of the journal, in memory: they are there even while it can't be written."""

import math
from collections import deque
from collections.abc import Callable, Iterable

from heapwarden.domain.event import Event

MOST = 200


class Entries:
    """At most ``most`` events, each with a number that only grows."""

    def __init__(self, most: int = MOST) -> None:
        """None yet."""
        self.on_new: Callable[[], None] = lambda: None
        """Called with each that comes."""
        self.newest = 0
        """The number of the last one."""
        self._kept: deque[Event] = deque(maxlen=most)

    def seed(self, older: Iterable[Event]) -> None:
        """Put what was there before the first one, newest first, as the journal tells it."""
        for event in older:
            if len(self._kept) == self._kept.maxlen:
                break
            self._kept.appendleft(event)
            self.newest += 1

    def add(self, event: Event) -> None:
        """The newest."""
        self._kept.append(event)
        self.newest += 1
        self.on_new()

    @property
    def all_since(self) -> float:
        """Unix time from which on all that there was is here: for ever while there is room."""
        return self._kept[0].wall if len(self._kept) == self._kept.maxlen else -math.inf

    def after(self, number: int, most: int, process: str | None = None) -> list[Event]:
        """The newest of those after ``number``, of this name where one is given, newest last."""
        found: list[Event] = []
        for _, event in zip(range(self.newest - number), reversed(self._kept), strict=False):
            if len(found) == most:
                break
            if process is None or event.process == process:
                found.append(event)
        return found[::-1]
