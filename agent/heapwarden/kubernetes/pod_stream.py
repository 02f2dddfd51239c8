"""List and watch of pods as requests: what comes is bounded, whatever goes wrong is a KubernetesError.

Imports the client's library; only :mod:`heapwarden.kubernetes.pod_feed` imports this, when it is needed.
"""

import asyncio
import random
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx2
from lightkube.config.client_adapter import BearerTokenFileAuth

from heapwarden.domain.errors import KubernetesError
from heapwarden.kubernetes import pod_objects
from heapwarden.kubernetes.api import TOLD_CHARACTERS
from heapwarden.kubernetes.selection import Selection
from heapwarden.kubernetes.service_account import ServiceAccount
from heapwarden.kubernetes.transport import BoundedTransport

MOST_LIST_BYTES = 32 * 2**20
"""Of one answer. 500 pods of 30 KB, large ones, are half of it."""
MOST_LINE_BYTES = 4 * 2**20
"""Of one event; the API's own limit for an object is 1.5 MiB."""
MOST_ERROR_BYTES = 64 * 2**10
MOST_PAGES = 1_000
PAGE_PODS = 500
ANSWER_SECONDS = 30.0
SILENCE_SECONDS = 90.0
"""A watch that brings nothing for so long is asked for anew; bookmarks come about once a minute."""
WATCH_SECONDS = 240
"""A watch ends after this and up to a quarter more, so that agents that began together don't go on so."""
WHAT = "reading pods"


class PodStream:
    """Requests with one selection of pods. Close it."""

    def __init__(self, account: ServiceAccount, wanted: Selection) -> None:
        """Blocks for some milliseconds: it reads the CA and builds a TLS context."""
        place = f"/namespaces/{wanted.namespace}" if wanted.namespace else ""
        self._url, self._fields = f"/api/v1{place}/pods", wanted.fields
        self._client = httpx2.AsyncClient(
            base_url=account.url,
            auth=BearerTokenFileAuth(str(account.folder / "token")),
            transport=BoundedTransport(account.folder / "ca.crt", sys.maxsize),
            timeout=httpx2.Timeout(ANSWER_SECONDS),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def page(self, following: str = "") -> pod_objects.Page:
        """One part of the list. Raises KubernetesError.

        Version 0 is what the API server has in its own memory, by node: without it each agent would have the whole
        cluster's pods read from etcd.
        """
        query = {"limit": str(PAGE_PODS), **({"continue": following} if following else {"resourceVersion": "0"})}
        async with self._asked(query, ANSWER_SECONDS) as response:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    data = await _all(response, MOST_LIST_BYTES)
            except TimeoutError as error:
                raise KubernetesError(f"{WHAT}: no whole answer within {ANSWER_SECONDS:g} s") from error
        try:
            return await asyncio.to_thread(pod_objects.page, data)
        except pod_objects.MalformedError as error:
            raise KubernetesError(f"{WHAT}: no list of pods came: {error}"[:TOLD_CHARACTERS]) from error

    @asynccontextmanager
    async def watch(self, version: str) -> AsyncIterator[AsyncIterator[bytes | None]]:
        """The lines of a watch from ``version`` on, None for one that is too long. They end when the API ends it."""
        seconds = WATCH_SECONDS * random.uniform(1.0, 1.25)  # noqa: S311  no secret
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        query["timeoutSeconds"] = f"{seconds:.0f}"
        async with self._asked(query, SILENCE_SECONDS) as response, aclosing(_lines(response)) as lines:
            yield lines

    @asynccontextmanager
    async def _asked(self, query: Mapping[str, str], silence_seconds: float) -> AsyncIterator[httpx2.Response]:
        """A response that is a success, to be read. What goes wrong while it is read is translated too."""
        timeout = httpx2.Timeout(ANSWER_SECONDS, read=silence_seconds)
        params = {**query, "fieldSelector": self._fields}
        try:
            async with self._client.stream("GET", self._url, params=params, timeout=timeout) as response:
                await _check(response)
                yield response
        except KubernetesError:
            raise
        except httpx2.ReadTimeout as error:
            raise SilentError(f"{WHAT}: nothing came within {silence_seconds:g} s") from error
        except Exception as error:  # whatever the library makes of what came, or of a token that is not there
            raise KubernetesError(f"{WHAT}: {str(error) or type(error).__name__}"[:TOLD_CHARACTERS]) from error


class SilentError(KubernetesError):
    """Nothing came for some time, as may be where nothing happens."""


async def _all(response: httpx2.Response, most_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > most_bytes:
            raise KubernetesError(f"{WHAT}: the answer has more than {most_bytes:,} bytes")
    return bytes(data)


async def _lines(response: httpx2.Response) -> AsyncGenerator[bytes | None]:
    """Those that are not empty; None in place of one that is too long."""
    rest, skipping = b"", False
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if skipping:
                    skipping = False
                elif line:
                    yield line
            if len(rest) > MOST_LINE_BYTES or skipping:
                if not skipping:
                    yield None
                rest, skipping = b"", True


async def _check(response: httpx2.Response) -> None:
    if response.status_code == httpx2.codes.OK:
        return
    _, message = pod_objects.failure(await _all(response, MOST_ERROR_BYTES))
    text = " ".join(f"{WHAT}: {response.status_code} {message}".split())[:TOLD_CHARACTERS]
    seconds = response.headers.get("Retry-After", "")
    after = float(seconds) if seconds.isascii() and seconds.isdigit() else None
    raise KubernetesError(text, response.status_code, retry_after_seconds=after)
