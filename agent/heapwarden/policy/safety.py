"""Whether a restart that is wanted may be made: budget, cooldown, uptime, siblings, and what is not known.

Real restarts and dry runs are counted apart. Each of several processes of one name (cluster workers) has a budget of
its own, by its slot; all of them together have the sum. A successor that came before its predecessor went (a rolling
reload) has another slot, and finds nothing refilled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from heapwarden.domain.identity import Name
from heapwarden.domain.restart import Outcome, Restart
from heapwarden.policy.restart import Pauses, RestartRules


@dataclass(frozen=True, slots=True)
class Standing:
    """What bears on it at one time. ``past``: restarts of this name that are over, oldest first, by today's clock."""

    name: Name
    uptime_seconds: float
    past: Sequence[Restart]
    busy: str | None
    """Which restart of the same name is under way."""
    agent_started_wall: float
    namesakes: int = 1
    """Processes of this name that run now, itself included."""
    newest_start: int = 0
    """The latest ``ProcessId.start`` among them."""
    journal_trouble: str | None = None
    """Why a restart made now could be forgotten."""
    past_incomplete: str | None = None
    """Why there may have been restarts that are not in ``past``."""
    incomplete_until_wall: float | None = None
    """Those were before; None: before the agent's start."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why it may not be. ``code`` is bounded: min_uptime, sibling, no_successor, budget, cooldown, journal."""

    code: str
    text: str


def refusal(rules: RestartRules, standing: Standing, now_wall: float) -> Refusal | None:
    """Why a restart by a rule may not be made now; None when it may."""
    if standing.uptime_seconds < rules.min_uptime_seconds:
        up, least = _span(standing.uptime_seconds), _span(rules.min_uptime_seconds)
        return Refusal("min_uptime", f"it is up for {up} only, min_uptime is {least}")
    if standing.busy is not None:
        return Refusal("sibling", f"{standing.busy} is being restarted, one at a time")
    named = [one for one in standing.past if one.dry_run is rules.dry_run and _spends(one)]
    own = named if standing.namesakes <= 1 else [one for one in named if one.name == standing.name]
    return (
        abandoned(rules, standing, now_wall)
        or _unknown(rules, standing, now_wall)
        or _budget(rules, standing, own, 1, now_wall)
        or _budget(rules, standing, named, max(1, standing.namesakes), now_wall)
        or _cooldown(rules.pauses, own, now_wall)
    )


def _spends(restart: Restart) -> bool:
    return restart.outcome is not Outcome.CANCELLED


def abandoned(rules: RestartRules, standing: Standing, now_wall: float) -> Refusal | None:
    """Where nobody brought back the last one, the next is not ended too, until somebody brings one or time passes."""
    last = next((one for one in reversed(standing.past) if not one.dry_run and _spends(one)), None)
    if last is None or last.outcome is not Outcome.NO_SUCCESSOR or standing.newest_start > last.newest_start:
        return None
    left = _end(last) + rules.pauses.reset_seconds - now_wall
    if left <= 0:
        return None
    slot = f"{last.name.process}/{last.name.worker}"
    text = f"nobody has brought back {slot}: is there a supervisor? Tried again in {_span(left)}, or after a new start"
    return Refusal("no_successor", text)


def _unknown(rules: RestartRules, standing: Standing, now_wall: float) -> Refusal | None:
    """What might have been forgotten is taken for spent: a journal that fails now may have failed agents before."""
    why, known_from = standing.past_incomplete, standing.incomplete_until_wall
    if why is None:
        why, known_from = standing.journal_trouble, None
    since = standing.agent_started_wall if known_from is None else known_from
    left = since + rules.budget.per_seconds - now_wall
    if why is None or rules.dry_run or left <= 0:
        return None
    return Refusal(
        "journal", f"earlier restarts may be forgotten ({why}): the budget counts as spent for {_span(left)}"
    )


def _budget(
    rules: RestartRules, standing: Standing, past: Sequence[Restart], processes: int, now_wall: float
) -> Refusal | None:
    """Within any ``per``, of so many ``processes``. What would be forgotten is taken for nearly spent."""
    budget, per = rules.budget, rules.budget.per_seconds
    trouble = standing.journal_trouble if not rules.dry_run else None
    most = processes * (budget.restarts if trouble is None else 1)
    # A restart dated in the future was made before the clock was set back: it still counts.
    spent = [one for one in past if now_wall - one.wall < per]
    if len(spent) < most:
        return None
    made = f"{len(spent)} in the last {_span(per)}"
    free_in = _span(max(0.0, min(spent[-most].wall + per - now_wall, per)))
    if trouble is not None:
        return Refusal("journal", f"{made}, and no more while {trouble}; next in {free_in}")
    return Refusal("budget", f"budget spent: {made}, {most} allowed; next in {free_in}")


def _cooldown(pauses: Pauses, past: Sequence[Restart], now_wall: float) -> Refusal | None:
    wait = cooldown_seconds(pauses, [_end(one) for one in past], now_wall)
    if wait <= 0:
        return None
    return Refusal(
        "cooldown", f"the last restart was {_span(max(0.0, now_wall - _end(past[-1])))} ago; {_span(wait)} to go"
    )


def cooldown_seconds(pauses: Pauses, ends: Sequence[float], now_wall: float) -> float:
    """How long to wait still, after restarts that ended at ``ends`` (Unix seconds, ascending); 0 or less: no longer."""
    if not ends:
        return 0.0
    chain = 1
    while chain < len(ends) and ends[-chain] - ends[-chain - 1] < pauses.reset_seconds:
        chain += 1
    if now_wall - ends[-1] >= pauses.reset_seconds:
        return 0.0
    wait = min(pauses.most_seconds, pauses.cooldown_seconds * 2.0 ** min(chain - 1, 30))
    return min(ends[-1] + wait - now_wall, wait)


def _end(restart: Restart) -> float:
    return restart.ended_wall if restart.ended_wall is not None else restart.wall


def _span(seconds: float) -> str:
    """Two hours and five minutes as 2h05m."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004  seconds in a minute
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004  minutes in an hour
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60:02d}m"
