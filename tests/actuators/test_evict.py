"""Pods are evicted as far as disruption budgets allow, each once, and never a successor."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.judged import identity, restart_of
from fakes.kubernetes import ApiServer, api_server
from heapwarden.actuators.evict import EvictActuator
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method, Restart
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.kubernetes.service_account import ServiceAccount

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that listens, with one pod."""
    with api_server() as listening:
        listening.cluster.add_pod("api-1")
        yield listening


class Naps:
    """Sleep that only remembers, and lets something happen meanwhile."""

    def __init__(self, server: ApiServer) -> None:
        """Nobody has slept yet."""
        self.slept: list[float] = []
        self.budget_after: dict[int, int] = {}
        self.cluster = server.cluster

    async def __call__(self, seconds: float) -> None:
        """Remember; after so many naps the budget is another."""
        self.slept.append(seconds)
        self.cluster.budget = self.budget_after.get(len(self.slept), self.cluster.budget)


@asynccontextmanager
async def evictor(server: ApiServer, folder: Path, naps: Naps | None = None) -> AsyncIterator[EvictActuator]:
    """As the sidecar in the pod has it, whose processes the test's own is one of."""
    pod = server.cluster.pods["apps", "api-1"]
    environment = server.environment(folder / "account", pod)
    api = KubernetesApi(ServiceAccount.of(environment), 30.0)
    proc = folder / "proc" / str(os.getpid())
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "cgroup").write_text("0::/\n")
    try:
        yield EvictActuator(api, OwnPod(environment, proc.parent), sleep=naps or Naps(server))
    finally:
        await api.close()


def restart(grace: float = 30.0) -> Restart:
    """Of the test's own process."""
    return restart_of(os.getpid(), method=Method.EVICT, grace_seconds=grace)


@pytest.mark.parametrize(
    ("grace", "told"), [pytest.param(29.1, 30, id="whole seconds"), pytest.param(0.0, 1, id="never at once")]
)
async def test_the_pod_is_evicted_with_the_rules_grace(
    server: ApiServer, tmp_path: Path, grace: float, told: int
) -> None:
    """A grace of 0 would forget the pod before it has ended."""
    async with evictor(server, tmp_path) as evict:
        assert await evict.ask(restart(grace)) is None
        assert server.cluster.evictions == []
        assert await evict.terminate(restart(grace)) is None
    [(uid, grace_seconds)] = server.cluster.evictions
    assert (uid, grace_seconds) == (server.cluster.pods["apps", "api-1"]["metadata"]["uid"], told)


async def test_several_processes_of_a_pod_are_one_eviction(server: ApiServer, tmp_path: Path) -> None:
    """The second finds it done; a third is not begun at all."""
    async with evictor(server, tmp_path) as evict:
        await evict.terminate(restart())
        await evict.terminate(restart())
        refused = await evict.ask(restart())
        assert refused is not None
        assert (refused.code, refused.text) == ("sibling", "its pod api-1 is being evicted already")
    assert server.asked("POST") == 1


async def test_while_a_budget_does_not_allow_it_nothing_is_done(server: ApiServer, tmp_path: Path) -> None:
    """It is said, and asked again later each time, or when the API says so."""
    server.cluster.budget = 0
    async with evictor(server, tmp_path) as evict:
        waits = []
        for _ in range(8):
            refused = await evict.ask(restart())
            assert refused is not None
            assert refused.code == "disruption_budget"
            assert "Cannot evict pod as it would violate the pod's disruption budget" in refused.text
            waits.append(refused.again_seconds)
        assert 2 <= waits[0] <= 2.5
        assert 60 <= waits[-1] <= 75
        server.cluster.budget_lags = True
        refused = await evict.ask(restart())
        assert refused is not None
        assert 10 <= refused.again_seconds <= 12.5
        server.cluster.budget, server.cluster.budget_lags = 1, False
        assert await evict.ask(restart()) is None
        assert await evict.ask(restart()) is None
    assert server.cluster.evictions == []
    assert server.cluster.budget == 1


async def test_a_budget_that_was_just_spent_is_waited_for(server: ApiServer, tmp_path: Path) -> None:
    """The process is drained by then: for a moment, with a word in the note."""
    naps, server.cluster.budget = Naps(server), 0
    naps.budget_after = {2: 1}
    async with evictor(server, tmp_path, naps) as evict:
        note = await evict.terminate(restart())
    assert note is not None
    assert note.startswith("evicted at attempt 3, the last refusal was: evicting pod apps/api-1: 429")
    assert len(naps.slept) == 2
    assert len(server.cluster.evictions) == 1


async def test_a_budget_that_stays_spent_is_not_waited_for_long(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on serving instead, and is asked about again before the next drain."""
    monkeypatch.setattr("heapwarden.actuators.evict.PATIENCE_SECONDS", 3.0)
    naps, server.cluster.budget = Naps(server), 0
    async with evictor(server, tmp_path, naps) as evict:
        with pytest.raises(ActuationError, match="429 Cannot evict pod") as caught:
            await evict.terminate(restart())
    assert not caught.value.in_doubt
    assert len(naps.slept) == 1
    assert server.cluster.evictions == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param({"status": 403}, "403 it goes wrong; the service account needs `create` on", id="403"),
        pytest.param({"status": 404}, "404 it goes wrong; there is no such pod", id="404"),
        pytest.param({"status": 409}, "409 it goes wrong; another pod has its name", id="409"),
        pytest.param({"status": 401, "times": 2}, "401 it goes wrong; the API does not take", id="401"),
        pytest.param({"status": 400}, "400 it goes wrong", id="400"),
    ],
)
async def test_a_no_is_an_error_and_not_asked_again(
    server: ApiServer, tmp_path: Path, fault: dict[str, int], said: str
) -> None:
    """With what to do about it."""
    server.fail("eviction", **fault)
    naps = Naps(server)
    async with evictor(server, tmp_path, naps) as evict:
        with pytest.raises(ActuationError, match=said):
            await evict.terminate(restart())
    assert naps.slept == []
    assert server.cluster.evictions == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 429, "retry_after": 1}, id="overloaded"),
        pytest.param({"how": "close"}, id="cut off"),
        pytest.param({"how": "lost"}, id="done, and the answer lost"),
    ],
)
async def test_what_may_pass_is_asked_again(server: ApiServer, tmp_path: Path, fault: dict[str, int]) -> None:
    """That is safe: the uid says which pod is meant, and it goes only once."""
    server.fail("eviction", **fault)
    naps = Naps(server)
    async with evictor(server, tmp_path, naps) as evict:
        assert "evicted at attempt 2" in str(await evict.terminate(restart()))
    assert len(naps.slept) == 1
    assert len(server.cluster.evictions) == 1


async def test_where_no_answer_ever_comes_it_may_have_been_evicted(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that is said."""
    monkeypatch.setattr("heapwarden.actuators.evict.PATIENCE_SECONDS", 3.0)
    server.fail("eviction", how="lost", times=9)
    async with evictor(server, tmp_path) as evict:
        with pytest.raises(ActuationError, match="whether it was accepted is not known") as caught:
            await evict.terminate(restart())
    assert caught.value.in_doubt
    assert len(server.cluster.evictions) == 1


async def test_a_no_after_a_lost_answer_leaves_the_doubt(server: ApiServer, tmp_path: Path) -> None:
    """The first request may have been the one that counts."""
    server.fail("eviction", how="lost")
    server.fail("eviction", status=404)
    async with evictor(server, tmp_path) as evict:
        with pytest.raises(ActuationError, match="404") as caught:
            await evict.terminate(restart())
    assert caught.value.in_doubt
    assert len(server.cluster.evictions) == 1


@pytest.mark.parametrize("status", [403, 404, 409, 500])
async def test_what_goes_wrong_when_it_is_asked_holds_the_restart(
    server: ApiServer, tmp_path: Path, status: int
) -> None:
    """It is no budget's, and said so."""
    server.fail("dryRun=All", status=status)
    async with evictor(server, tmp_path) as evict:
        refused = await evict.ask(restart())
        assert refused is not None
        assert refused.code == "method"
        assert f"{status} it goes wrong; asked again in" in refused.text


async def test_a_successor_of_the_same_name_stays(server: ApiServer, tmp_path: Path) -> None:
    """The agent of the one before is still there."""
    async with evictor(server, tmp_path) as evict:
        server.cluster.add_pod("api-1")
        with pytest.raises(ActuationError, match="UID in the precondition"):
            await evict.terminate(restart())
    assert server.cluster.evictions == []


async def test_nothing_is_asked_for_a_process_that_has_ended(server: ApiServer, tmp_path: Path) -> None:
    """What came after it is healthy."""
    judged = identity(os.getpid())
    async with evictor(server, tmp_path) as evict:
        for gone in (
            restart_of(replace(judged, start=judged.start - 1), method=Method.EVICT),
            restart_of(judged, boot="another", method=Method.EVICT),
        ):
            with pytest.raises(ActuationError, match=r"ended already|booted since"):
                await evict.terminate(gone)
    assert server.requests == []


async def test_without_its_pods_name_nothing_is_asked(server: ApiServer) -> None:
    """It says which variables are missing."""
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    evict = EvictActuator(KubernetesApi(ServiceAccount.of(environment)), OwnPod({}))
    refused = await evict.ask(restart())
    assert refused is not None
    assert "HEAPWARDEN_POD_UID by the Downward API" in refused.text
    assert refused.again_seconds <= 5, "on a node, names come late"
    with pytest.raises(ActuationError, match="HEAPWARDEN_POD_UID"):
        await evict.terminate(restart())
    assert server.requests == []


async def test_it_does_not_kill(server: ApiServer, tmp_path: Path) -> None:
    """The kubelet does."""
    async with evictor(server, tmp_path) as evict:
        with pytest.raises(ActuationError, match="the kubelet kills"):
            await evict.kill(restart())
