"""What HAProxy's agent-check is told."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given

from fakes.restarts import restart
from fakes.snapshots import NOW, snapshot, verdict, watched
from fakes.strategies import snapshots
from heapwarden.domain.findings import PressureLevel
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Stage
from heapwarden.domain.snapshot import Snapshot
from heapwarden.web import agent_check, health
from heapwarden.web.agent_check import MOST_CLIENTS, READY_SECONDS, WEIGHTS, Readiness
from heapwarden.web.options import WebOptions

OPTIONS = WebOptions(start_grace_seconds=10, known_names=frozenset({"web"}))


def said(known: Snapshot, name: str = "", levels: dict[int, PressureLevel] | None = None) -> str:
    """The line, with the levels of some pids."""

    def level(process: ProcessId) -> PressureLevel | None:
        return (levels or {}).get(process.pid)

    return agent_check.line(name, known, OPTIONS, level, NOW)


@pytest.mark.parametrize(
    ("level", "weight"),
    [
        pytest.param(None, 100, id="unknown"),
        pytest.param(PressureLevel.NORMAL, 100, id="normal"),
        pytest.param(PressureLevel.ELEVATED, 75, id="elevated"),
        pytest.param(PressureLevel.HIGH, 50, id="high"),
        pytest.param(PressureLevel.CRITICAL, 25, id="critical"),
    ],
)
def test_the_weight_falls_with_pressure(level: PressureLevel | None, weight: int) -> None:
    """A quarter a level, and all of it where nothing is known."""
    levels = {} if level is None else {100: level}
    assert said(snapshot(watched(pid=100)), levels=levels) == f"up {weight}%"


def test_every_level_has_a_weight() -> None:
    """Monotonic, and never 0: whether a server may be sent to at all is for health to say."""
    weights = [WEIGHTS[level] for level in PressureLevel]
    assert all(calm > tense > 0 for calm, tense in pairwise(weights))


def test_the_worst_that_serves_sets_the_weight() -> None:
    """Of one name or of all; a cluster worker that is on its way out while others serve has no say."""
    known = snapshot(watched("api", pid=1), watched("api", "1", pid=2), watched("web", pid=3))
    levels = {2: PressureLevel.ELEVATED, 3: PressureLevel.CRITICAL}
    assert said(known, "api", levels) == "up 75%"
    assert said(known, "", levels) == "up 25%"


@pytest.mark.parametrize("state", [HealthState.DRAINING, HealthState.RESTARTING])
def test_what_is_taken_out_on_purpose_drains(state: HealthState) -> None:
    """Whoever has a session there may end it."""
    assert said(snapshot(watched("api", judged=verdict(state))), "api") == "drain"


def test_a_restart_drains_until_the_successor_is_there() -> None:
    """While nobody of the name is there."""
    away = replace(snapshot(), restarts=(restart("api", stage=Stage.SUCCESSOR),))
    assert said(away, "api") == "drain"


def test_the_unhealthy_are_down_with_the_reason() -> None:
    """That of the worst, on the one line that HAProxy reads and shows."""
    known = snapshot(
        watched("api", judged=verdict(HealthState.DEGRADED, text="heap use is 82 %")),
        watched("api", "1", judged=verdict(HealthState.UNHEALTHY, text="heap use is\r\n95 % \x1b for 30 s")),
    )
    assert said(known) == "down #api/1: heap use is  95 %   for 30 s"


def test_a_name_that_nobody_has_is_down() -> None:
    """With what was asked for, printable and bounded; one that the settings have is down too once it is late."""
    known = snapshot(watched("api"))
    assert said(known, "ap\x1b") == r"down #no process is called 'ap\x1b'"
    assert len(said(known, "x" * 1000)) < 220
    assert said(known, "web") == "down #no process called 'web' found yet"


@given(snapshots)
def test_it_never_contradicts_health(known: Snapshot) -> None:
    """`up` exactly where health says 200, and always one line of ASCII."""
    for name in ("", *known.by_name):
        line = said(known, name)
        answer = health.of_one(name, known, OPTIONS, NOW) if name else health.of_all(known, OPTIONS, NOW)
        assert line.startswith("up ") == (answer.status_code == 200)
        assert line.isascii()
        assert line.isprintable()


def test_ready_ends_a_drain_and_is_not_said_for_ever() -> None:
    """It would end an operator's drain too: a minute for a client that is new, and a minute after each drain."""
    readiness = Readiness()
    assert readiness.completed("up 75%", "10.0.0.1", "", 0) == "up 75% ready"
    assert readiness.completed("up 75%", "10.0.0.1", "", READY_SECONDS - 1) == "up 75% ready"
    assert readiness.completed("up 75%", "10.0.0.1", "", READY_SECONDS) == "up 75%"
    assert readiness.completed("up 100%", "10.0.0.1", "api", READY_SECONDS) == "up 100% ready", "another question"
    assert readiness.completed("drain", "10.0.0.1", "", 100) == "drain"
    assert readiness.completed("down #x", "10.0.0.1", "", 150) == "down #x"
    assert readiness.completed("up 100%", "10.0.0.1", "", 500) == "up 100% ready", "however long the drain was"
    assert readiness.completed("up 100%", "10.0.0.1", "", 500 + READY_SECONDS) == "up 100%"


def test_clients_are_bounded() -> None:
    """Of too many the oldest is forgotten, and hears `ready` again."""
    readiness = Readiness()
    for number in range(MOST_CLIENTS + 1):
        readiness.completed("up 100%", str(number), "", 0)
    assert readiness.completed("up 100%", "1", "", 100) == "up 100%"
    assert readiness.completed("up 100%", "0", "", 100) == "up 100% ready"
