"""Restarts that are over, by name, for budgets and cooldowns."""

from heapwarden.domain.restart import Restart

REMEMBERED_SECONDS = 7 * 86_400.0
"""The longest time that a budget can be for."""
MOST_OF_A_NAME = 5_000
"""The largest budget is 1,000 for one process."""


class Past:
    """Bounded in time and number; what falls out can't count in any budget."""

    def __init__(self) -> None:
        """Nothing was restarted."""
        self._of: dict[str, list[Restart]] = {}

    def add(self, restart: Restart) -> None:
        """One is over. Drops what is too old to count, of all names."""
        oldest = restart.wall - REMEMBERED_SECONDS
        self._of.setdefault(restart.name.process, []).append(restart)
        self._of = {
            name: kept
            for name, restarts in self._of.items()
            if (kept := [one for one in restarts if one.wall > oldest][-MOST_OF_A_NAME:])
        }

    def of(self, name: str) -> list[Restart]:
        """Those of one name, oldest first."""
        return self._of.get(name, [])
