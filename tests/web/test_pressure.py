"""``/pressure``: what an app hears, for others."""

from dataclasses import replace

import pytest

from fakes.asgi import Client
from fakes.snapshots import NOW, snapshot, watched
from heapwarden.domain.findings import Pressure, PressureLevel
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.exposition.text import page
from heapwarden.web.app import create_app
from heapwarden.web.health import MOST_LISTED
from heapwarden.web.options import WebOptions


class World:
    """What the app is told; tests change it between requests."""

    def __init__(self) -> None:
        """Nobody yet."""
        self.snapshot: Snapshot = snapshot()
        self.options = WebOptions()
        self.levels: dict[ProcessId, PressureLevel] = {}

    def level(self, process: ProcessId) -> PressureLevel | None:
        """Of one."""
        return self.levels.get(process)

    def has(self, *processes: tuple[Watched, PressureLevel | None]) -> None:
        """These are watched, at these levels."""
        self.snapshot = snapshot(*(one for one, _ in processes))
        self.levels = {one.process.id: level for one, level in processes if level is not None}


@pytest.fixture
def world() -> World:
    """See :class:`World`."""
    return World()


@pytest.fixture
def client(world: World) -> Client:
    """A client of the app over ``world``."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415  metrics are of no interest here

    return Client(
        create_app(
            snapshot=lambda: world.snapshot,
            monotonic=lambda: NOW,
            options=lambda: world.options,
            metrics=lambda accept: page(CollectorRegistry(), accept),
            prom_client_metrics=lambda accept: page(CollectorRegistry(), accept),
            level=world.level,
        )
    )


def at(heap: float | None, container: float | None = None, name: str = "api", worker: int = 0) -> Watched:
    """A process with these ratios."""
    one = watched(name, str(worker), pid=100 + worker)
    return replace(one, findings=replace(one.findings, pressure=Pressure(heap, container)))


def test_the_worst_worker_is_on_top(client: Client, world: World) -> None:
    """By level first: it is what the app is told, and lags behind its ratio on the way down."""
    calm, falling, full = at(0.75, 0.1), at(0.6, 0.2, worker=1), at(0.7, 0.81234, worker=2)
    world.has((calm, PressureLevel.ELEVATED), (falling, PressureLevel.CRITICAL), (full, PressureLevel.HIGH))
    entries = [
        {"process": "api", "worker": "1", "level": "critical", "ratio": 0.6, "nearer": "heap"},
        {"process": "api", "worker": "2", "level": "high", "ratio": 0.8123, "nearer": "container"},
        {"process": "api", "worker": "0", "level": "elevated", "ratio": 0.75, "nearer": "heap"},
    ]
    told = client.get("/pressure/api")
    assert (told.status_code, told.headers["cache-control"]) == (200, "no-store")
    assert told.json() == {**entries[0], "processCount": 3, "processes": entries}
    assert client.get("/pressure").json() == told.json()


def test_names_are_kept_apart(client: Client, world: World) -> None:
    """One name's worker does not speak for another's."""
    world.has((at(0.95), PressureLevel.CRITICAL), (at(0.1, name="jobs", worker=1), PressureLevel.NORMAL))
    assert client.get("/pressure/jobs").json()["level"] == "normal"
    assert client.get("/pressure").json()["process"] == "api"


def test_unknown_names_are_not_found(client: Client, world: World) -> None:
    """With those that there are."""
    world.has((at(0.1), PressureLevel.NORMAL))
    told = client.get("/pressure/nobody")
    assert told.status_code == 404
    assert told.json() == {"detail": "no process is called 'nobody'", "known": ["api"]}


def test_nothing_is_known_yet(client: Client, world: World) -> None:
    """A name of the settings, any name of an agent that has just begun, no process at all, or one without figures."""
    nobody = {"process": None, "worker": None, "level": None, "ratio": None, "nearer": None}
    world.options = WebOptions(known_names=frozenset({"api"}))
    for path in ("/pressure", "/pressure/api"):
        assert client.get(path).json() == {**nobody, "processCount": 0, "processes": []}
    world.options = WebOptions(start_grace_seconds=100)
    assert client.get("/pressure/any").json() == {**nobody, "processCount": 0, "processes": []}
    world.has((watched(bare=True), None), (at(0.1, worker=1), PressureLevel.NORMAL))
    told = client.get("/pressure/api").json()
    assert (told["level"], told["processCount"]) == ("normal", 2)
    assert told["processes"][1] == {**nobody, "process": "api", "worker": "0"}


def test_long_lists_have_the_worst(client: Client, world: World) -> None:
    """As many as a health answer lists."""
    many = [(at(n / 1_000, worker=n), PressureLevel.NORMAL) for n in range(100)]
    world.has(*many, (at(0.9, worker=100), PressureLevel.CRITICAL))
    told = client.get("/pressure").json()
    assert told["processCount"] == 101
    assert [one["worker"] for one in told["processes"]] == ["100", *(str(n) for n in range(99, 80, -1))]
    assert len(told["processes"]) == MOST_LISTED


def test_only_read(client: Client) -> None:
    """HEAD beside GET, and nothing else."""
    assert client.head("/pressure").status_code == 200
    assert client.request("POST", "/pressure").status_code == 405
