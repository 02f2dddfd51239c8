"""Keeps a table of pods up to date: a list, then a watch, and again whatever happens.

As the API wants it of its clients (API concepts, "Efficient detection of changes"): a watch that has ended goes on from
the last version, bookmarks included; one whose version is gone (410) begins with a new list.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from heapwarden.domain.errors import KubernetesError
from heapwarden.kubernetes.pod_table import PodTable
from heapwarden.kubernetes.selection import Selection
from heapwarden.kubernetes.service_account import ServiceAccount
from heapwarden.ports import Telemetry

if TYPE_CHECKING:
    from heapwarden.kubernetes.pod_stream import PodStream

log = logging.getLogger(__name__)

SOURCE = "pods"
"""As in the label ``source`` of counted faults."""
GONE, FORBIDDEN = 410, 403
LEAST_SECONDS, MOST_SECONDS = 1.0, 60.0
"""Before the next try; doubled with each that fails."""
_ADVICE = {
    401: "; the API does not take the agent's token",
    FORBIDDEN: "; the service account needs `list` and `watch` on `pods`",
}


class PodFeed:
    """One selection of pods, from the API into a table. Lives on the event loop."""

    def __init__(
        self,
        account: ServiceAccount,
        table: PodTable,
        telemetry: Telemetry,
        wanted: Selection,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is imported or asked yet."""
        self._account, self._table, self._telemetry = account, table, telemetry
        self._wanted, self._sleep = wanted, sleep
        self._failures = 0
        self._said: int | None = None
        """Status of the fault that was told last, until all is well again."""
        self._odd = False
        """Whether it was told that an object could not be read."""

    async def run(self) -> None:
        """Until cancelled. What is known stays known while the API is away."""
        while True:
            try:
                await self._session()
            except KubernetesError as error:
                wait = self._failed(error)
            except Exception as error:  # the edge of the task: labels must not be the end of the agent
                log.exception("reading pods failed; it is tried again")
                wait = self._failed(KubernetesError(f"reading pods: {error!r}"))
            self._table.current = False
            await self._sleep(wait)

    async def _session(self) -> None:
        """A list, and watches until one fails. Always raises."""
        stream = await asyncio.to_thread(_open, self._account, self._wanted)
        try:
            version = await self._list(stream)
            while True:
                before, loop = asyncio.get_running_loop().time(), asyncio.get_running_loop()
                version = await self._watch(stream, version)
                if loop.time() - before < LEAST_SECONDS:  # a server or a proxy that ends each at once
                    await self._sleep(LEAST_SECONDS * random.uniform(1.0, 2.0))  # noqa: S311  no secret
        finally:
            await stream.close()

    async def _list(self, stream: "PodStream") -> str:
        from heapwarden.kubernetes.pod_stream import MOST_PAGES  # noqa: PLC0415  heavy

        pods, page = [], await stream.page()
        for _ in range(MOST_PAGES):
            pods += page.pods
            if page.malformed:
                self._tell_odd(f"{page.malformed} pods")
            if not page.following:
                break
            page = await stream.page(page.following)
        self._table.replace(pods)
        return page.version

    async def _watch(self, stream: "PodStream", version: str) -> str:
        """One watch; gives the version to go on from, once it has ended as watches do."""
        from heapwarden.kubernetes.pod_stream import SilentError  # noqa: PLC0415  heavy

        try:
            async with stream.watch(version) as lines:
                self._table.current = True
                async for line in lines:
                    version = self._take(line) or version
                    self._well()
        except SilentError:
            pass
        self._well()
        return version

    def _take(self, line: bytes | None) -> str:
        """One event; gives its version, empty where it has none. Raises KubernetesError."""
        from heapwarden.kubernetes import pod_objects  # noqa: PLC0415  heavy

        if line is None:
            self._tell_odd("an object that is too long")
            return ""
        try:
            kind, object_ = pod_objects.event(line)
        except pod_objects.MalformedError as error:
            raise KubernetesError(f"reading pods: no event came: {error}") from error
        if kind == "ERROR":
            code, message = pod_objects.failure(object_)
            raise KubernetesError(" ".join(f"reading pods: {code} {message}".split()), code)
        try:
            if kind == "BOOKMARK":
                return pod_objects.version(object_)
            pod = pod_objects.pod(object_)
        except pod_objects.MalformedError as error:
            self._tell_odd(f"an object: {error}")
            return ""
        if kind == "DELETED":
            self._table.put(pod)
            self._table.drop(pod.uid)
        else:
            self._table.put(pod)
        return pod.version

    def _failed(self, error: KubernetesError) -> float:
        """Count it, say it once, and give the time to wait."""
        self._failures += 1
        if error.status == GONE and self._failures == 1:
            return 0.0
        self._telemetry.source_error(SOURCE, "error")
        if self._said != error.status:
            advice = _ADVICE.get(error.status, "")
            log.warning("%s%s. What is known of pods stays; it is asked again", error, advice)
            self._said = error.status
        wait = min(MOST_SECONDS, LEAST_SECONDS * 2.0 ** min(self._failures - 1, 10))
        return max(wait, error.retry_after_seconds or 0.0) * random.uniform(1.0, 1.25)  # noqa: S311  no secret

    def _well(self) -> None:
        self._failures = 0
        if self._said is not None:
            log.info("pods are read again: %d are known", len(self._table))
            self._said = None

    def _tell_odd(self, what: str) -> None:
        self._telemetry.source_error(SOURCE, "error")
        if not self._odd:
            log.warning("reading pods: %s could not be read, and is left out; this is said once", what)
        self._odd = True


def _open(account: ServiceAccount, wanted: Selection) -> "PodStream":
    """Blocks for some 100 ms, and imports some 6 MB, for the first time. Raises KubernetesError."""
    from heapwarden.kubernetes.pod_stream import PodStream  # noqa: PLC0415  heavy

    try:
        return PodStream(account, wanted)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise KubernetesError(f"reading pods: the service account's ca.crt: {error}") from error
