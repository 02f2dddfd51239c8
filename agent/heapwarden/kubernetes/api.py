"""The few requests to the Kubernetes API, each within a deadline, each error in words.

The client's library is imported, and files are read, in a thread: the agent's loop goes on meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from heapwarden.domain.errors import KubernetesError
from heapwarden.kubernetes.service_account import INSTALL, ServiceAccount, client_installed
from heapwarden.ports import Pod

if TYPE_CHECKING:
    from lightkube import AsyncClient
    from lightkube.resources.coordination_v1 import Lease

T = TypeVar("T")

DEADLINE_SECONDS = 10.0
CLOSE_SECONDS = 2.0
TOLD_CHARACTERS = 300


class KubernetesApi:
    """The API as the pod's service account may use it. Nothing is imported or opened before the first request."""

    def __init__(self, account: ServiceAccount, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        """``deadline_seconds`` is for each request, whatever it waits for."""
        self._account, self._deadline_seconds = account, deadline_seconds
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def evict(self, pod: Pod, grace_seconds: int, *, dry_run: bool) -> None:
        """Ask for the eviction of this very pod. Raises KubernetesError.

        With ``dry_run`` the API only says whether it would: disruption budgets are looked at and not spent.
        """

        async def post(client: "AsyncClient") -> None:
            from lightkube.models.meta_v1 import DeleteOptions, ObjectMeta, Preconditions  # noqa: PLC0415  heavy
            from lightkube.resources.core_v1 import PodEviction  # noqa: PLC0415  as above

            options = DeleteOptions(gracePeriodSeconds=grace_seconds, preconditions=Preconditions(uid=pod.uid))
            metadata = ObjectMeta(name=pod.name, namespace=pod.namespace)
            eviction = PodEviction(metadata=metadata, deleteOptions=options)
            request: Any = client.create  # its overloads name no class that evictions are of
            await request(eviction, pod.name, namespace=pod.namespace, dry_run=dry_run)

        await self._ask(f"evicting pod {pod.namespace}/{pod.name}", post)

    async def lease(self, namespace: str, name: str) -> "Lease | None":
        """The Lease of this name; None where there is none. Raises KubernetesError."""

        async def get(client: "AsyncClient") -> "Lease":
            from lightkube.resources.coordination_v1 import Lease  # noqa: PLC0415  heavy

            return await client.get(Lease, name, namespace=namespace)

        try:
            return await self._ask(f"reading lease {namespace}/{name}", get)
        except KubernetesError as error:
            if error.status == 404:  # noqa: PLR2004  HTTP's Not Found
                return None
            raise

    async def write_lease(self, lease: "Lease") -> None:
        """Create it, or replace the version that it was read as. Raises KubernetesError, 409 where it has changed."""

        async def write(client: "AsyncClient") -> None:
            known = lease.metadata is not None and lease.metadata.resourceVersion is not None
            await (client.replace(lease) if known else client.create(lease))

        metadata = lease.metadata
        name = f"{metadata.namespace}/{metadata.name}" if metadata is not None else "?"
        await self._ask(f"writing lease {name}", write)

    async def close(self) -> None:
        """Close all connections; they are opened again where something is asked after that."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # nothing is wanted from them any more
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.close()

    def unusable(self) -> str | None:
        """Why nothing can be asked here at all, as far as that is known without asking."""
        if not client_installed():
            return f"the client of the Kubernetes API is not installed: {INSTALL}"
        if not self._account.host:
            return "KUBERNETES_SERVICE_HOST is not set: the agent does not run in a Kubernetes pod"
        return None

    async def _ask(self, what: str, request: Callable[["AsyncClient"], Awaitable[T]]) -> T:
        why = self.unusable()
        if why is not None:
            raise KubernetesError(why)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await request(await self._opened())
        except TimeoutError as error:
            await self.close()
            raise KubernetesError(f"{what}: no answer within {self._deadline_seconds:g} s") from error
        except Exception as error:  # whatever the library makes of what came
            told = _told(what, error)
            if not told.status:  # another address, CA or token may be right by now
                await self.close()
            raise told from error

    async def _opened(self) -> "AsyncClient":
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_open, self._account, self._deadline_seconds)
            return self._client


def _open(account: ServiceAccount, deadline_seconds: float) -> "AsyncClient":
    """Blocks for some 50 ms, and imports some 6 MB, for the first time."""
    import httpx2  # noqa: PLC0415  heavy
    from lightkube import AsyncClient, SingleConfig  # noqa: PLC0415  as above
    from lightkube.config.models import Cluster, Context, User  # noqa: PLC0415  as above

    from heapwarden.kubernetes.transport import BoundedTransport  # noqa: PLC0415  as above

    ca = account.folder / "ca.crt"
    config = SingleConfig(
        context_name="in-cluster",
        context=Context(cluster="in-cluster", user="agent"),
        cluster=Cluster(server=account.url, certificate_auth=str(ca)),
        user=User(token_file=str(account.folder / "token")),
    )
    timeout = httpx2.Timeout(deadline_seconds)
    return AsyncClient(config, timeout=timeout, trust_env=False, transport=BoundedTransport(ca))


def _response(error: BaseException | None) -> Any:
    """What was answered; None: nothing. Where the library can't read it, its error has the status's own as context."""
    while error is not None and not isinstance(error, KubernetesError):  # that would be of an earlier request
        response = getattr(error, "response", None)
        if response is not None:
            return response
        error = error.__context__
    return None


def _told(what: str, error: Exception) -> KubernetesError:
    """The library's error in our words: what was asked, what the API says, when to come again."""
    response = _response(error)
    if response is None:
        return KubernetesError(f"{what}: {str(error) or type(error).__name__}"[:TOLD_CHARACTERS])
    status = getattr(error, "status", None)
    said = getattr(status, "message", None) or ""
    details = getattr(status, "details", None)
    causes = frozenset(cause.reason for cause in (details and details.causes) or () if cause.reason)
    text = " ".join(f"{what}: {response.status_code} {said}".split())[:TOLD_CHARACTERS]
    seconds = response.headers.get("Retry-After", "")
    after = float(seconds) if seconds.isascii() and seconds.isdigit() else None
    return KubernetesError(text, response.status_code, retry_after_seconds=after, causes=causes)
