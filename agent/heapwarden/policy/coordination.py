"""How long a place among coordinated restarts is kept, so that it can't end before the restart does.

A restart whose place can't be renewed any more is asked to end only while what is left of its time is enough for the
rest of it. So it is over when others may take its place, even if nobody could tell them.
"""

from heapwarden.domain.restart import Method, Plan
from heapwarden.policy.stages import KILL_SECONDS

LEEWAY_SECONDS = 20.0
"""Between two renewals, and for a few that fail."""
SAVING_SECONDS = 10.0
"""For the journal, between stages."""
PATIENCE_SECONDS = 30.0
"""How long an eviction is tried again that is refused once its process is drained."""


def lead_seconds(plan: Plan) -> float:
    """After each renewal, the time within which the process must have been asked to end."""
    return plan.drain_seconds + sum(hook.timeout_seconds for hook in plan.before) + LEEWAY_SECONDS


def place_seconds(plan: Plan) -> float:
    """How long a place is taken for with each renewal."""
    patience = PATIENCE_SECONDS if plan.method is Method.EVICT else 0.0
    rest = plan.grace_seconds + KILL_SECONDS + plan.successor_seconds + sum(hook.timeout_seconds for hook in plan.after)
    return lead_seconds(plan) + patience + rest + SAVING_SECONDS
