"""The client against a server that speaks the protocol: what is asked, what is made of each answer, and how long."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.kubernetes import ApiServer, api_server
from heapwarden.domain.errors import KubernetesError
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.kubernetes.service_account import ServiceAccount
from heapwarden.ports import Pod

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that listens, with nothing in it."""
    with api_server() as listening:
        yield listening


@asynccontextmanager
async def client(server: ApiServer, folder: Path, seconds: float = 30.0) -> AsyncIterator[KubernetesApi]:
    """The API as a pod has it whose service account is in ``folder``."""
    api = KubernetesApi(ServiceAccount.of(server.environment(folder / "account")), seconds)
    try:
        yield api
    finally:
        await api.close()


def a_pod(server: ApiServer) -> Pod:
    """One that runs."""
    metadata = server.cluster.add_pod("api-1")["metadata"]
    return Pod("apps", "api-1", metadata["uid"])


async def test_a_pod_is_evicted_with_its_grace(server: ApiServer, tmp_path: Path) -> None:
    """This very pod; a dry run leaves it alone."""
    pod = a_pod(server)
    async with client(server, tmp_path) as api:
        await api.evict(pod, 7, dry_run=True)
        assert server.cluster.evictions == []
        await api.evict(pod, 7, dry_run=False)
    assert server.cluster.evictions == [(pod.uid, 7)]
    assert server.asked("POST /api/v1/namespaces/apps/pods/api-1/eviction") == 2


async def test_a_successor_of_the_same_name_is_not_evicted(server: ApiServer, tmp_path: Path) -> None:
    """The uid says which pod is meant."""
    pod = a_pod(server)
    a_pod(server)
    async with client(server, tmp_path) as api:
        with pytest.raises(KubernetesError, match="UID in the precondition") as caught:
            await api.evict(pod, 7, dry_run=False)
    assert caught.value.status == 409
    assert server.cluster.evictions == []


async def test_a_budget_says_no(server: ApiServer, tmp_path: Path) -> None:
    """With its cause, and with the time to come again where the API names one."""
    pod, server.cluster.budget = a_pod(server), 0
    async with client(server, tmp_path) as api:
        with pytest.raises(KubernetesError, match=r"evicting pod apps/api-1: 429 Cannot evict pod") as caught:
            await api.evict(pod, 7, dry_run=True)
        assert (caught.value.retry_after_seconds, caught.value.causes) == (None, {"DisruptionBudget"})
        server.cluster.budget_lags = True
        with pytest.raises(KubernetesError) as caught:
            await api.evict(pod, 7, dry_run=False)
        assert caught.value.retry_after_seconds == 10


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        pytest.param({"status": 403}, 403, "403 it goes wrong", id="403"),
        pytest.param({"status": 500}, 500, "500 it goes wrong", id="500"),
        pytest.param({"status": 503, "retry_after": 3}, 503, "503 it goes wrong", id="503"),
        pytest.param({"how": "html"}, 502, "502", id="a proxy's page"),
        pytest.param({"how": "bare", "status": 403}, 403, "403", id="an answer of no type"),
        pytest.param({"how": "garbage", "status": 429}, 429, "429", id="garbage with a status"),
        pytest.param({"how": "garbage"}, 0, "JSON", id="garbage"),
        pytest.param({"how": "huge"}, 0, "more than 1,048,576 bytes", id="an endless answer"),
        pytest.param({"how": "close"}, 0, "disconnected", id="a connection that is cut"),
    ],
)
async def test_what_goes_wrong_is_told(
    server: ApiServer, tmp_path: Path, fault: dict[str, int], status: int, said: str
) -> None:
    """And the next request goes well."""
    server.fail("GET .*leases/api", **fault)
    async with client(server, tmp_path) as api:
        with pytest.raises(KubernetesError, match=f"reading lease apps/api: .*{said}") as caught:
            await api.lease("apps", "api")
        assert caught.value.status == status
        assert caught.value.retry_after_seconds == fault.get("retry_after")
        assert await api.lease("apps", "api") is None


async def test_a_server_that_hangs_is_not_waited_for(server: ApiServer, tmp_path: Path) -> None:
    """Longer than the deadline."""
    server.fail("GET", how="hang")
    async with client(server, tmp_path, seconds=0.5) as api:
        with pytest.raises(KubernetesError, match=r"no answer within 0\.5 s"):
            await api.lease("apps", "api")


async def test_a_token_that_was_rotated_is_read_again(server: ApiServer, tmp_path: Path) -> None:
    """The old one is refused, the file has the new one, and nobody sees an error."""
    async with client(server, tmp_path) as api:
        assert await api.lease("apps", "api") is None
        server.token = "token-2"  # noqa: S105  nobody's
        server.account(tmp_path / "account")
        assert await api.lease("apps", "api") is None
        server.token = "token-3"  # noqa: S105  nobody's, and not in the file yet
        with pytest.raises(KubernetesError, match="401 Unauthorized"):
            await api.lease("apps", "api")


@pytest.mark.parametrize("text", ["", "secret-1\nsecret-2", "secret\0", "secr\N{LATIN SMALL LETTER E WITH ACUTE}t"])
async def test_what_is_no_token_is_not_shown(server: ApiServer, tmp_path: Path, text: str) -> None:
    """It may be half of one, or two: errors go to logs, to the page, and into the journal. The next is read anew."""
    async with client(server, tmp_path) as api:
        (tmp_path / "account" / "token").write_text(text)
        with pytest.raises(KubernetesError, match="does not hold one") as caught:
            await api.lease("apps", "api")
        assert "secr" not in str(caught.value)
        server.account(tmp_path / "account")
        assert await api.lease("apps", "api") is None


async def test_files_that_come_later_are_read_then(server: ApiServer, tmp_path: Path) -> None:
    """A volume may be mounted after the agent has begun; and an authority may change."""
    async with client(server, tmp_path) as api:
        ca = tmp_path / "account" / "ca.crt"
        right = ca.read_bytes()
        ca.unlink()
        with pytest.raises(KubernetesError, match="No such file"):
            await api.lease("apps", "api")
        ca.write_bytes(right)
        assert await api.lease("apps", "api") is None


async def test_another_authority_is_not_trusted(server: ApiServer, tmp_path: Path) -> None:
    """Whoever answers must have a certificate of the cluster's own; the token is not shown to others."""
    import trustme  # noqa: PLC0415  of this test alone

    async with client(server, tmp_path) as api:
        (tmp_path / "account" / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
        with pytest.raises(KubernetesError, match="CERTIFICATE_VERIFY_FAILED"):
            await api.lease("apps", "api")
    assert server.requests == []


async def test_variables_for_proxies_and_authorities_change_nothing(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the app's, whose container may share them: the API is the cluster's own, and so is its authority."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with client(server, tmp_path) as api:
        assert await api.lease("apps", "api") is None


async def test_the_token_follows_nobody(server: ApiServer, tmp_path: Path) -> None:
    """Who answers with another address is not the API, whatever it wants."""
    with api_server() as other:
        server.fail("GET", how="elsewhere", elsewhere=f"https://127.0.0.1:{other.port}/")
        async with client(server, tmp_path) as api:
            with pytest.raises(KubernetesError, match="reading lease apps/api: 307"):
                await api.lease("apps", "api")
    assert other.requests == []


async def test_nothing_listens(tmp_path: Path, server: ApiServer) -> None:
    """Told with the address's error, and soon."""
    environment = {**server.environment(tmp_path / "account"), "KUBERNETES_SERVICE_PORT": "1"}
    with pytest.raises(KubernetesError, match=r"reading lease apps/api: .*connection") as caught:
        await KubernetesApi(ServiceAccount.of(environment)).lease("apps", "api")
    assert caught.value.status == 0


async def test_outside_of_kubernetes_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And without the extra, what to install."""
    api = KubernetesApi(ServiceAccount.of({}))
    with pytest.raises(KubernetesError, match="KUBERNETES_SERVICE_HOST is not set"):
        await api.lease("apps", "api")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(KubernetesError, match=r"pip install 'heapwarden\[kubernetes\]'"):
        await api.lease("apps", "api")


def test_addresses_of_both_kinds() -> None:
    """IPv6 in brackets."""
    hosts = {"10.0.0.1": "https://10.0.0.1:443", "fd00::1": "https://[fd00::1]:443"}
    for host, url in hosts.items():
        assert ServiceAccount.of({"KUBERNETES_SERVICE_HOST": host}).url == url


def test_an_agent_that_needs_it_not_does_not_import_it() -> None:
    """It costs memory, and the agent is in every pod."""
    script = "import sys, heapwarden.bootstrap; print(sorted({'lightkube', 'httpx2', 'msgspec'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
