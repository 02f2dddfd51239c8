"""What is right and yet deserves a word."""

import pytest

from heapwarden.settings import parse


def notices(default: str = "", own: str = "", health: str = "") -> tuple[str, ...]:
    """Of a file with these restart rules for all and for one process, and this health of that one."""
    text = (
        f"defaults: {{restart: {{{default}}}}}\n"
        f"processes: [{{match: {{pid: 1}}, restart: {{{own}}}, health: {{{health}}}}}]"
    )
    return parse(text, "f.yaml", {}).notices


KILLS = "0s kills at once: the process has no time to end by itself"
NOBODY = "method none restarts nothing: the process answers 503 until whoever probes it restarts it"
IN_VAIN = "has no effect without heap_usage"


@pytest.mark.parametrize(
    ("default", "own", "told"),
    [
        pytest.param("", "", (), id="nothing"),
        pytest.param("grace: 0s", "", (f"defaults.restart.grace: {KILLS}",), id="for all"),
        pytest.param("", "grace: 0s, method: supervise", (f"processes[0].restart.grace: {KILLS}",), id="for one"),
        pytest.param("", "grace: 0s, method: pm2", (), id="somebody else's"),
        pytest.param("grace: 0s, method: pm2", "method: signal", (), id="not where it is written"),
        pytest.param("", "grace: 1ms", (), id="a little"),
    ],
)
def test_no_time_to_end(default: str, own: str, told: tuple[str, ...]) -> None:
    """Right for what handles no signal anyway, and worth a word for the rest."""
    assert notices(default, own) == told


@pytest.mark.parametrize(
    ("default", "own", "health", "told"),
    [
        pytest.param("method: none", "", "", (), id="without any rule"),
        pytest.param("method: none, heap_usage: 95%", "", "", (f"defaults.restart: {NOBODY}",), id="for all"),
        pytest.param("method: none", "max_memory: 1G", "", (f"processes[0].restart: {NOBODY}",), id="rule for one"),
        pytest.param("max_memory: 1G", "method: none", "", (f"processes[0].restart: {NOBODY}",), id="method for one"),
        pytest.param(
            "",
            "method: none",
            "escalate_to_restart_after: 1m",
            (f"processes[0].restart: {NOBODY}",),
            id="what escalates",
        ),
        pytest.param("max_memory: 1G", "method: none, max_memory: off", "", (), id="rule taken back"),
    ],
)
def test_nobody_restarts_it(default: str, own: str, health: str, told: tuple[str, ...]) -> None:
    """The agent doesn't, with that method; said where rules are that seem to ask for it."""
    assert notices(default, own, health) == told


@pytest.mark.parametrize(
    ("default", "own", "told"),
    [
        pytest.param("confirm_with_gc: true", "", (f"defaults.restart.confirm_with_gc: {IN_VAIN}",), id="for all"),
        pytest.param("confirm_with_gc: true", "heap_usage: 95%", (), id="somebody has a rule"),
        pytest.param("", "confirm_with_gc: true", (f"processes[0].restart.confirm_with_gc: {IN_VAIN}",), id="for one"),
        pytest.param("heap_usage: 95%", "confirm_with_gc: true", (), id="a rule for all"),
        pytest.param(
            "heap_usage: 95%",
            "confirm_with_gc: true, heap_usage: off",
            (f"processes[0].restart.confirm_with_gc: {IN_VAIN}",),
            id="rule taken back",
        ),
        pytest.param("confirm_with_gc: false", "", (), id="off"),
    ],
)
def test_a_collection_for_nothing(default: str, own: str, told: tuple[str, ...]) -> None:
    """Only heap rules look again after a collection."""
    assert notices(default, own) == told
