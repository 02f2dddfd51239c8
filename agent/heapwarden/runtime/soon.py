"""Judgement between ticks: soon after the first news, and once for all that came with it."""

import asyncio

from heapwarden.runtime.ticker import JUDGED_AT_ONCE
from heapwarden.runtime.watch import Watch

GAP_SECONDS = 0.01
"""Between two publications: what many reporters say at once costs one snapshot."""


class Soon:
    """Judges what a watch has marked, at most every :data:`GAP_SECONDS`."""

    def __init__(self, watch: Watch) -> None:
        """Listen to ``watch``."""
        self._watch = watch
        watch.on_change = self.ask
        self._handle: asyncio.TimerHandle | None = None
        self._last = float("-inf")

    def ask(self) -> None:
        """Something was marked."""
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_at(max(loop.time(), self._last + GAP_SECONDS), self._turn)

    def cancel(self) -> None:
        """Forget what was asked."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        self._handle = None
        self._last = asyncio.get_running_loop().time()
        left = self._watch.judge(JUDGED_AT_ONCE)
        self._watch.publish()
        if left:
            self.ask()
