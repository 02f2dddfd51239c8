"""The list of processes."""

import asyncio
import json
from dataclasses import replace

import pytest

from fakes.restarts import restart
from fakes.snapshots import MIB, NOW, fleet, snapshot, verdict, watched
from heapwarden.domain.health import HealthState
from heapwarden.domain.snapshot import Snapshot
from heapwarden.web.options import WebOptions
from heapwarden.web.overview import MOST_PROCESSES, Overview

pytestmark = pytest.mark.anyio


async def listed(known: Snapshot) -> dict[str, object]:
    """What the page gets."""
    found: dict[str, object] = json.loads(await Overview(WebOptions).of(known))
    return found


async def test_it_tells_of_each_process_what_a_list_can_show() -> None:
    """Bytes as integers, ratios with 1.0 as all of it."""
    found = await listed(snapshot(watched(judged=verdict(HealthState.DEGRADED, text="near"))))
    assert found["at"] == 1_700_000_500.0
    assert found["processes"] == [
        {
            "process": "api",
            "worker": "0",
            "pid": 4711,
            "node": "24.21.0",
            "startedAt": 1_700_000_000.25,
            "state": "degraded",
            "stateAge": 40.0,
            "reasons": ["near"],
            "restart": None,
            "held": None,
            "pressure": 0.25,
            "nearer": "container",
            "heapUsed": 60 * MIB,
            "heapLimit": 1024 * MIB,
            "rss": 120 * MIB,
            "containerMemory": 512 * MIB,
            "containerLimit": 2048 * MIB,
            "sampleAge": 0.5,
        }
    ]


async def test_what_is_not_known_is_null() -> None:
    """A process that has just been found."""
    (one,) = (await listed(snapshot(watched(bare=True))))["processes"]  # type: ignore[misc]
    for name in ("pressure", "nearer", "heapUsed", "heapLimit", "rss", "containerMemory", "sampleAge", "node"):
        assert one[name] is None


async def test_a_restart_under_way_is_told() -> None:
    """By its stage."""
    one = watched()
    known = replace(snapshot(one), restarts=(replace(restart(), process=one.process.id),))
    (row,) = (await listed(known))["processes"]  # type: ignore[misc]
    assert row["restart"] == known.restarts[0].stage


async def test_the_worst_come_first_and_the_rest_is_counted() -> None:
    """However many there are."""
    ill = watched("ill", judged=verdict(HealthState.UNHEALTHY))
    found = await listed(snapshot(*fleet(MOST_PROCESSES + 20).processes, ill))
    assert found["more"] == 21
    processes = found["processes"]
    assert isinstance(processes, list)
    assert len(processes) == MOST_PROCESSES
    assert processes[0]["process"] == "ill"
    assert found["status"] == "unhealthy"


@pytest.mark.parametrize(("processes", "pace"), [(0, 1.0), (199, 1.0), (200, 2.0), (1_000, 6.0)])
async def test_it_says_how_seldom_it_comes(processes: int, pace: float) -> None:
    """Seconds until the next one: silence of that length is no lost connection."""
    found = await listed(fleet(processes))
    assert (found["interval"], found["pace"]) == (1.0, pace)


async def test_it_is_encoded_once_for_all() -> None:
    """Whoever asks at the same time, or later, gets the very same bytes; of the next snapshot, others."""
    overview, known = Overview(WebOptions), fleet(100)
    several = await asyncio.gather(*(overview.of(known) for _ in range(3)))
    assert all(one is several[0] for one in (*several, await overview.of(known)))
    assert await overview.of(replace(known, at=NOW + 1)) is not several[0]
