"""What people may ask for: restart, drain and undrain, with a token, and each attempt written down.

Every other endpoint only reads.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from starlette.requests import Request

from heapwarden.domain.errors import RequestRefusedError
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.identity import Name
from heapwarden.domain.restart import Restart
from heapwarden.domain.snapshot import Snapshot
from heapwarden.ports import Clock, Operator
from heapwarden.web.asked import Asked, asked
from heapwarden.web.gate import Gate
from heapwarden.web.health import MOST_NAMES, Answer
from heapwarden.web.views import Json, pid_of

log = logging.getLogger(__name__)

Verb = Literal["restart", "drain", "undrain"]

MOST_NAME_CHARACTERS = 120
REFUSED_EVERY_SECONDS = 60.0
"""Requests without the token are written down no more often than so; what is left out is counted."""

_STATUS = {"unknown": 404, "busy": 409, "off": 403, "not_possible": 409}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Who asked for what."""

    verb: Verb
    process: str
    peer: str


@dataclass
class Operations:
    """The requests that change something."""

    operator: Operator
    gate: Gate
    audit: Callable[[Event], None]
    snapshot: Callable[[], Snapshot]
    clock: Clock
    _refused_at: float | None = field(default=None, init=False)
    _left_out: int = field(default=0, init=False)

    async def answer(self, verb: Verb, process: str, request: Request) -> Answer:
        """Do as ``request`` asks, if it may; write it down either way."""
        attempt = _Attempt(verb, process, request.client.host if request.client else "unknown")
        refusal = await self.gate.refusal(request.headers.getlist("authorization"))
        if refusal is not None:
            self._refused(attempt, refusal)
            return refusal
        wanted = await asked(request)
        if isinstance(wanted, Answer):
            self._done(attempt, Asked(None, ""), wanted)
            return wanted
        answer = self._do(attempt, wanted)
        self._done(attempt, wanted, answer)
        return answer

    def _do(self, attempt: _Attempt, wanted: Asked) -> Answer:
        process, worker = attempt.process, wanted.worker
        if len(process) > MOST_NAME_CHARACTERS or not process.isprintable():
            return Answer(404, {"detail": "no process has such a name", "code": "unknown", **self._there(process)})
        accepted: Sequence[Restart] | Sequence[Name]
        try:
            match attempt.verb:
                case "restart":
                    accepted = self.operator.restart(process, worker, wanted.reason)
                case "drain":
                    accepted = self.operator.drain(process, worker, wanted.reason)
                case "undrain":
                    accepted = self.operator.undrain(process, worker)
        except RequestRefusedError as error:
            there = self._there(process) if error.code == "unknown" else {}
            return Answer(_STATUS[error.code], {"detail": str(error), "code": error.code, **there})
        place = f"/processes/{quote(process)}"
        body = {"accepted": [self._listed(one) for one in accepted], "see": place}
        return Answer(202, body, {"location": place})

    def _there(self, process: str) -> Json:
        """What there is, for somebody who asked for what is not."""
        names = self.snapshot().by_name
        if process in names:
            return {"workers": [one.name.worker for one in names[process]][:MOST_NAMES]}
        return {"known": sorted(names)[:MOST_NAMES]}

    def _listed(self, accepted: Restart | Name) -> Json:
        if isinstance(accepted, Restart):
            name, pid = accepted.name, pid_of(accepted.process)
            rest: Json = {"id": accepted.id, "stage": accepted.stage}
        else:
            name, rest = accepted, {}
            found = self.snapshot().by_name.get(name.process, ())
            pid = next((pid_of(one.process.id) for one in found if one.name == name), None)
        return {"process": name.process, "worker": name.worker, "pid": pid, **rest}

    def _refused(self, attempt: _Attempt, refusal: Answer) -> None:
        """Written down at most once a minute, so that nobody without the token fills the journal."""
        now = self.clock.monotonic()
        if self._refused_at is not None and now - self._refused_at < REFUSED_EVERY_SECONDS:
            self._left_out += 1
            return
        more = f"; {self._left_out} more before it" if self._left_out else ""
        self._refused_at, self._left_out = now, 0
        text = f"{attempt.verb} was refused to {attempt.peer}: {refusal.body['detail']}{more}"
        log.warning("%s", text)
        self.audit(self._event(attempt, text, refusal))

    def _done(self, attempt: _Attempt, wanted: Asked, answer: Answer) -> None:
        """Written down each time: whoever asked has the token."""
        which = attempt.process if wanted.worker is None else f"{attempt.process}/{wanted.worker}"
        why = f" ({wanted.reason})" if wanted.reason else ""
        count = len(answer.body.get("accepted", ()))
        became = answer.body.get("detail", f"{count} accepted")
        text = f"{attempt.peer} asked to {attempt.verb} {which[:MOST_NAME_CHARACTERS]!r}{why}: {became}"
        log.info("%s", text)
        self.audit(self._event(attempt, text, answer, wanted.worker or ""))

    def _event(self, attempt: _Attempt, text: str, answer: Answer, worker: str = "") -> Event:
        """A name that nothing has is left out: anybody may ask for any."""
        known = attempt.process in self.snapshot().by_name
        return Event(
            self.clock.wall(),
            EventKind.REQUEST,
            attempt.verb,
            text,
            process=attempt.process if known else "",
            worker=worker if known else "",
            figures={"from": attempt.peer, "status": answer.status_code},
        )
