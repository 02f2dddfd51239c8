"""Time that tests own."""

import asyncio


class FakeClock:
    """A clock that moves only when told, or when someone sleeps by it."""

    def __init__(self, now: float = 1_000.0) -> None:
        """Begin at ``now``; wall time is a billion seconds ahead."""
        self.now = now
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def wall(self) -> float:
        """Unix time."""
        return self.now + 1_000_000_000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Sleeping is time passing."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class PatientClock(FakeClock):
    """A clock that moves only when told: whoever sleeps by it waits for that."""

    def __init__(self, now: float = 1_000.0) -> None:
        """Nobody sleeps."""
        super().__init__(now)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def advance(self, seconds: float) -> None:
        """Let time pass; wake whoever has slept for long enough."""
        super().advance(seconds)
        for until, sleeper in self._sleepers:
            if until <= self.now and not sleeper.done():
                sleeper.set_result(None)
        self._sleepers = [one for one in self._sleepers if not one[1].done()]

    async def sleep(self, seconds: float) -> None:
        """Until it has been told that so much time has passed."""
        self.slept.append(seconds)
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, sleeper))
        await sleeper

    def wake_all(self) -> None:
        """Let everybody go on as if their time had passed."""
        for _, sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
        self._sleepers.clear()
