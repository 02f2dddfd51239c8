"""The clock of the machine."""

import asyncio
import time


class SystemClock:
    """Real time; see :class:`heapwarden.ports.Clock`."""

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC, seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix time, seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        await asyncio.sleep(seconds)
