"""How a restart goes on: each stage's ways out, in pairs of what moves it and what does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.restarts import restart
from heapwarden.domain.restart import Hook, Method, Outcome, Plan, Restart, Stage
from heapwarden.policy.stages import KILL_SECONDS, End, Facts, Move, step

PLAN = Plan(drain_seconds=5, grace_seconds=30, successor_seconds=60)
HOOKED = replace(PLAN, before=(Hook(("dump",)),), after=(Hook(("tell",)),))
ALIVE, GONE = Facts(alive=True), Facts(alive=False)
BEGAN = 1_000.0


def _at(stage: Stage, plan: Plan = PLAN) -> Restart:
    return restart(stage=stage, stage_since=BEGAN, plan=plan)


@pytest.mark.parametrize(
    ("stage", "facts", "after", "goes_to"),
    [
        pytest.param(Stage.DRAIN, ALIVE, 4.9, None, id="draining"),
        pytest.param(Stage.DRAIN, ALIVE, 5.0, Stage.TERMINATE, id="drained in time"),
        pytest.param(Stage.DRAIN, Facts(alive=True, drained=True), 0.1, Stage.TERMINATE, id="the app is done"),
        pytest.param(Stage.DRAIN, Facts(alive=True, limit_in_seconds=3.1), 1, None, id="the limit is far enough"),
        pytest.param(Stage.DRAIN, Facts(alive=True, limit_in_seconds=3.0), 1, Stage.TERMINATE, id="the limit is near"),
        pytest.param(Stage.DRAIN, GONE, 1, Stage.SUCCESSOR, id="ended while drained"),
        pytest.param(Stage.TERMINATE, ALIVE, 29.9, None, id="in its grace"),
        pytest.param(Stage.TERMINATE, ALIVE, 30, Stage.KILL, id="grace is over"),
        pytest.param(Stage.TERMINATE, GONE, 1, Stage.SUCCESSOR, id="ended as asked"),
        pytest.param(Stage.TERMINATE, Facts(alive=True, cancelled="undrained"), 1, None, id="too late to cancel"),
        pytest.param(Stage.KILL, ALIVE, KILL_SECONDS - 0.1, None, id="being killed"),
        pytest.param(Stage.KILL, GONE, 0.1, Stage.SUCCESSOR, id="killed"),
        pytest.param(Stage.SUCCESSOR, GONE, 59, None, id="no successor yet"),
    ],
)
def test_stages_without_hooks(stage: Stage, facts: Facts, after: float, goes_to: Stage | None) -> None:
    """Where it goes, or that it waits."""
    following = step(_at(stage), facts, BEGAN + after)
    assert (following.stage if isinstance(following, Move) else following) == goes_to


def test_hooks_have_stages_of_their_own() -> None:
    """Before the signal, and after the successor is there; each waits for its hooks."""
    assert step(_at(Stage.DRAIN, HOOKED), ALIVE, BEGAN + 5) == Move(Stage.BEFORE)
    running = Facts(alive=True, hooks_done=False)
    assert step(_at(Stage.BEFORE, HOOKED), running, BEGAN + 100) is None
    assert step(_at(Stage.BEFORE, HOOKED), ALIVE, BEGAN) == Move(Stage.TERMINATE)
    near = replace(running, limit_in_seconds=1.0)
    hurried = step(_at(Stage.BEFORE, HOOKED), near, BEGAN)
    assert isinstance(hurried, Move)
    assert hurried.stage is Stage.TERMINATE
    assert step(_at(Stage.SUCCESSOR, HOOKED), Facts(alive=False, successor=True), BEGAN) == Move(Stage.AFTER)
    assert step(_at(Stage.AFTER, HOOKED), Facts(alive=False, hooks_done=False), BEGAN + 100) is None
    assert step(_at(Stage.AFTER, HOOKED), GONE, BEGAN) == End(Outcome.DONE)


@pytest.mark.parametrize(
    ("stage", "facts", "after", "outcome"),
    [
        pytest.param(Stage.DRAIN, Facts(alive=True, cancelled="undrained"), 1, Outcome.CANCELLED, id="cancelled"),
        pytest.param(Stage.BEFORE, Facts(alive=True, cancelled="undrained"), 1, Outcome.CANCELLED, id="cancelled late"),
        pytest.param(Stage.TERMINATE, Facts(alive=True, kills=False), 30, Outcome.FAILED, id="another manager kills"),
        pytest.param(Stage.KILL, ALIVE, KILL_SECONDS, Outcome.FAILED, id="does not even die"),
        pytest.param(Stage.SUCCESSOR, Facts(alive=False, successor=True), 1, Outcome.DONE, id="done"),
        pytest.param(Stage.SUCCESSOR, GONE, 60, Outcome.NO_SUCCESSOR, id="nobody brings one"),
    ],
)
def test_outcomes(stage: Stage, facts: Facts, after: float, outcome: Outcome) -> None:
    """What ends a restart."""
    following = step(_at(stage), facts, BEGAN + after)
    assert isinstance(following, End)
    assert following.outcome is outcome


def test_an_eviction_has_its_grace_from_the_kubelet_and_its_successor_anywhere() -> None:
    """A moment more than the grace, and no alarm where the new pod is on another node."""
    plan, waiting = replace(PLAN, method=Method.EVICT), Facts(alive=True, kills=False)
    assert step(_at(Stage.TERMINATE, plan), waiting, BEGAN + 39.9) is None
    late = step(_at(Stage.TERMINATE, plan), waiting, BEGAN + 40)
    assert isinstance(late, End)
    assert late.outcome is Outcome.FAILED
    over = step(_at(Stage.SUCCESSOR, plan), GONE, BEGAN + 60)
    assert over == End(Outcome.DONE, "no successor here within 60 s: its pod's may be on another node")


FACTS = st.builds(
    Facts,
    alive=st.booleans(),
    kills=st.booleans(),
    drained=st.booleans(),
    cancelled=st.sampled_from(("", "undrained")),
    hooks_done=st.booleans(),
    limit_in_seconds=st.none() | st.floats(0, 100),
    successor=st.booleans(),
)


@given(st.lists(st.tuples(FACTS, st.floats(0, 50)), max_size=60), st.booleans())
def test_stages_only_go_forwards_and_whoever_was_not_asked_is_not_killed(
    happens: list[tuple[Facts, float]], hooks: bool
) -> None:
    """Whatever happens: in order, none twice, SIGKILL only after the signal's grace, and an end in the end."""
    plan = HOOKED if hooks else PLAN
    one, now, order = _at(Stage.DRAIN, plan), BEGAN, list(Stage)
    for facts, gap in [*happens, *[(GONE, 100.0)] * 3]:
        now += gap
        following = step(one, facts, now)
        if isinstance(following, End):
            return
        if following is None:
            continue
        assert order.index(following.stage) > order.index(one.stage)
        if following.stage is Stage.KILL:
            assert one.stage is Stage.TERMINATE
            assert now - one.stage_since >= plan.grace_seconds
        one = replace(one, stage=following.stage, stage_since=now)
    raise AssertionError(f"still at {one.stage}")
