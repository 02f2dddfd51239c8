"""``heapwarden restart``, ``drain`` and ``undrain``: ask a running agent to act on processes by their name."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from heapwarden.actuators.programs import TOKEN_VARIABLE
from heapwarden.cli.client import add_url, ask, foreign
from heapwarden.cli.logs import shown
from heapwarden.domain.errors import HeapwardenError, SettingsError
from heapwarden.settings.faults import WrongValueError
from heapwarden.settings.token import from_file, read

ACCEPTED = 202

_ABOUT = {
    "restart": (
        "restart processes of a running agent",
        "Asks a running agent to restart the processes of one name in stages, one at a time, as its settings have it.",
    ),
    "drain": (
        "take processes out of service",
        "Asks a running agent to have load balancers told 503 for the processes of one name, until they are undrained.",
    ),
    "undrain": (
        "put drained processes back into service",
        "Ends what `heapwarden drain` began, and a restart that has not yet asked its process to end.",
    ),
}


class RequestFailedError(HeapwardenError):
    """The agent did not do what it was asked."""


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommands."""
    for verb, (help_, description) in _ABOUT.items():
        parser = subcommands.add_parser(
            verb,
            help=help_,
            description=f"{description} The exit code tells whether the agent has accepted it.",
            epilog=f"Example: heapwarden {verb} api --worker 0 --token-file /etc/heapwarden/token",
        )
        parser.add_argument("name", metavar="NAME", help="the name of the processes, as in `heapwarden top`")
        parser.add_argument("--worker", metavar="SLOT", help="only this one of them (default: all)")
        if verb != "undrain":
            parser.add_argument("--reason", metavar="TEXT", help="why: one line for the history")
        add_url(parser)
        parser.add_argument(
            "--token-file", metavar="FILE", type=Path, help=f"a file with the token (default: ${TOKEN_VARIABLE})"
        )
        parser.add_argument("--json", action="store_true", help="print the agent's own answer")
        parser.set_defaults(handler=partial(handle, verb), reason=None)


def handle(verb: str, parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    worker = f"?{urlencode({'worker': parsed.worker})}" if parsed.worker is not None else ""
    body = json.dumps({"reason": parsed.reason} if parsed.reason else {}).encode()
    token = _token(parsed.token_file, os.environ)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    status, found = ask(parsed.url, f"/processes/{quote(parsed.name, safe='')}/{verb}{worker}", headers, body)
    try:
        lines = _accepted(verb, found) if status == ACCEPTED else _refused(status, found)
    except (LookupError, TypeError, AttributeError) as error:
        raise foreign(parsed.url, status) from error
    if status != ACCEPTED:
        raise RequestFailedError(shown("; ".join(lines)))
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if parsed.json else "".join(f"{line}\n" for line in lines))
    return 0


def _token(file: Path | None, environment: Mapping[str, str]) -> str:
    """Raises SettingsError, without a word of what the token is."""
    try:
        if file is not None:
            return from_file(file.absolute())[0].value
        if environment.get(TOKEN_VARIABLE):
            return read(environment[TOKEN_VARIABLE]).value
    except WrongValueError as error:
        raise SettingsError(shown(str(error))) from error
    raise SettingsError(
        f"a token is wanted: --token-file FILE, or ${TOKEN_VARIABLE}; the agent's own is api.token_file"
    )


def _accepted(verb: str, found: Mapping[str, Any]) -> list[str]:
    """A line for each process."""
    became: Callable[[Mapping[str, Any]], str] = {
        "restart": lambda one: f"restart accepted ({one['id']}), stage {one['stage']}",
        "drain": lambda _: "drained: load balancers are told 503",
        "undrain": lambda _: "back in service",
    }[verb]
    return [shown(f"{one['process']}/{one['worker']}{_pid(one['pid'])}: {became(one)}") for one in found["accepted"]]


def _pid(pid: int | None) -> str:
    return "" if pid is None else f" (pid {pid})"


def _refused(status: int, found: Mapping[str, Any]) -> list[str]:
    """Why, and what there is instead."""
    there = [f"{what}: {', '.join(found[what])}" for what in ("known", "workers") if found.get(what)]
    return [f"the agent answers {status}: {found['detail']}", *there]
