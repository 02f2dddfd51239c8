"""How a restart goes on: one step from what is true now.

The state is the Restart itself, so that another agent can take it up at the stage where the last one died.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heapwarden.domain.restart import Method, Outcome, Restart, Stage
from heapwarden.policy.restart import RESERVE_SECONDS

KILL_SECONDS = 10.0
"""How long a killed process may take to be gone: one in uninterruptible sleep does not die."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of the process of a restart."""

    alive: bool
    kills: bool = True
    """Whether the method has SIGKILL follow."""
    drained: bool = False
    """The app says that no request is under way any more."""
    cancelled: str = ""
    """Why it is not wanted any more."""
    hooks_done: bool = True
    """Those of the present stage."""
    limit_in_seconds: float | None = None
    successor: bool = False
    """A new process of its name is there and serves."""


@dataclass(frozen=True, slots=True)
class Move:
    """To the next stage. ``note``: what did not go as planned."""

    stage: Stage
    note: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """It is over."""

    outcome: Outcome
    note: str = ""


def step(restart: Restart, facts: Facts, now: float) -> Move | End | None:
    """What comes next; None: wait."""
    if not facts.alive and restart.stage not in (Stage.SUCCESSOR, Stage.AFTER):
        early = restart.stage in (Stage.DRAIN, Stage.BEFORE)
        return Move(Stage.SUCCESSOR, "it ended by itself before it was asked to" if early else "")
    if facts.cancelled and restart.stage in (Stage.DRAIN, Stage.BEFORE):
        return End(Outcome.CANCELLED, facts.cancelled)
    return _STEPS[restart.stage](restart, facts, now - restart.stage_since)


def _drain(restart: Restart, facts: Facts, elapsed: float) -> Move | None:
    left = _no_time_left(restart, facts)
    if left is not None:
        return Move(Stage.TERMINATE, f"drain ended after {elapsed:.1f} s: {left}")
    if facts.drained or elapsed >= restart.plan.drain_seconds:
        return Move(Stage.BEFORE if restart.plan.before else Stage.TERMINATE)
    return None


def _before(restart: Restart, facts: Facts, _elapsed: float) -> Move | None:
    left = _no_time_left(restart, facts)
    if left is not None:
        return Move(Stage.TERMINATE, f"not all hooks were waited for: {left}")
    return Move(Stage.TERMINATE) if facts.hooks_done else None


def _no_time_left(restart: Restart, facts: Facts) -> str | None:
    """A graceful stop must still come before the kill."""
    seconds = facts.limit_in_seconds
    if seconds is None or seconds > min(restart.plan.grace_seconds, RESERVE_SECONDS):
        return None
    return f"the nearer limit would be hit in {seconds:.1f} s"


def _terminate(restart: Restart, facts: Facts, elapsed: float) -> Move | End | None:
    # The kubelet kills by itself, and hears of an eviction a moment after the API has said yes.
    kubelet = KILL_SECONDS if restart.plan.method is Method.EVICT else 0.0
    if elapsed < restart.plan.grace_seconds + kubelet:
        return None
    late = f"it did not end within its grace of {restart.plan.grace_seconds:g} s"
    return Move(Stage.KILL, late) if facts.kills else End(Outcome.FAILED, late)


def _kill(_restart: Restart, _facts: Facts, elapsed: float) -> End | None:
    return End(Outcome.FAILED, f"it still runs {elapsed:.0f} s after SIGKILL") if elapsed >= KILL_SECONDS else None


def _successor(restart: Restart, facts: Facts, elapsed: float) -> Move | End | None:
    if facts.successor:
        return Move(Stage.AFTER) if restart.plan.after else End(Outcome.DONE)
    if elapsed < restart.plan.successor_seconds:
        return None
    if restart.plan.method is Method.EVICT:  # its pod's owner brings another, wherever there is room
        note = f"no successor here within {restart.plan.successor_seconds:g} s: its pod's may be on another node"
        return End(Outcome.DONE, note)
    return End(Outcome.NO_SUCCESSOR, f"no successor that serves within {restart.plan.successor_seconds:g} s")


def _after(_restart: Restart, facts: Facts, _elapsed: float) -> End | None:
    return End(Outcome.DONE) if facts.hooks_done else None


_STEPS: Mapping[Stage, Callable[[Restart, Facts, float], Move | End | None]] = {
    Stage.DRAIN: _drain,
    Stage.BEFORE: _before,
    Stage.TERMINATE: _terminate,
    Stage.KILL: _kill,
    Stage.SUCCESSOR: _successor,
    Stage.AFTER: _after,
}
