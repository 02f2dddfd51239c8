"""Calls that may block, kept away from the tick: each has a daemon thread of its own and a deadline.

A call that misses its deadline goes on in its thread; until it returns, that thread is not asked again. The threads
are daemons so that one that hangs in the kernel can't hold up the agent's end.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from heapwarden.ports import Telemetry

log = logging.getLogger(__name__)

T = TypeVar("T")


class Fetcher(Generic[T]):
    """One source's blocking calls."""

    def __init__(self, name: str, telemetry: Telemetry) -> None:
        """Start the thread; ``name`` is the label under which failures are counted."""
        self._name = name
        self._telemetry = telemetry
        self._calls: queue.SimpleQueue[tuple[Callable[[], T], asyncio.Future[T], asyncio.AbstractEventLoop] | None]
        self._calls = queue.SimpleQueue()
        self._pending: asyncio.Future[T] | None = None
        self._failing = False
        threading.Thread(target=self._work, name=f"heapwarden-{name}", daemon=True).start()

    async def fetch(self, call: Callable[[], T], deadline_seconds: float) -> T | None:
        """The call's result; None when it failed, or did not return in time (then and while it still runs).

        A result that came after its deadline is taken next time, so that a slow source is late and not lost.
        """
        if self._pending is None:
            loop = asyncio.get_running_loop()
            self._pending = loop.create_future()
            self._calls.put((call, self._pending, loop))
        done, _ = await asyncio.wait((self._pending,), timeout=deadline_seconds)
        if not done:
            self._fail("timeout", f"did not answer within {deadline_seconds:g} s")
            return None
        finished, self._pending = self._pending, None
        error = finished.exception()
        if error is not None:
            self._fail("error", f"failed: {error!r}")
            return None
        self._failing = False
        return finished.result()

    def close(self) -> None:
        """Let the thread end once its last call has returned."""
        self._calls.put(None)

    def _fail(self, reason: str, what: str) -> None:
        self._telemetry.source_error(self._name, reason)
        if not self._failing:
            log.warning("source %s %s; its last figures stay", self._name, what)
        self._failing = True

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            call, future, loop = job
            try:
                result = call()
            except Exception as error:  # noqa: BLE001  the edge of a thread: told to whoever waits, counted there
                self._tell(loop, future.set_exception, error)
            else:
                self._tell(loop, future.set_result, result)

    @staticmethod
    def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], what: object) -> None:
        try:
            loop.call_soon_threadsafe(tell, what)
        except RuntimeError:
            log.debug("the loop had ended before the answer came")
