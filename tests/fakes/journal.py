"""A journal in memory, which can be told to fail."""

import asyncio
from collections.abc import Sequence

from heapwarden.domain.event import Event
from heapwarden.domain.restart import Restart
from heapwarden.ports import Remembered


class FakeJournal:
    """Keeps everything until it is told to fail; what fails is kept nowhere, and `lost` counts it."""

    def __init__(self, restarts: Sequence[Restart] = ()) -> None:
        """Remembers ``restarts``, oldest first."""
        self.restarts = {restart.id: restart for restart in restarts}
        """By id, as they were saved last."""
        self.saves: list[Restart] = []
        """Every restart that was saved, in order."""
        self.events: list[Event] = []
        """Oldest first."""
        self.trouble: str | None = None
        self.forgot: str | None = None
        """What `load` answers as its trouble where there is no other."""
        self.lost = 0

    def fail(self, trouble: str = "journal.sqlite3: the disk is full; free some space") -> None:
        """From now on nothing is kept."""
        self.trouble = trouble

    def recover(self) -> None:
        """From now on everything is kept again."""
        self.trouble = None

    async def load(self, since_wall: float) -> Remembered:
        """Open restarts, and those that began after ``since_wall``; nothing while it fails."""
        if self.trouble is not None:
            return Remembered(trouble=self.trouble)
        known = sorted(self.restarts.values(), key=lambda restart: restart.wall)
        return Remembered(
            open=tuple(restart for restart in known if restart.open),
            past=tuple(restart for restart in known if restart.wall > since_wall),
            trouble=self.forgot,
        )

    async def save(self, restart: Restart, event: Event) -> bool:
        """Keep both, unless it fails; others run meanwhile, as while a real one writes."""
        await asyncio.sleep(0)
        if self.trouble is not None:
            self.lost += 1
            return False
        self.restarts[restart.id] = restart
        self.saves.append(restart)
        self.events.append(event)
        return True

    def append(self, event: Event) -> None:
        """Keep it, unless it fails."""
        if self.trouble is not None:
            self.lost += 1
            return
        self.events.append(event)

    async def recent(self, most: int, process: str | None = None) -> Sequence[Event]:
        """The newest, newest first."""
        wanted = [event for event in reversed(self.events) if process is None or event.process == process]
        return wanted[:most]
