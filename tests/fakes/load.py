"""Requests in an even stream, each counted, while something happens to who answers them."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import httpx


@dataclass
class Load:
    """GET ``url`` so many times a second, in a thread of its own, from entering to leaving the context.

    Leaving waits for the answers that are under way. No request is made twice, and none waits for another.
    """

    url: str
    per_second: float = 4.0
    timeout_seconds: float = 60.0
    failures: Counter[str] = field(default_factory=Counter)
    """By what went wrong: the status, or the error's name."""
    requests: int = 0
    answered: int = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=f"load {self.url}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, once everything is answered."""
        self._stop.set()
        self._thread.join()

    @property
    def failed(self) -> int:
        """Requests that were not answered by 200."""
        return sum(self.failures.values())

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        begin = time.monotonic()
        async with (
            httpx.AsyncClient(timeout=self.timeout_seconds, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as under_way,
        ):
            while not self._stop.is_set():
                under_way.create_task(self._ask(client))
                self.requests += 1
                due = begin + self.requests / self.per_second
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            status = (await client.get(self.url)).status_code
        except httpx.HTTPError as error:
            self.failures[type(error).__name__] += 1
            return
        if status == httpx.codes.OK:
            self.answered += 1
        else:
            self.failures[str(status)] += 1
