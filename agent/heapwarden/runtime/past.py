"""Restarts that are over, by name, for budgets and cooldowns."""

from collections.abc import Iterable
from dataclasses import replace

from heapwarden.domain.restart import Restart
from heapwarden.ports import Clock

REMEMBERED_SECONDS = 7 * 86_400.0
"""The longest time that a budget can be for."""
MOST_OF_A_NAME = 5_000
"""The largest budget is 1,000 for one process."""
MOST_NAMES = 5_000
DRIFT_SECONDS = 1.0


class Past:
    """Bounded in time and number; what falls out can't count in any budget."""

    def __init__(self, clock: Clock, boot: str) -> None:
        """Nothing was restarted."""
        self._clock, self._boot = clock, boot
        self._of: dict[str, list[Restart]] = {}

    def add(self, *over: Restart) -> None:
        """These are over. Drops what is too old to count, of their names."""
        for restart in over:
            self._of.setdefault(restart.name.process, []).append(restart)
        for name in {restart.name.process for restart in over}:
            oldest = self._clock.wall() - REMEMBERED_SECONDS
            kept = [one for one in self._of.pop(name) if one.wall + self._jumped(one) > oldest]
            self._of[name] = kept[-MOST_OF_A_NAME:]
        while len(self._of) > MOST_NAMES:
            del self._of[next(iter(self._of))]

    def of(self, name: str) -> list[Restart]:
        """Those of one name, oldest first, dated by the wall clock as it is now set: it may have jumped since."""
        return list(self._by_todays_clock(self._of.get(name, ())))

    def _by_todays_clock(self, restarts: Iterable[Restart]) -> Iterable[Restart]:
        for restart in restarts:
            jumped = self._jumped(restart)
            ended = None if restart.ended_wall is None else restart.ended_wall + jumped
            yield replace(restart, wall=restart.wall + jumped, ended_wall=ended) if jumped else restart

    def _jumped(self, restart: Restart) -> float:
        """How far the wall clock was set on since; 0 where that is not known, or so little that it is drift."""
        if restart.boot != self._boot or not restart.began:
            return 0.0
        jumped = self._clock.wall() - self._clock.monotonic() - (restart.wall - restart.began)
        return jumped if abs(jumped) >= DRIFT_SECONDS else 0.0
