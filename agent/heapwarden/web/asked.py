"""What a request asks for, checked: which worker, and why."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from heapwarden.web.health import Answer

MOST_BODY_BYTES = 1_024
MOST_REASON_CHARACTERS = 200
MOST_WORKER_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is well formed."""

    worker: str | None
    """None: all of that name."""
    reason: str
    """Empty where none is given; one line that can be printed."""


async def asked(request: Request) -> Asked | Answer:
    """What ``request`` asks for, or the answer that says what is wrong with it.

    Nothing unknown is passed over: with a misspelt ``worker`` every worker would be restarted.
    """
    worker = _worker(request.query_params.multi_items())
    if isinstance(worker, Answer):
        return worker
    body = await _body(request)
    if isinstance(body, Answer):
        return body
    reason = _reason(body)
    return reason if isinstance(reason, Answer) else Asked(worker, reason)


def _worker(query: Sequence[tuple[str, str]]) -> str | Answer | None:
    if not query:
        return None
    if len(query) > 1 or query[0][0] != "worker":
        return _wrong("?worker=0 is understood, once, and nothing else")
    worker = query[0][1]
    if not 0 < len(worker) <= MOST_WORKER_CHARACTERS:
        return _wrong("worker: a slot such as 0 is wanted")
    return worker


async def _body(request: Request) -> bytes | Answer:
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BODY_BYTES:
                detail = f"a body of at most {MOST_BODY_BYTES} bytes is read"
                return Answer(413, {"detail": detail}, {"connection": "close"})
    except ClientDisconnect:
        return _wrong("the request was not brought to its end")
    return body


def _reason(body: bytes) -> str | Answer:
    if not body.strip():
        return ""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or set(found) - {"reason"}:
        return _wrong('the body is {"reason": "…"} as JSON, or empty')
    reason = found.get("reason", "")
    if not isinstance(reason, str) or len(reason) > MOST_REASON_CHARACTERS or not reason.isprintable():
        return _wrong(f"reason: one line of at most {MOST_REASON_CHARACTERS} characters is wanted")
    return reason.strip()


def _wrong(detail: str) -> Answer:
    return Answer(400, {"detail": detail})
