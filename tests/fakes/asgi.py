"""A client of an app, without a network between them."""

import asyncio
from typing import Any

import httpx


class Client:
    """Speaks to one app."""

    def __init__(self, app: Any) -> None:
        """See :meth:`request`."""
        self._app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request in an event loop of its own."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **options)

    def head(self, path: str) -> httpx.Response:
        """HEAD."""
        return self.request("HEAD", path)
