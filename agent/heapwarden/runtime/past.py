"""Restarts that are over, by slot, for budgets and cooldowns."""

from heapwarden.domain.identity import Name
from heapwarden.domain.restart import Restart

REMEMBERED_SECONDS = 7 * 86_400.0
"""The longest time that a budget can be for."""
MOST_OF_A_SLOT = 1_000
"""The largest budget."""


class Past:
    """Bounded in time and number; what falls out can't count in any budget."""

    def __init__(self) -> None:
        """Nothing was restarted."""
        self._of: dict[Name, list[Restart]] = {}

    def add(self, restart: Restart) -> None:
        """One is over. Drops what is too old to count, of all slots."""
        oldest = restart.wall - REMEMBERED_SECONDS
        self._of.setdefault(restart.name, []).append(restart)
        self._of = {
            name: kept
            for name, restarts in self._of.items()
            if (kept := [one for one in restarts if one.wall > oldest][-MOST_OF_A_SLOT:])
        }

    def of(self, name: Name) -> list[Restart]:
        """Those of one slot, oldest first."""
        return self._of.get(name, [])
