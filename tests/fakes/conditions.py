"""Waiting for what must come true."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T], seconds: float = 15.0) -> T:
    """The first true value of ``condition``, looked at often; fails at the deadline with the last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s; last seen: {value!r}")
        await asyncio.sleep(0.01)
    return value


def wait_for(condition: Callable[[], T], seconds: float = 30.0, every: float = 0.05) -> T:
    """The same for tests without a loop."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s; last seen: {value!r}")
        time.sleep(every)
    return value
