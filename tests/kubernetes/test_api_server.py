"""The API server of these tests speaks as a real one does: watches that close, versions that are gone, and refusals."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from lightkube import ApiError, AsyncClient
from lightkube.resources.core_v1 import Pod

from fakes.kubernetes import ApiServer, api_server
from heapwarden.kubernetes.api import _open
from heapwarden.kubernetes.service_account import ServiceAccount

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that listens, with a pod on each of two nodes."""
    with api_server() as listening:
        listening.cluster.add_pod("api-1")
        listening.cluster.add_pod("api-2", node="node-2")
        yield listening


def client(server: ApiServer, folder: Path) -> AsyncClient:
    """The library's own, with nothing of ours around it but the way it is opened."""
    return _open(ServiceAccount.of(server.environment(folder / "account")), 30.0)


async def test_a_watch_goes_on_after_it_was_closed(server: ApiServer, tmp_path: Path) -> None:
    """From where it was; only pods of the node are told."""
    api, seen = client(server, tmp_path), []
    fields = {"spec.nodeName": "node-1"}
    listed = [pod.metadata.name async for pod in api.list(Pod, namespace="*", fields=fields) if pod.metadata]
    assert listed == ["api-1"]
    async with asyncio.timeout(60):
        watch = api.watch(Pod, namespace="*", fields=fields, resource_version=str(server.cluster.version))
        for name in ("api-3", "api-4"):
            server.cluster.add_pod(name)
            server.cluster.add_pod(f"{name}-elsewhere", node="node-2")
            what, pod = await anext(watch)
            seen.append((what, pod.metadata and pod.metadata.name))
            server.cluster.close_watches()
        await watch.aclose()  # type: ignore[attr-defined]  a generator
    assert seen == [("ADDED", "api-3"), ("ADDED", "api-4")]
    await api.close()


async def test_a_version_that_is_gone_is_said(server: ApiServer, tmp_path: Path) -> None:
    """410, within the stream."""
    api = client(server, tmp_path)
    server.cluster.compact()
    watch = api.watch(Pod, namespace="*", resource_version="100")
    with pytest.raises(ApiError, match="too old resource version") as caught:
        await anext(watch)
    assert caught.value.status.code == 410
    await api.close()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"renewTime": "2026-01-01T00:00:00Z"}, "cannot parse", id="no microseconds"),
        pytest.param({"leaseDurationSeconds": 0}, "must be at least 1", id="no time at all"),
    ],
)
def test_leases_that_a_real_server_refuses_are_refused(
    server: ApiServer, tmp_path: Path, spec: dict[str, object], said: str
) -> None:
    """Above all times without six digits after the point."""
    folder = server.account(tmp_path / "account")
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    connection = HTTPSConnection("127.0.0.1", server.port, timeout=30, context=context)
    body = json.dumps({"metadata": {"name": "api"}, "spec": spec})
    path = "/apis/coordination.k8s.io/v1/namespaces/apps/leases"
    connection.request("POST", path, body, {"Authorization": f"Bearer {server.token}"})
    answer = connection.getresponse()
    assert said in json.loads(answer.read())["message"]
    assert answer.status in (400, 422)
    connection.close()
