"""One full collection before a restart for the heap, where the rules ask for it: what is only garbage is no reason."""

from collections.abc import Container
from dataclasses import dataclass

from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import RestartReason
from heapwarden.domain.sample import GcKind
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.safety import Refusal
from heapwarden.ports import Clock, Reporters
from heapwarden.runtime.record import Wanted

AGAIN_SECONDS = 60.0
"""A process is not paused for this more often."""
ANSWER_SECONDS = 5.0
"""A collection of several GB takes about so long; one that does not come by then has a loop that stands still."""


@dataclass(slots=True)
class _Asked:
    at: float
    mark_compacts: int
    garbage: bool = False
    """The collection has shown that there was no reason."""


class Confirmation:
    """Asks, and says when the answer holds."""

    def __init__(self, reporters: Reporters, clock: Clock) -> None:
        """Nobody was asked yet."""
        self._reporters, self._clock = reporters, clock
        self._asked: dict[ProcessId, _Asked] = {}

    def refusal(self, wanted: Wanted, now: float) -> Refusal | None:
        """None: the rule need not be confirmed, is confirmed, or can't be. It still holds by the newest figures."""
        watched = wanted.watched
        if not wanted.rules.confirm_with_gc or wanted.trigger.reason is not RestartReason.HEAP_USAGE:
            return None
        asked = self._asked.get(watched.process.id)
        if asked is None or now - asked.at >= AGAIN_SECONDS:
            if not self._reporters.collect(watched.process.id):
                return None
            asked = self._asked[watched.process.id] = _Asked(now, _mark_compacts(watched))
        if asked.garbage:
            left = asked.at + AGAIN_SECONDS - now
            return Refusal("confirmation", f"a moment ago it was garbage; asked again in {left:.0f} s")
        if _mark_compacts(watched) > asked.mark_compacts or now - asked.at >= ANSWER_SECONDS:
            return None
        return Refusal("confirmation", "a full collection was asked for, to see what of the heap is garbage")

    def settle(self, wanted: Container[ProcessId], alive: Container[ProcessId]) -> None:
        """Who is not ``wanted`` restarted any more was full of garbage; who is not ``alive`` is forgotten."""
        self._asked = {id_: asked for id_, asked in self._asked.items() if id_ in alive}
        for id_, asked in self._asked.items():
            asked.garbage = asked.garbage or id_ not in wanted


def _mark_compacts(watched: Watched) -> int:
    heap = watched.sample.heap
    majors = heap.main.gc.get(GcKind.MAJOR) if heap and heap.main else None
    return majors.count if majors else 0
