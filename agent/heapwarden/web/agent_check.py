"""What HAProxy's agent-check is told: one line of text, from the verdicts of the last snapshot.

``up 75%`` is the share of its weight that a server should have, by the level of pressure that the app itself is told;
``drain`` stands for a drain or a restart on purpose, ``down`` with its reason for everything else that health answers
with 503.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from heapwarden.domain.findings import PressureLevel
from heapwarden.domain.health import HealthState
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.web import health
from heapwarden.web.options import WebOptions
from heapwarden.web.pressure import Level

WEIGHTS = {
    PressureLevel.NORMAL: 100,
    PressureLevel.ELEVATED: 75,
    PressureLevel.HIGH: 50,
    PressureLevel.CRITICAL: 25,
}
"""Percent by level. Levels fall only after some seconds, so that weights don't follow every collection; and never to 0:
whether a server may be sent to at all is for health to say."""
READY_SECONDS = 60.0
MOST_CLIENTS = 1_000
MOST_REASON_CHARACTERS = 200

_ON_PURPOSE = (HealthState.DRAINING.label, HealthState.RESTARTING.label)


def line(name: str, snapshot: Snapshot, options: WebOptions, level: Level, now: float) -> str:
    """The answer about the processes called ``name``, or about all where it is empty. One line, without its end."""
    answer = health.of_one(name, snapshot, options, now) if name else health.of_all(snapshot, options, now)
    found = snapshot.by_name.get(name, ()) if name else snapshot.processes
    if answer.status_code == 200:  # noqa: PLR2004  OK
        return f"up {_weight(found, level)}%"
    if answer.body.get("status") in _ON_PURPOSE:
        return "drain"
    return f"down #{_plain(_reason(answer, found))}"


def _weight(processes: Sequence[Watched], level: Level) -> int:
    """Of the worst: what is sent to the server may reach any of them."""
    known = (level(one.process.id) for one in processes if one.verdict.serving)
    return min((WEIGHTS[one] for one in known if one is not None), default=100)


def _reason(answer: health.Answer, processes: Sequence[Watched]) -> str:
    """Why health says 503: what the worst say, else what there is to say without a process."""
    worst = (one for one in processes if one.verdict.state.label == answer.body.get("status"))
    said = [f"{one.name.process}/{one.name.worker}: {reason.text}" for one in worst for reason in one.verdict.reasons]
    return "; ".join(said or answer.body.get("reasons") or [str(answer.body.get("detail", ""))])


def _plain(text: str) -> str:
    """Fit for the rest of a line: HAProxy takes it up to the first end of line, and shows it."""
    printable = "".join(char if " " <= char <= "~" else " " for char in text)
    return printable[:MOST_REASON_CHARACTERS].rstrip()


@dataclass
class Readiness:
    """Takes back what a ``drain`` has done, for which HAProxy wants the word ``ready``.

    Nothing else ends a drain there. But ``ready`` also ends one that an operator has set, so it is not said for ever:
    to each client in the first minute in which it is told ``up``, and in the first minute after a ``drain``. Whoever
    was told ``drain`` by the agent that was here before is a new client to this one.
    """

    _up_since: dict[tuple[str, str], float] = field(default_factory=dict)

    def completed(self, said: str, client: str, name: str, now: float) -> str:
        """The line for this client, which asked for ``name``."""
        key = (client, name)
        if said == "drain":
            self._up_since.pop(key, None)
        if not said.startswith("up "):
            return said
        if key not in self._up_since and len(self._up_since) >= MOST_CLIENTS:
            del self._up_since[next(iter(self._up_since))]  # the oldest: if it still asks, it is new again
        since = self._up_since.setdefault(key, now)
        return f"{said} ready" if now - since < READY_SECONDS else said
