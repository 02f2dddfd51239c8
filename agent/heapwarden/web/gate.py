"""Who may ask for changes: whoever brings the token.

A right token is let in at once, always: no number of wrong ones locks it out. Wrong ones are answered late, a few at a
time, and the rest are sent away. Neither stops a guesser who is patient; the length of the token does.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence

from heapwarden.web.health import Answer

LATE_SECONDS = 1.0
MOST_WAITING = 8
"""Wrong answers that are held back at a time: many would take the connections that health checks need."""
CHALLENGE = 'Bearer realm="heapwarden"'
OFF = Answer(403, {"detail": "off: set api.token_file"})

Token = Callable[[], str | None]
"""The token that is right now; None or empty: there is none, and nobody is let in."""


class Gate:
    """Checks the header ``Authorization``. What it is given is never logged, and never part of an answer."""

    def __init__(self, token: Token, sleep: Callable[[float], Awaitable[None]]) -> None:
        """``token`` is asked at each request."""
        self._token = token
        self._sleep = sleep
        self._waiting = 0

    async def refusal(self, authorization: Sequence[str]) -> Answer | None:
        """Why a request with these headers is not let in; None when it is."""
        right = self._token()
        if not right:
            return OFF
        if not authorization:
            return _unauthorized("a token is wanted: Authorization: Bearer TOKEN", CHALLENGE)
        given = _bearer(authorization)
        if given is not None and _same(given, right.encode()):
            return None
        if self._waiting >= MOST_WAITING:
            return Answer(429, {"detail": "too many wrong tokens"}, {"retry-after": "1", "connection": "close"})
        self._waiting += 1
        try:
            await self._sleep(LATE_SECONDS)
        finally:
            self._waiting -= 1
        return _unauthorized("this is not the token", f'{CHALLENGE}, error="invalid_token"')


def _unauthorized(detail: str, challenge: str) -> Answer:
    return Answer(401, {"detail": detail}, {"www-authenticate": challenge, "connection": "close"})


def _bearer(authorization: Sequence[str]) -> bytes | None:
    """The token of the one header; None where it has none, or where there are several."""
    if len(authorization) != 1:
        return None
    scheme, _, given = authorization[0].partition(" ")
    return given.strip().encode("latin-1") if scheme.lower() == "bearer" else None


def _same(one: bytes, other: bytes) -> bool:
    """In a time that tells nothing of either, their lengths included."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
