"""The example that listens to its pressure: the cache shrinks, load is shed, and all is well again."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import ROOT, SPREAD_MAJORS, AgentHandle, Program, agent, app, get, node

EXAMPLE = ROOT / "config" / "examples" / "pressure" / "server.js"
HEAP_MB = 128
REPORT_MB = 6
WELL_AGAIN_SECONDS = 60.0

pytestmark = [pytest.mark.node, pytest.mark.timeout(240)]


class Shop:
    """The example, seen through its own endpoints and the agent's."""

    def __init__(self, watcher: AgentHandle, program: Program) -> None:
        """Once it listens."""
        self.port = int(program.line("pressure example on ").rsplit(":", 1)[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._watcher = watcher
        self.pid = program.pid

    def stats(self) -> dict[str, int]:
        """What it says of itself."""
        found: dict[str, int] = get(f"{self.url}/stats").json
        return found

    def told(self) -> str | None:
        """The level, as the agent tells others."""
        level: str | None = self._watcher.get("/pressure/server").json["level"]
        return level

    def ratio(self) -> float:
        """The ratio behind it."""
        return float(self._watcher.get("/pressure/server").json["ratio"] or 0.0)

    def report(self) -> tuple[http.client.HTTPConnection, int]:
        """A long answer that holds memory until the connection is closed, and its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", f"/report?mib={REPORT_MB}&seconds=600")
        return connection, connection.getresponse().status


@pytest.fixture(params=SPREAD_MAJORS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """The example under an agent that looks often, so that the test is short."""
    with agent(tmp_path, "sample_interval: 200ms\n") as watcher:
        option = f"--max-old-space-size={HEAP_MB}"
        with app(watcher, node(request.param), option, EXAMPLE, "0") as started:
            made = Shop(watcher, started)
            wait_for(lambda: made.told() == "normal")
            yield made


def test_the_cache_shrinks_and_may_grow_again(shop: Shop) -> None:
    """Users are asked for until the heap is elevated; what the cache lets go of brings it back to normal."""
    users = iter(range(100_000))
    shrunk = wait_for(lambda: _grown(shop, users), 120, every=0.01)
    assert shrunk["entries"] <= shrunk["room"] == 50
    wait_for(lambda: shop.told() == "normal", WELL_AGAIN_SECONDS)
    wait_for(lambda: shop.stats()["room"] == 10_000)
    assert get(f"{shop.url}/users/1").status == 200


def _grown(shop: Shop, users: Iterator[int]) -> dict[str, int] | None:
    """Ten more users; the figures once the cache has been told to shrink."""
    for _ in range(10):
        assert get(f"{shop.url}/users/{next(users)}").status in (200, 503)
    stats = shop.stats()
    return stats if stats["room"] == 50 else None


def test_load_is_shed_and_taken_again(shop: Shop) -> None:
    """Long answers fill the heap: new requests get 503 and others hear why, until the long ones have ended."""
    with ExitStack() as reports:
        for count in range(1, 2 * HEAP_MB // REPORT_MB):
            connection, status = shop.report()
            reports.enter_context(closing(connection))
            if status == 503:
                break
            wait_for(lambda least=count: shop.ratio() >= 0.9 * least * REPORT_MB / HEAP_MB)
        wait_for(lambda: shop.stats()["shedding"])
        refused = get(f"{shop.url}/users/1")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert json.loads(refused.text) == {"error": "short of memory"}
        assert shop.told() in ("high", "critical")
    wait_for(lambda: get(f"{shop.url}/users/1").status == 200, WELL_AGAIN_SECONDS)
    wait_for(lambda: shop.told() == "normal", WELL_AGAIN_SECONDS)
