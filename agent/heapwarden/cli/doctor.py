"""``heapwarden doctor``: what is wrong with how Node processes are set up, and the next step for each finding."""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from heapwarden import __version__
from heapwarden.cli.client import DEFAULT_URL, URL_VARIABLE, AgentUnreachableError, foreign
from heapwarden.cli.doctor_text import written
from heapwarden.cli.logs import shown
from heapwarden.cli.top import look

FOUND, NOT_POSSIBLE = 1, 2
LOOK_SECONDS, ASK_AGAIN_SECONDS = 8.0, 0.25
SAME_START_SECONDS = 2.0
"""Two clocks' readings of one process's start differ by less; a reused pid's by more."""

Json = dict[str, Any]


class NotPossibleError(Exception):
    """There is nothing to look at; the text says why."""


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "doctor",
        help="find what is wrong with how Node processes are set up",
        description="Looks at each Node process: heap limit against container limit, NODE_OPTIONS, semi-spaces, swap, "
        "missing permissions, the reporter; and says for each finding what to do. Of a process that a running agent "
        "watches the agent is asked, and what it says is also the metric heapwarden_config_problem; of any other "
        "/proc and its cgroup are read here, and V8's own figures are not known. The exit code is 0 where nothing was "
        "found, 1 where something was, 2 where there was nothing to look at or no agent at the given address.",
        epilog="Examples: `heapwarden doctor`, `heapwarden doctor 4711`, `heapwarden doctor --all --json`",
    )
    parser.add_argument("pid", nargs="*", type=_pid, metavar="PID", help="only these (default: all)")
    parser.add_argument("--all", action="store_true", help="all Node processes, as without any PID")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--no-agent", action="store_true", help="ask no agent, even if one answers")
    asked.add_argument(
        "--url", help=f"the agent's address (default: ${URL_VARIABLE}, else {DEFAULT_URL} if an agent answers there)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON (see docs/doctor.md)")
    parser.set_defaults(handler=handle, refuse=parser.error)


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text!r}: the number of a process is wanted")
    return int(text)


def handle(parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    if parsed.pid and parsed.all:
        parsed.refuse("PID and --all exclude each other")
    try:
        asked = (None, []) if parsed.no_agent else _asked(parsed.url or os.environ.get(URL_VARIABLE))
        report = _report(parsed.pid, *asked)
    except (NotPossibleError, AgentUnreachableError) as error:
        sys.stderr.write(f"heapwarden: {error}\n")
        return NOT_POSSIBLE
    if parsed.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write(written(report, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    return FOUND if report["problems"] else 0


def _report(pids: Sequence[int], where: str | None, agents: Sequence[Json]) -> Json:
    """All findings; of processes that the agent watches its word counts. Raises NotPossibleError."""
    from heapwarden.cli.doctor_look import by_ourselves  # noqa: PLC0415  heavy

    ours = by_ourselves(time.time(), time.monotonic())
    watched = [one for one in ours if not any(_same(one, other) for other in agents)]
    known = sorted([*agents, *watched], key=lambda one: (str(one["process"]), str(one["worker"]), one["pid"] or 0))
    wanted = [one for one in known if one["pid"] in pids] if pids else known
    for pid in pids:
        if not any(one["pid"] == pid for one in wanted):
            raise NotPossibleError(_why_not(pid))
    if not wanted:
        raise NotPossibleError(
            "no Node process is to be seen here; a sidecar needs `shareProcessNamespace: true` in its Pod's spec"
        )
    return {
        "version": __version__,
        "agent": where,
        "problems": sum(len(one["problems"]) for one in wanted),
        "processes": wanted,
    }


def _asked(url: str | None) -> tuple[str | None, list[Json]]:
    """The agent's address and what it says; nothing where no agent was named and none answers.

    Raises AgentUnreachableError.
    """
    from heapwarden.cli.doctor_look import by_agent  # noqa: PLC0415  heavy

    try:
        found = _once_it_has_looked(url or DEFAULT_URL)
        said = [by_agent(one) for one in found if one["setup"] is not None]
    except AgentUnreachableError:
        if url is not None:
            raise
        return None, []
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise foreign(url or DEFAULT_URL) from error
    return shown(url or DEFAULT_URL), said


def _once_it_has_looked(url: str) -> list[Json]:
    """What the agent knows; one that has just found a process looks at its set-up within a second or so."""
    patience = time.monotonic() + LOOK_SECONDS
    while True:
        found: list[Json] = look(url)["processes"]
        if all(map(_looked_at, found)) or time.monotonic() > patience:
            return found
        time.sleep(ASK_AGAIN_SECONDS)


def _looked_at(entry: Mapping[str, Any]) -> bool:
    setup = entry["setup"]
    return setup is not None and (entry["heapLimit"] is None or bool(setup["heapKnown"]))


def _same(ours: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether this is one process: an agent elsewhere may well know another under the same pid."""
    return bool(ours["pid"] == other["pid"] and abs(ours["startedAt"] - other["startedAt"]) < SAME_START_SECONDS)


def _why_not(pid: int) -> str:
    if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110  a Path would add nothing
        return f"there is no process {pid}"
    return f"process {pid} runs no Node app (a package manager in front of one is none)"
