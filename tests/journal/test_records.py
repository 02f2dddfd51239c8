"""Events and restarts as rows: all of it comes back, and nothing comes back that is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import journalled
from fakes.journalled import a_restart, an_event
from heapwarden.domain.event import Event
from heapwarden.domain.restart import Restart
from heapwarden.journal.codec import MisfitError
from heapwarden.journal.records import (
    MOST_CHARACTERS,
    MOST_FIGURE_CHARACTERS,
    MOST_FIGURES,
    event_row,
    read_event,
    read_restart,
    restart_row,
    storable,
)

BODY: dict[str, Any] = json.loads(restart_row(a_restart())[-1])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(restart=journalled.restarts)
def test_a_restart_comes_back_as_it_was(restart: Restart) -> None:
    """Plan, trigger, figures and stage included: it is resumed from this."""
    *_, body = restart_row(restart)
    assert read_restart(body) == restart


@given(event=journalled.events)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    """Every field."""
    assert read_event(event_row(event)) == event


def test_fields_that_an_older_agent_did_not_write_take_their_defaults() -> None:
    """A restart begun before an upgrade of the agent is taken up after it. What is not known here is left out."""
    older = {key: value for key, value in BODY.items() if key not in ("note", "signalled", "ended_wall")}
    assert read_restart(json.dumps({**older, "from_the_future": 1})) == a_restart()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("process", "pid"), "4242", id="pid as text"),
        pytest.param(("process", "pid"), True, id="pid as truth"),
        pytest.param(("process", "pid"), 0, id="pid 0 without a namespace"),
        pytest.param(("process", "pid"), -1, id="pid of every process"),
        pytest.param(("process", "pid"), 2**22 + 1, id="pid above the kernel's"),
        pytest.param(("process", "start"), 2**63, id="start beyond 64 bits"),
        pytest.param(("process", "start"), -5, id="start before boot"),
        pytest.param(("stage",), "explode", id="stage that is none"),
        pytest.param(("stage",), None, id="no stage"),
        pytest.param(("outcome",), ["done"], id="outcome in a list"),
        pytest.param(("plan", "grace_seconds"), "30", id="seconds as text"),
        pytest.param(("plan", "grace_seconds"), 10**400, id="seconds too large"),
        pytest.param(("plan", "grace_seconds"), float("nan"), id="seconds that are no number"),
        pytest.param(("plan", "before"), {"command": []}, id="hooks that are no list"),
        pytest.param(("plan", "command"), [1], id="command of numbers"),
        pytest.param(("figures",), [], id="figures in a list"),
        pytest.param(("figures",), {"x": {}}, id="figure that is an object"),
        pytest.param(("trigger",), None, id="no trigger"),
        pytest.param(("signalled",), 1, id="truth as a number"),
    ],
)
def test_a_restart_of_wrong_types_is_refused(path: tuple[str, ...], value: object) -> None:
    """The agent would act on it."""
    tree = json.loads(json.dumps(BODY))
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(MisfitError):
        read_restart(json.dumps(tree))


@pytest.mark.parametrize(
    "body",
    [
        *(pytest.param(body, id=repr(body)) for body in (None, 5, b"{}", "", "{", "[]", "{}", '{"id": 1}')),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_what_is_no_restart_at_all_is_refused(body: object) -> None:
    """Neither is it anything else that raises."""
    with pytest.raises(MisfitError):
        read_restart(body)


@given(key=st.sampled_from(sorted(BODY)), value=json_values)
def test_any_change_of_a_field_is_read_or_refused(key: str, value: object) -> None:
    """No other exception, and what is read is what was written there."""
    try:
        restart = read_restart(json.dumps({**BODY, key: value}))
    except MisfitError:
        return
    assert read_restart(restart_row(restart)[-1]) == restart


@given(st.lists(st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(), min_size=9, max_size=9))
def test_any_row_is_an_event_or_refused(row: list[object]) -> None:
    """SQLite's columns hold values of any type."""
    try:
        event = read_event(tuple(row))
    except MisfitError:
        return
    assert isinstance(event, Event)


def test_long_texts_are_cut_and_figures_bounded() -> None:
    """Rows are bounded in number; so the file is bounded in size."""
    long = "x" * (MOST_CHARACTERS + 5)
    event = an_event(text=long, figures={f"n{n}": long for n in range(MOST_FIGURES + 5)})
    read = read_event(event_row(event))
    assert len(read.text) == MOST_CHARACTERS
    assert read.text.endswith("x…")
    assert len(read.figures) == MOST_FIGURES
    assert {len(str(value)) for value in read.figures.values()} == {MOST_FIGURE_CHARACTERS}


def test_bytes_that_are_no_utf8_are_shown() -> None:
    """A script's name may be any bytes; Python has them as lone surrogates, which SQLite refuses."""
    assert storable("caf\udce9") == "caf\\udce9"
    assert read_event(event_row(an_event(process="caf\udce9"))).process == "caf\\udce9"
    restart = a_restart(note="caf\udce9")
    assert read_restart(restart_row(restart)[-1]) == restart


def test_figures_that_are_no_finite_number_become_unknown() -> None:
    """JSON has none of them, and other readers of the file refuse them."""
    figures = {"eta": float("inf"), "n": float("nan"), "tree": True, "ratio": 0.5}
    assert read_event(event_row(an_event(figures=figures))).figures == {"eta": None, "n": None, "tree": 1, "ratio": 0.5}
    assert read_restart(restart_row(a_restart(figures=figures))[-1]).figures["eta"] is None


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(an_event(wall=float("nan")), id="no time"),
        pytest.param(an_event(pid=-1), id="no pid"),
        pytest.param(an_event(figures={"path": object()}), id="no figure"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(event: Event) -> None:
    """It is refused where it can still be counted."""
    with pytest.raises((ValueError, TypeError)):
        event_row(event)


def test_a_plan_without_end_is_not_written() -> None:
    """It could not be resumed."""
    restart = a_restart()
    with pytest.raises(ValueError, match="not JSON compliant"):
        restart_row(a_restart(plan=type(restart.plan)(grace_seconds=float("inf"))))
