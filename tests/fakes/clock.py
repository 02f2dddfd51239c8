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
