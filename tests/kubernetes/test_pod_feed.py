"""The table of pods kept up to date from an API server that speaks the protocol, whatever goes wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.kubernetes import ApiServer, api_server
from fakes.kubernetes_objects import Cluster, Json
from fakes.telemetry import FakeTelemetry
from heapwarden.domain.exit import Termination
from heapwarden.kubernetes import pod_feed as module
from heapwarden.kubernetes import pod_stream
from heapwarden.kubernetes.pod_feed import PodFeed
from heapwarden.kubernetes.pod_table import PodTable
from heapwarden.kubernetes.selection import Selection
from heapwarden.kubernetes.service_account import ServiceAccount

pytestmark = pytest.mark.anyio

NODE = Selection("", "spec.nodeName=node-1")
LISTS, WATCHES = r"/pods\?limit", r"/pods\?watch"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other quickly."""
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.02)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that listens, with a pod on each of two nodes."""
    with api_server() as listening:
        listening.cluster.add_pod("api-1")
        listening.cluster.add_pod("elsewhere", node="node-2")
        yield listening


class World:
    """A feed that runs."""

    def __init__(self, server: ApiServer, folder: Path, wanted: Selection) -> None:
        """Not yet."""
        self.server, self.table, self.telemetry = server, PodTable(), FakeTelemetry()
        self.slept: list[float] = []
        account = ServiceAccount.of(server.environment(folder / "account"))
        self.feed = PodFeed(account, self.table, self.telemetry, wanted, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.1))

    @property
    def faults(self) -> int:
        """How many were counted."""
        return self.telemetry.counts["source", "pods", "error"]

    def names(self) -> list[str]:
        """Of the pods that are there."""
        return sorted(pod.name for pod in self.table._pods.values())

    async def sees(self, *names: str) -> None:
        """Wait for these and no others to be there."""
        await eventually(lambda: self.names() == sorted(names))

    async def watching(self, times: int = 1) -> None:
        """Wait for so many watches to have begun."""
        await eventually(lambda: self.table.current and self.server.asked(WATCHES) >= times)


@asynccontextmanager
async def fed(server: ApiServer, folder: Path, wanted: Selection = NODE) -> AsyncIterator[World]:
    """A feed that runs until the end."""
    world = World(server, folder, wanted)
    task = asyncio.create_task(world.feed.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ended(name: str = "app", reason: str = "OOMKilled", code: int = 137) -> Json:
    """The status of a pod whose container has been ended and started again."""
    end = {"exitCode": code, "reason": reason, "containerID": "containerd://aa"}
    now = {"name": name, "containerID": "containerd://bb", "state": {"running": {}}, "lastState": {"terminated": end}}
    return {"phase": "Running", "containerStatuses": [now]}


async def test_pods_of_the_node_come_change_and_go(server: ApiServer, tmp_path: Path) -> None:
    """One list from the server's memory, one watch, and no pod of another node."""
    async with fed(server, tmp_path) as world:
        await world.sees("api-1")
        await world.watching()
        server.cluster.add_pod("api-2")
        server.cluster.add_pod("elsewhere-2", node="node-2")
        await world.sees("api-1", "api-2")
        uid = server.cluster.pods["apps", "api-1"]["metadata"]["uid"]
        server.cluster.change_pod("api-1", status=ended())
        await eventually(
            lambda: (known := world.table.find(uid)) and known.ends == {"aa": Termination("OOMKilled", 137)}
        )
        server.cluster.remove_pod("api-1")
        await world.sees("api-2")
    assert (server.asked(LISTS), server.asked(WATCHES)) == (1, 1)
    assert server.asked(r"resourceVersion=0&fieldSelector=spec\.nodeName%3Dnode-1") == 1


async def test_a_sidecar_asks_for_its_own_pod_alone(server: ApiServer, tmp_path: Path) -> None:
    """In its namespace, by its name."""
    server.cluster.add_pod("api-2")
    async with fed(server, tmp_path, Selection("apps", "metadata.name=api-2")) as world:
        await world.sees("api-2")
    assert server.asked(r"/namespaces/apps/pods\?.*fieldSelector=metadata\.name%3Dapi-2") >= 1


async def test_a_watch_that_ends_goes_on_from_the_newest_version(server: ApiServer, tmp_path: Path) -> None:
    """Without a list; a bookmark counts as news."""
    async with fed(server, tmp_path) as world:
        await world.watching()
        server.cluster.add_pod("elsewhere-2", node="node-2")
        server.cluster.bookmark()
        newest = server.cluster.version
        for times in (2, 3, 4):
            await asyncio.to_thread(server.cluster.close_watches)
            await world.watching(times)
            if server.asked(f"watch.*resourceVersion={newest}"):
                break
        await eventually(lambda: server.asked(f"watch.*resourceVersion={newest}"))
        server.cluster.add_pod("api-2")
        await world.sees("api-1", "api-2")
        assert server.asked(LISTS) == 1
        assert world.faults == 0


async def test_a_version_that_is_gone_begins_with_a_new_list(server: ApiServer, tmp_path: Path) -> None:
    """At once, and without a word: it is what happens after a pause."""
    async with fed(server, tmp_path) as world:
        await world.watching()
        server.fail(WATCHES, status=410)
        server.cluster.compact()
        server.cluster.close_watches()
        await eventually(lambda: server.asked(LISTS) >= 2)
        server.cluster.add_pod("api-2")
        await world.sees("api-1", "api-2")


async def test_versions_that_are_gone_for_ever_are_not_asked_for_in_a_hurry(server: ApiServer, tmp_path: Path) -> None:
    """Each list's version being gone is a fault, and waited for as one."""
    server.fail(WATCHES, status=410, times=5)
    async with fed(server, tmp_path) as world:
        await world.watching(6)
        assert world.slept[0] == 0
        assert world.slept[1:5] == sorted(world.slept[1:5])
        assert world.slept[1] > 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param({"status": 403}, "the service account needs `list` and `watch` on `pods`", id="403"),
        pytest.param({"status": 500}, "500 it goes wrong", id="500"),
        pytest.param({"status": 429, "retry_after": 7}, "429 it goes wrong", id="429"),
        pytest.param({"how": "garbage"}, "no list of pods came", id="garbage"),
        pytest.param({"how": "html"}, "502", id="a proxy's page"),
        pytest.param({"how": "close"}, "reading pods: ", id="closed"),
    ],
)
async def test_what_goes_wrong_is_said_once_and_tried_again(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Json, words: str
) -> None:
    """Longer each time, or as the API says; counted each time."""
    caplog.set_level(logging.INFO)
    server.fail(LISTS, times=3, **fault)
    async with fed(server, tmp_path) as world:
        await world.sees("api-1")
        server.cluster.add_pod("api-2")
        await world.sees("api-1", "api-2")
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert words in warned[0]
    assert world.faults == 3
    assert any("pods are read again" in record.message for record in caplog.records)
    if fault.get("retry_after"):
        assert min(world.slept[:3]) >= 7
    else:
        assert world.slept[:3] == sorted(world.slept[:3])


async def test_what_is_known_stays_while_the_api_is_away(server: ApiServer, tmp_path: Path) -> None:
    """Refused, or cut off in the middle: labels don't change, and nobody waits for ends that are not told."""
    async with fed(server, tmp_path) as world:
        await world.watching()
        server.fail("/pods", status=403, times=10_000)
        server.cluster.close_watches()
        await eventually(lambda: not world.table.current and world.faults)
        assert world.names() == ["api-1"]
        server.faults.clear()
        await eventually(lambda: world.table.current)
        assert world.names() == ["api-1"]


async def test_rights_to_list_without_rights_to_watch(server: ApiServer, tmp_path: Path) -> None:
    """Names are there and ends are not told; not said with each try."""
    server.cluster.rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    async with fed(server, tmp_path) as world:
        await world.sees("api-1")
        await eventually(lambda: world.faults >= 3)
        assert not world.table.current


async def test_a_token_that_was_rotated_is_read_again(server: ApiServer, tmp_path: Path) -> None:
    """Without a restart, and without a fault."""
    async with fed(server, tmp_path) as world:
        await world.watching()
        server.token = "token-2"  # noqa: S105  nobody's
        server.account(tmp_path / "account")
        server.cluster.close_watches()
        await world.watching(2)
        server.cluster.add_pod("api-2")
        await world.sees("api-1", "api-2")
        assert world.faults == 0


async def test_a_token_that_is_not_there_yet(server: ApiServer, tmp_path: Path) -> None:
    """The files of the service account are looked for again."""
    world = World(server, tmp_path, NODE)
    hidden = {name: (tmp_path / "account" / name).read_bytes() for name in ("token", "ca.crt")}
    for name in hidden:
        (tmp_path / "account" / name).unlink()
    task = asyncio.create_task(world.feed.run())
    await eventually(lambda: world.faults)
    (tmp_path / "account" / "ca.crt").write_bytes(hidden["ca.crt"])
    await eventually(lambda: world.faults >= 3)
    (tmp_path / "account" / "token").write_bytes(hidden["token"])
    await world.sees("api-1")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "thing",
    [
        pytest.param({"metadata": {"name": 5}}, id="malformed"),
        pytest.param({"metadata": {"name": "big", "uid": "u", "annotations": {"x": "y" * 300_000}}}, id="huge"),
        pytest.param({}, id="empty"),
    ],
)
async def test_an_object_that_can_not_be_read_is_left_out(
    server: ApiServer, tmp_path: Path, thing: Json, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch goes on with the next; said once, counted each time."""
    monkeypatch.setattr(pod_stream, "MOST_LINE_BYTES", 100_000)
    async with fed(server, tmp_path) as world:
        await world.watching()
        for _ in range(3):
            server.cluster.say("MODIFIED", thing)
        server.cluster.add_pod("api-2")
        await world.sees("api-1", "api-2")
        assert world.faults == 3
        assert server.asked(WATCHES) == 1
    assert sum("left out" in record.message for record in caplog.records) == 1


async def test_a_list_that_is_too_long_is_refused(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; what a watch would bring is not there either, and it is tried again."""
    monkeypatch.setattr(pod_stream, "MOST_LIST_BYTES", 100_000)
    server.fail(LISTS, how="huge")
    async with fed(server, tmp_path) as world:
        await world.sees("api-1")
        assert world.faults == 1


async def test_a_list_comes_in_parts(server: ApiServer, tmp_path: Path) -> None:
    """Where the server wants it so."""
    for number in range(2, 8):
        server.cluster.add_pod(f"api-{number}")
    server.cluster.page_pods = 3
    async with fed(server, tmp_path) as world:
        await world.sees(*(f"api-{number}" for number in range(1, 8)))
    assert server.asked(LISTS) == 3


async def test_a_watch_that_is_silent_is_asked_for_anew(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may be dead without anybody having said so; from where it was, and without a word."""
    monkeypatch.setattr(pod_stream, "SILENCE_SECONDS", 0.2)
    async with fed(server, tmp_path) as world:
        await world.watching(3)
        server.cluster.add_pod("api-2")
        await world.sees("api-1", "api-2")
        assert world.faults == 0
        assert server.asked(LISTS) == 1


async def test_a_server_that_hangs_holds_up_nothing(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up, and asked again."""
    monkeypatch.setattr(pod_stream, "ANSWER_SECONDS", 0.3)
    server.fail(LISTS, how="hang")
    async with fed(server, tmp_path) as world:
        await world.sees("api-1")
        assert world.faults == 1


async def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    """Cancelled in the middle of a watch, it closes its connection."""
    with api_server(Cluster()) as server:
        async with fed(server, tmp_path) as world:
            await world.watching()
            assert len(server.connections) == 1

        def let_go() -> bool:
            server.cluster.bookmark()  # a server notices when it writes
            return not server.connections

        await eventually(let_go)
