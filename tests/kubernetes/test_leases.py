"""Places among restarts, by Leases of a server that speaks the protocol."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.clock import FakeClock
from fakes.journalled import a_restart
from fakes.kubernetes import ApiServer, api_server
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Plan, Restart
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.kubernetes.leases import LeaseCoordinator
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.kubernetes.service_account import ServiceAccount

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that listens, with nothing in it."""
    with api_server() as listening:
        yield listening


@asynccontextmanager
async def coordinator(
    server: ApiServer, folder: Path, pod: str = "api-1", clock: FakeClock | None = None
) -> AsyncIterator[LeaseCoordinator]:
    """As the agent in this pod has it."""
    environment = {**server.environment(folder / "account"), "HEAPWARDEN_POD_NAME": pod}
    api = KubernetesApi(ServiceAccount.of(environment), 30.0)
    try:
        yield LeaseCoordinator(api, OwnPod(environment), clock or FakeClock())
    finally:
        await api.close()


def restart(places: int = 1, pid: int = 7) -> Restart:
    """One that wants a place under lease ``api``."""
    return a_restart(process=ProcessId(pid, 42), name=Name("web", "0"), plan=Plan(lease="api", max_unavailable=places))


async def test_a_place_is_taken_renewed_and_left(server: ApiServer, tmp_path: Path) -> None:
    """The Lease says who has it, for how long, and since when; left, it is nobody's."""
    async with coordinator(server, tmp_path) as mine:
        assert await mine.take(restart(), 59.2) is None
        first = server.cluster.leases["apps", "api"]
        assert first["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "heapwarden"}
        assert first["spec"]["holderIdentity"] == "api-1/web/0/7-42"
        assert first["spec"]["leaseDurationSeconds"] == 60
        assert first["spec"]["leaseTransitions"] == 1
        assert await mine.take(restart(), 30.0) is None
        second = server.cluster.leases["apps", "api"]
        assert second["spec"]["acquireTime"] == first["spec"]["acquireTime"]
        assert second["spec"]["renewTime"] > first["spec"]["renewTime"]
        assert await mine.leave(restart())
        assert server.cluster.holder("api") == ""
        assert await mine.leave(restart())
        assert [one.holder for one in server.cluster.written] == ["api-1/web/0/7-42"] * 2 + [""]


async def test_of_many_that_want_it_at_once_one_gets_it(server: ApiServer, tmp_path: Path) -> None:
    """Whatever the order in which their requests arrive; those that were slower are told so."""
    pods = [f"api-{number}" for number in range(6)]
    async with asyncio.timeout(60):
        for places in (1, 2):
            server.cluster.leases.clear()
            answers = await asyncio.gather(*(_once(server, tmp_path, pod, places) for pod in pods))
            got = [answer for answer in answers if answer is None]
            assert 1 <= len(got) <= places
            assert {one.code for one in answers if one is not None} == {"coordination"}
            names = {name for _, name in server.cluster.leases}
            assert names <= {"api", "api-1"}


async def _once(server: ApiServer, folder: Path, pod: str, places: int) -> object:
    async with coordinator(server, folder, pod) as one:
        return await one.take(restart(places), 60.0)


async def test_whoever_has_to_wait_is_told_for_whom(server: ApiServer, tmp_path: Path) -> None:
    """Until it is left."""
    async with coordinator(server, tmp_path) as mine, coordinator(server, tmp_path, "api-2") as other:
        assert await mine.take(restart(), 60.0) is None
        refused = await other.take(restart(), 60.0)
        assert refused is not None
        assert refused.text == "lease api: 1 under way, held by api-1/web/0/7-42"
        assert await other.leave(restart())  # what it has not, it can't give back
        assert server.cluster.holder("api") == "api-1/web/0/7-42"
        assert await mine.leave(restart())
        assert await other.take(restart(), 60.0) is None


@pytest.mark.parametrize("holder", ["web-1_0f3c", ""])
async def test_a_lease_of_somebody_else_is_left_alone(server: ApiServer, tmp_path: Path, holder: str) -> None:
    """An app elects its leader by one of this name: it must not lose it, and least of all to a restart."""
    async with coordinator(server, tmp_path) as mine:
        assert await mine.take(restart(), 1.0) is None
        lease = server.cluster.leases["apps", "api"]
        lease["metadata"]["labels"] = {}
        lease["spec"] |= {"holderIdentity": holder, "leaseDurationSeconds": 1}
        clock = FakeClock()
        async with coordinator(server, tmp_path, "api-2", clock) as other:
            for _ in range(3):
                refused = await other.take(restart(2), 60.0)
                assert refused is not None
                assert "lease api: it is in use without the label app.kubernetes.io/managed-by" in refused.text
                clock.advance(100.0)
            assert await other.leave(restart(2))
    assert server.cluster.holder("api") == holder
    assert len(server.cluster.written) == 1


async def test_a_lease_that_a_manifest_has_made_is_taken(server: ApiServer, tmp_path: Path) -> None:
    """Nobody had it yet. So agents need no right to create any."""
    async with coordinator(server, tmp_path) as mine:
        assert await mine.take(restart(), 60.0) is None
        lease = server.cluster.leases["apps", "api"]
        lease["metadata"]["labels"] = {"team": "shop"}
        lease["spec"] = {}
        assert await mine.take(restart(), 60.0) is None
        assert server.cluster.leases["apps", "api"]["metadata"]["labels"] == {
            "team": "shop",
            "app.kubernetes.io/managed-by": "heapwarden",
        }
        assert await mine.take(restart(), 60.0) is None


async def test_a_holder_of_any_kind_is_shown_in_a_line(server: ApiServer, tmp_path: Path) -> None:
    """Whoever may write Leases can write a book there."""
    async with coordinator(server, tmp_path) as mine, coordinator(server, tmp_path, "api-2") as other:
        assert await mine.take(restart(), 60.0) is None
        server.cluster.leases["apps", "api"]["spec"]["holderIdentity"] = "\x1b[31m\n" + "x" * 100_000
        refused = await other.take(restart(), 60.0)
        assert refused is not None
        assert refused.text.startswith("lease api: 1 under way, held by ?[31m?xxx")
        assert len(refused.text) < 200


async def test_a_dead_holders_place_is_free_after_its_time_by_the_own_clock(server: ApiServer, tmp_path: Path) -> None:
    """From when it was last seen to change, whatever the times in it say; not from when it was written."""
    clock = FakeClock()
    async with coordinator(server, tmp_path) as mine, coordinator(server, tmp_path, "api-2", clock) as other:
        assert await mine.take(restart(), 60.0) is None
        server.cluster.leases["apps", "api"]["spec"]["renewTime"] = "2001-01-01T00:00:00.000001Z"
        assert await other.take(restart(), 60.0) is not None
        clock.advance(59.9)
        assert await other.take(restart(), 60.0) is not None
        server.cluster.leases["apps", "api"]["spec"]["renewTime"] = "2001-01-01T00:00:01.000001Z"
        clock.advance(59.9)
        assert await other.take(restart(), 60.0) is not None
        clock.advance(60.0)
        assert await other.take(restart(), 60.0) is None
        assert server.cluster.leases["apps", "api"]["spec"]["leaseTransitions"] == 2


async def test_the_next_life_of_an_agent_has_its_place_still(server: ApiServer, tmp_path: Path) -> None:
    """For the same process: what it goes on with has been coordinated."""
    async with coordinator(server, tmp_path) as mine:
        assert await mine.take(restart(), 60.0) is None
    async with coordinator(server, tmp_path) as again:
        assert await again.take(restart(), 60.0) is None
        assert await again.take(restart(pid=8), 60.0) is not None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param({"match": "GET", "status": 403}, "reading lease apps/api: 403", id="may not read"),
        pytest.param({"match": "POST", "status": 403}, "writing lease apps/api: 403", id="may not create"),
        pytest.param({"match": "GET", "status": 500}, "500", id="500"),
        pytest.param({"match": "GET", "how": "close"}, "disconnected", id="cut off"),
        pytest.param({"match": "GET", "how": "garbage"}, "JSON", id="garbage"),
        pytest.param({"match": "POST", "status": 409}, "another was faster", id="lost the race"),
    ],
)
async def test_in_doubt_there_is_no_place(server: ApiServer, tmp_path: Path, fault: dict[str, str], said: str) -> None:
    """Nobody is sure, it is said why, and asked again soon."""
    server.fail(**fault)
    async with coordinator(server, tmp_path) as mine:
        refused = await mine.take(restart(), 60.0)
        assert refused is not None
        assert (refused.code, refused.sure) == ("coordination", False)
        assert said in refused.text
        assert 0 < refused.again_seconds <= 60
        assert await mine.take(restart(), 60.0) is None


async def test_a_write_whose_answer_is_lost_is_found_by_the_next(server: ApiServer, tmp_path: Path) -> None:
    """It may have been done: then the place is its own, and left like any other."""
    server.fail("POST", how="lost")
    async with coordinator(server, tmp_path) as mine:
        assert await mine.take(restart(2), 60.0) is not None
        assert server.cluster.holder("api") == "api-1/web/0/7-42"
        assert await mine.take(restart(2), 60.0) is None
        assert server.cluster.holder("api-1") is None
        server.fail("PUT", status=500)
        assert not await mine.leave(restart(2))
        assert await mine.leave(restart(2))


async def test_someone_elses_lease_is_left_alone(server: ApiServer, tmp_path: Path) -> None:
    """One that is held without an end is never free."""
    clock = FakeClock()
    async with coordinator(server, tmp_path, clock=clock) as mine:
        assert await mine.take(restart(), 1.0) is None
        server.cluster.leases["apps", "api"]["spec"] = {"holderIdentity": "somebody"}
        for _ in range(3):
            assert await mine.take(restart(), 1.0) is not None
            clock.advance(100_000)


async def test_without_a_namespace_it_says_what_is_missing() -> None:
    """The variable's name."""
    refused = await LeaseCoordinator(KubernetesApi(ServiceAccount.of({})), OwnPod({}), FakeClock()).take(restart(), 1.0)
    assert refused is not None
    assert "set HEAPWARDEN_POD_NAMESPACE" in refused.text
