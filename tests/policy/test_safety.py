"""Budget, cooldown, uptime, siblings, and what is not known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.restarts import restart
from heapwarden.domain.identity import Name
from heapwarden.domain.restart import Outcome, Restart
from heapwarden.policy.restart import Budget, Pauses, RestartRules
from heapwarden.policy.safety import Standing, cooldown_seconds, refusal

NOW = 1_700_000_000.0
SLOT = restart().name
RULES = RestartRules(budget=Budget(3, 3_600), pauses=Pauses(60, 900, 3_600))


def _past(*ages: float, outcome: Outcome = Outcome.DONE, dry_run: bool = False) -> list[Restart]:
    """Restarts that began and ended so many seconds ago."""
    one = restart(outcome=outcome, dry_run=dry_run)
    return [replace(one, wall=NOW - age, ended_wall=NOW - age) for age in sorted(ages, reverse=True)]


def _code(standing: Standing, rules: RestartRules = RULES, now: float = NOW) -> str | None:
    refused = refusal(rules, standing, now)
    return refused and refused.code


def _standing(*past: Restart, uptime: float = 3_600.0, **more: object) -> Standing:
    return Standing(SLOT, uptime, past, **{"busy": None, "agent_started_wall": NOW - 10, **more})  # type: ignore[arg-type]  Standing's own


def test_nothing_stands_against_a_first_restart() -> None:
    """Up for long, nothing before, nobody else."""
    assert _code(_standing()) is None


def test_a_young_process_is_left_alone() -> None:
    """59 and 60 seconds."""
    assert _code(_standing(uptime=59)) == "min_uptime"
    assert _code(_standing(uptime=60)) is None


def test_one_at_a_time() -> None:
    """While a sibling is under way."""
    assert _code(_standing(busy="server/1")) == "sibling"


def test_the_budget_counts_what_lies_within_its_time() -> None:
    """Three in the last hour are the budget; the fourth oldest does not count any more. Cancelled ones never do."""
    assert _code(_standing(*_past(3_599, 3_000, 1_000))) == "budget"
    assert _code(_standing(*_past(3_601, 3_000, 1_000))) is None
    assert _code(_standing(*_past(3_000, 2_500, 2_000, outcome=Outcome.CANCELLED))) is None


def test_each_worker_has_a_budget_and_all_together_the_sum() -> None:
    """Another slot's restarts count against a process that is alone, as after a rolling reload, and not its sibling."""
    others = [replace(one, name=Name("api", "1")) for one in _past(3_000, 2_000, 1_000)]
    assert _code(_standing(*others)) == "budget"
    assert _code(_standing(*others, namesakes=2)) is None
    both = [*others, *_past(900, 800), *(replace(one, name=Name("api", "2")) for one in _past(700))]
    assert _code(_standing(*both, namesakes=2)) == "budget"
    assert _code(_standing(*both, namesakes=3, uptime=60), replace(RULES, pauses=Pauses(0, 0))) is None


def test_dry_runs_have_a_budget_of_their_own() -> None:
    """Neither uses up the other's."""
    dry = _past(3_000, 2_000, 1_500, dry_run=True)
    assert _code(_standing(*dry)) is None
    assert _code(_standing(*dry), replace(RULES, dry_run=True)) == "budget"


def test_a_restart_that_is_dated_in_the_future_counts() -> None:
    """The clock was set back: the budget is not refilled by that."""
    assert _code(_standing(*_past(-500, -1_000, -1_500))) == "budget"


def test_cooldown_doubles_and_is_forgotten_after_a_good_time() -> None:
    """60, 120, 240 … at most 900 seconds; an hour without any begins anew."""
    pauses = Pauses(60, 900, 3_600)
    assert cooldown_seconds(pauses, [], NOW) == 0
    for count, wait in ((1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (50, 900)):
        assert cooldown_seconds(pauses, [NOW] * count, NOW) == wait
    assert cooldown_seconds(pauses, [NOW - 3_700, NOW - 10], NOW) == 50
    assert cooldown_seconds(pauses, [NOW - 3_600], NOW) == 0


def test_what_may_have_been_forgotten_counts_as_spent() -> None:
    """The journal was lost: nothing for one `per` after the agent's start, however often it starts."""
    lost = _standing(past_incomplete="the journal was damaged", agent_started_wall=NOW - 3_599)
    assert _code(lost) == "journal"
    assert _code(replace(lost, agent_started_wall=NOW - 3_601)) is None


def test_a_loss_that_is_known_counts_from_its_time() -> None:
    """What was lost half an hour ago is spent for another half, by whichever agent."""
    lost = _standing(past_incomplete="the journal was damaged", incomplete_until_wall=NOW - 1_800)
    assert _code(lost) == "journal"
    assert _code(replace(lost, incomplete_until_wall=NOW - 3_601)) is None


def test_what_would_be_forgotten_is_one_in_the_time() -> None:
    """The disk is full now: nothing by an agent that has just started, then one restart, and no second within `per`."""
    full = _standing(journal_trouble="the disk is full")
    assert _code(full) == "journal"
    old = replace(full, agent_started_wall=NOW - 3_601)
    assert _code(old) is None
    assert _code(replace(old, past=_past(2_000))) == "journal"


def test_a_name_that_nobody_brings_back_is_left_alone() -> None:
    """Until a younger process is there, or a good time has passed."""
    gone = _past(300, outcome=Outcome.NO_SUCCESSOR)
    standing = _standing(*gone, namesakes=3, newest_start=gone[0].newest_start)
    assert _code(standing) == "no_successor"
    assert _code(replace(standing, newest_start=gone[0].newest_start + 1)) is None
    assert _code(replace(standing, past=_past(3_601, outcome=Outcome.NO_SUCCESSOR))) is None


@pytest.mark.parametrize("trouble", [None, "the disk is full"])
@given(
    st.lists(st.tuples(st.floats(0, 4_000), st.booleans()), max_size=80),
    st.integers(1, 5),
    st.floats(60, 7_200),
)
def test_no_sequence_makes_more_restarts_than_the_budget(
    trouble: str | None, asked: list[tuple[float, bool]], most: int, per: float
) -> None:
    """Whenever it is wanted, by agents that start anew and know the past: never more than `most` within any `per`."""
    rules = RestartRules(budget=Budget(most, per), pauses=Pauses(0, 0), min_uptime_seconds=0)
    made: list[Restart] = []
    now = NOW
    for gap, anew in asked:
        now += gap
        started = now if anew and trouble is None else NOW - per
        standing = Standing(SLOT, 1.0, made, None, started, journal_trouble=trouble)
        if refusal(rules, standing, now) is None:
            made.append(replace(restart(), wall=now, ended_wall=now, outcome=Outcome.DONE))
    walls = [one.wall for one in made]
    allowed = most if trouble is None else 1
    assert all(sum(1 for other in walls if at <= other < at + per) <= allowed for at in walls)
