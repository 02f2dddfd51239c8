"""Asking a running agent over HTTP: directly, never through a proxy, and never where a redirect leads."""

import argparse
import json
import os
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from heapwarden.cli.logs import shown
from heapwarden.domain.errors import HeapwardenError

DEFAULT_URL = "http://127.0.0.1:9797"
URL_VARIABLE = "HEAPWARDEN_URL"
MOST_BYTES = 64 * 2**20
TIMEOUT_SECONDS = 10


class AgentUnreachableError(HeapwardenError):
    """No agent answers under the address."""


class _NoRedirects(HTTPRedirectHandler):
    """An agent sends nobody elsewhere; whoever does must not be sent the token a second time."""

    def redirect_request(self, *_: Any) -> None:
        return None


def add_url(parser: argparse.ArgumentParser) -> None:
    """The option ``--url``."""
    parser.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE, DEFAULT_URL),
        help=f"the agent's address (default: ${URL_VARIABLE}, else {DEFAULT_URL})",
    )


def ask(
    url: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of what the agent under ``url`` answers; with a ``body`` by POST.

    Raises AgentUnreachableError when nothing answers there, or something that is not Heapwarden.
    """
    if not url.startswith(("http://", "https://")):
        raise AgentUnreachableError(shown(f"--url {url}: an address such as {DEFAULT_URL} is wanted"))
    try:
        status, text = _answer(Request(url.rstrip("/") + path, body, dict(headers or {})))  # noqa: S310  checked above
    except (URLError, OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise AgentUnreachableError(
            shown(f"no agent answers at {url} ({reason}); name its address with --url")
        ) from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise foreign(url, status)
    return status, found


def _answer(request: Request) -> tuple[int, bytes]:
    try:
        with build_opener(ProxyHandler({}), _NoRedirects()).open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(MOST_BYTES)
    except HTTPError as error:
        with error:
            return error.code, error.read(MOST_BYTES)


def foreign(url: str, status: int = 200) -> AgentUnreachableError:
    """Something else answers there."""
    how = "answers, but not as this Heapwarden does" if status == 200 else f"answers {status}"  # noqa: PLR2004
    return AgentUnreachableError(shown(f"{url} {how}: is this Heapwarden's address?"))
