"""An answer that a coroutine waits for and a thread gives: up to a deadline, and after that not at all."""

import asyncio
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Ticket(Generic[T]):
    """One question. Made on the event loop that waits for the answer."""

    def __init__(self) -> None:
        """Nobody has given up yet."""
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[T] = self._loop.create_future()
        self._turn = threading.Lock()
        self._claimed = self._given_up = False

    async def wait(self, seconds: float) -> T | None:
        """The answer; None when none came in time, and then what was not claimed yet never will be."""
        done, _ = await asyncio.wait((self._answer,), timeout=seconds)
        if done:
            return self._answer.result()
        with self._turn:
            self._given_up = not self._claimed
        return None

    def claim(self) -> bool:
        """In the thread: whether it is still to be done; from here on nobody can take that back."""
        with self._turn:
            self._claimed = not self._given_up
            return self._claimed

    def give(self, answer: T) -> None:
        """In the thread: answer, whether or not somebody still waits."""
        try:
            self._loop.call_soon_threadsafe(self._set, answer)
        except RuntimeError:  # the loop has ended
            return

    def _set(self, answer: T) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)
