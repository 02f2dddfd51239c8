"""The shape of restart rules in the settings file. No key has a default here: those stand in the records."""

from typing import Annotated, ClassVar

from pydantic import Field

from heapwarden.policy.restart import HeapFigure
from heapwarden.settings import kinds
from heapwarden.settings.kinds import Off
from heapwarden.settings.section import Section, key

MAX_HOOKS = 8
MAX_PLACES = 16
_FOR = "How long it must hold without a gap; `0s`: the first figure counts. Without it, `for` beside the rule."


class MemoryMarkSection(Section):
    """A mark in memory."""

    short: ClassVar[str] = "above"

    above: Annotated[int | float | Off | None, kinds.or_off(kinds.MEMORY)] = key("Restart from here on.", "1G")
    hold: Annotated[float | None, kinds.time("0s", "1d")] = key(_FOR, "10s", spelled="for")


class ShareMarkSection(Section):
    """A mark as a share of a limit."""

    short: ClassVar[str] = "above"

    above: Annotated[float | Off | None, kinds.or_off(kinds.SHARE_BELOW)] = key("Restart from here on.", "95%")
    hold: Annotated[float | None, kinds.time("0s", "1d")] = key(_FOR, "10s", spelled="for")


class HeapMarkSection(ShareMarkSection):
    """A mark of heap use."""

    of: Annotated[str | None, kinds.choice(*HeapFigure)] = key(
        "`used`: all that is in the heap; the fullest isolate counts. `live`: what the last mark-compact left, so that "
        "garbage that only waits for collection never restarts anything.",
        "live",
    )


class HookSection(Section):
    """Something to be done: either a command or a request."""

    command: Annotated[tuple[str, ...] | None, kinds.WORDS] = key(
        "A program with its arguments. No shell is run.", "[/usr/local/bin/dump, --all]"
    )
    url: Annotated[str | None, kinds.URL] = key("Gets the restart as JSON by POST.", "http://127.0.0.1:8080/hook")
    timeout: Annotated[float | None, kinds.time("1s", "5m")] = key(
        "How long it may take before the restart goes on without it; `10s` if not given.", "30s"
    )


class BudgetSection(Section):
    """How many restarts are allowed."""

    restarts: Annotated[int | None, kinds.number(1, 1000)] = key("So many at most …", "3")
    per: Annotated[float | None, kinds.time("1m", "7d")] = key("… in this time.", "1h")


class CoordinateSection(Section):
    """Restarts that wait for each other across nodes, by a Lease of the Kubernetes API."""

    short: ClassVar[str] = "lease"

    lease: Annotated[str | Off | None, kinds.or_off(kinds.LEASE)] = key(
        "The name of the Lease, in the agent's namespace. It is made when it is not there.", "api-restarts"
    )
    max_unavailable: Annotated[int | None, kinds.number(1, MAX_PLACES)] = key(
        "How many restarts under this lease may be under way at once. Others take one each: `NAME-1`, `NAME-2` …", "1"
    )


class RestartSection(Section):
    """When and how a process is restarted."""

    max_memory: MemoryMarkSection = Field(
        default=MemoryMarkSection(),
        description="Resident memory: a size, or a percentage of the container's limit; with `for`: a section.",
        examples=["1G"],
    )
    max_memory_restart: MemoryMarkSection = Field(
        default=MemoryMarkSection(),
        description="PM2's name for `max_memory`; only one of the two.",
        examples=["1G"],
    )
    tree: Annotated[bool | None, kinds.SWITCH] = key("`max_memory` counts all children too.", "true")
    heap_usage: HeapMarkSection = Field(
        default=HeapMarkSection(),
        description="Share of the effective heap limit: a percentage; with `for` and `of`: a section.",
        examples=["95%"],
    )
    container_usage: ShareMarkSection = Field(
        default=ShareMarkSection(),
        description="Share of the container's limit that is in use: a percentage; with `for`: a section.",
        examples=["95%"],
    )
    hold: Annotated[float | None, kinds.time("0s", "1d")] = key(
        "How long each of these must hold that doesn't say so itself; `10s` if not given.", "10s", spelled="for"
    )
    min_uptime: Annotated[float | None, kinds.time("0s", "1d")] = key("Never restart one that is younger.", "1m")
    drain: Annotated[float | None, kinds.time("0s", "1h")] = key(
        "How long load balancers are told 503 before the process is asked to end.", "5s"
    )
    grace: Annotated[float | None, kinds.time("0s", "1h")] = key(
        "How long it may take to end after the signal, before SIGKILL.", "30s"
    )
    successor_timeout: Annotated[float | None, kinds.time("0s", "1h")] = key(
        "How long its successor is awaited; nothing else of this name is restarted meanwhile.", "60s"
    )
    signal: Annotated[str | None, kinds.choice(*kinds.SIGNALS)] = key("What asks it to end.", "SIGINT")
    method: Annotated[str | None, kinds.METHOD] = key(
        "Who restarts it. Not given: `supervise` for what `heapwarden run` has started, else `signal`.", "pm2"
    )
    command: Annotated[tuple[str, ...] | None, kinds.WORDS] = key(
        "For `method: command`: a program with its arguments. No shell is run.", "[systemctl, restart, api]"
    )
    url: Annotated[str | None, kinds.URL] = key(
        "For `method: webhook`: gets the restart as JSON by POST.", "https://deploy.example.com/restart"
    )
    before: Annotated[tuple[HookSection, ...] | None, Field(max_length=MAX_HOOKS)] = key(
        f"Done one after the other while it still runs, drained; at most {MAX_HOOKS}.",
        "[{command: [/usr/local/bin/dump, --all]}]",
    )
    after: Annotated[tuple[HookSection, ...] | None, Field(max_length=MAX_HOOKS)] = key(
        f"Done once its successor is there; as `before`, at most {MAX_HOOKS}.", "[{url: 'http://127.0.0.1:8080/hook'}]"
    )
    budget: BudgetSection = Field(
        default=BudgetSection(),
        description="How many restarts are allowed, of each process of a name.",
        examples=["{restarts: 3, per: 1h}"],
    )
    cooldown: Annotated[float | None, kinds.time("0s", "1d")] = key(
        "Pause after a restart before the next of the same process's place; doubled with each further one …", "60s"
    )
    max_cooldown: Annotated[float | None, kinds.time("0s", "1d")] = key("… up to this …", "15m")
    cooldown_reset: Annotated[float | None, kinds.time("0s", "7d")] = key(
        "… and short again once there was none for so long; at least `max_cooldown`.", "1h"
    )
    jitter: Annotated[float | None, kinds.time("0s", "1h")] = key(
        "Up to so much is waited at random before the first, so that replicas don't act at once.", "30s"
    )
    coordinate: CoordinateSection = Field(
        default=CoordinateSection(),
        description="Restart only while fewer than `max_unavailable` others are restarted under the same lease, on "
        "whichever node: see [kubernetes-api.md](kubernetes-api.md).",
        examples=["{lease: api-restarts, max_unavailable: 1}"],
    )
    confirm_with_gc: Annotated[bool | None, kinds.SWITCH] = key(
        "Before a restart for `heap_usage`, collect once and look again. It pauses the app.", "true"
    )
    dry_run: Annotated[bool | None, kinds.SWITCH] = key("Decide and publish, and touch nothing.", "true")
