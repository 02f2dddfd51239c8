"""The shape of the settings file: every key with its kind, what it is for, and an example.

All keys are optional and None (or an empty section) where they are not given; defaults stand in the records that the
settings become, and nowhere else.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from heapwarden.policy.health import HeapDenominator, OnUnknown
from heapwarden.settings import kinds
from heapwarden.settings.kinds import Kind
from heapwarden.settings.model import Listen

MAX_RULES = 1000


def _key(about: str, example: str, *, key: str | None = None) -> Any:
    """A key that need not be given. ``example`` is YAML; ``key``: its spelling where that is a word of Python."""
    return Field(default=None, alias=key, description=about, examples=[example])


class Section(BaseModel):
    """A mapping of known keys. Without a value it is empty: all of its keys may be commented out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, given: object) -> object:
        return {} if given is None else given


class UsageSection(Section):
    """Marks of one usage rule."""

    unhealthy: Annotated[float | None, kinds.SHARE] = _key("Unhealthy from here on, once it has held.", "90%")
    recover: Annotated[float | None, kinds.SHARE] = _key("Healthy again below; lower than `unhealthy`.", "80%")
    hold: Annotated[float | None, kinds.time("0s", "1d")] = _key(
        "How long it must hold without a gap; `0s`: the first figure counts.", "30s", key="for"
    )


class HeapUsageSection(UsageSection):
    """Marks of heap use."""

    of: Annotated[str | None, kinds.choice(*HeapDenominator)] = _key(
        "What heap use is divided by. `heap_limit`: the effective limit, at which V8 gives up. `heap_total`: what V8 "
        "has committed so far, the check of many tutorials, which alarms on healthy processes.",
        "heap_limit",
    )


class HealthSection(Section):
    """When a process is healthy."""

    heap_usage: HeapUsageSection = Field(
        default=HeapUsageSection(),
        description="Heap use of the fullest isolate (main thread or worker thread).",
        examples=["{unhealthy: 90%, recover: 80%, for: 30s}"],
    )
    container_usage: UsageSection = Field(
        default=UsageSection(),
        description="Memory of the container (cgroup) against its limit; where it has none, the rule is silent.",
        examples=["{unhealthy: 95%, recover: 85%, for: 30s}"],
    )
    on_unknown: Annotated[str | None, kinds.choice(*OnUnknown)] = _key(
        "What a load balancer is told of a process whose heap figures are missing or stale.", "healthy"
    )
    start_grace: Annotated[float | None, kinds.time("0s", "1h")] = _key(
        "How long after its start a process may be without heap figures, and the agent without a process.", "10s"
    )
    stale_after: Annotated[float | None, kinds.time("200ms", "1h")] = _key(
        "Age at which heap figures no longer count; at least twice `sample_interval`.", "10s"
    )
    escalate_to_restart_after: Annotated[float | None, kinds.time("1s", "1d")] = _key(
        "Restart a process that stays unhealthy so long.", "10m"
    )


class BudgetSection(Section):
    """How many restarts are allowed."""

    restarts: Annotated[int | None, kinds.number(1, 1000)] = _key("So many at most …", "3")
    per: Annotated[float | None, kinds.time("1m", "7d")] = _key("… in this time.", "1h")


class RestartSection(Section):
    """When and how a process is restarted."""

    max_memory: Annotated[int | float | None, kinds.memory("10M")] = _key("Restart from this RSS on.", "1G")
    max_memory_restart: Annotated[int | float | None, kinds.memory("10M")] = _key(
        "PM2's name for `max_memory`; only one of the two.", "1G"
    )
    heap_usage: Annotated[float | None, kinds.SHARE] = _key(
        "Restart from this share of the effective heap limit on.", "95%"
    )
    container_usage: Annotated[float | None, kinds.SHARE] = _key(
        "Restart from this share of the container's limit on.", "95%"
    )
    hold: Annotated[float | None, kinds.time("0s", "1d")] = _key("How long one of these must hold.", "10s", key="for")
    drain: Annotated[float | None, kinds.time("0s", "1h")] = _key(
        "How long load balancers are told 503 before the process is asked to end.", "5s"
    )
    grace: Annotated[float | None, kinds.time("0s", "1h")] = _key(
        "How long it may take to end after SIGTERM, before SIGKILL.", "30s"
    )
    method: Annotated[str | None, kinds.choice("signal", "supervise", "pm2", "none")] = _key(
        "Who restarts it; `none`: whoever probes its health.", "signal"
    )
    min_uptime: Annotated[float | None, kinds.time("0s", "1d")] = _key("Never restart one that is younger.", "1m")
    budget: BudgetSection | None = _key("How many restarts are allowed.", "{restarts: 3, per: 1h}")
    dry_run: Annotated[bool | None, kinds.SWITCH] = _key("Decide and publish, and touch nothing.", "true")


class DefaultsSection(Section):
    """What holds for every process."""

    health: HealthSection = Field(
        default=HealthSection(),
        description="Health rules of every process; a process rule overrides them key by key.",
        examples=["{on_unknown: healthy}"],
    )
    restart: RestartSection = Field(
        default=RestartSection(),
        description="Restart rules of every process; a process rule overrides them key by key.",
        examples=["{max_memory: 1G}"],
    )


class MatchSection(Section):
    """Conditions; all that are given must hold."""

    command: Annotated[re.Pattern[str] | None, kinds.PATTERN] = _key(
        "Searched in the command line, its arguments joined by single spaces.", r"'server\.js'"
    )
    pid: Annotated[int | None, kinds.PID] = _key("This process only.", "4711")
    children_of: Annotated[int | re.Pattern[str] | None, kinds.PID_OR_PATTERN] = _key(
        "A pid: that process and everything below it. A pattern: everything below a process whose command line has it.",
        "'pm2|supervisord'",
    )


class ProcessSection(Section):
    """One rule."""

    name: Annotated[str | None, kinds.NAME] = _key(
        "The label `process` and the path `/healthz/NAME`; without it, the script's name. Rules may share a name.",
        "api",
    )
    match: MatchSection = Field(
        default=MatchSection(), description="Which processes it is for. Needed.", examples=[r"{command: 'server\.js'}"]
    )
    health: HealthSection = Field(
        default=HealthSection(),
        description="Health rules; what is not given is as under `defaults`.",
        examples=["{heap_usage: {unhealthy: 95%}}"],
    )
    restart: RestartSection = Field(
        default=RestartSection(),
        description="Restart rules; what is not given is as under `defaults`.",
        examples=["{max_memory: 1G}"],
    )


class FileSection(Section):
    """The whole file."""

    listen: Annotated[Listen | None, kinds.LISTEN] = _key(
        "HTTP address of `/metrics`, `/healthz` and the rest. `:PORT` is every IPv4 address, `[::]:PORT` every IPv6 "
        "address; port 0 lets the kernel choose.",
        "127.0.0.1:9797",
    )
    socket: Annotated[Path | None, kinds.SOCKET_PATH] = _key(
        "Unix socket that reporters connect to.", "/run/heapwarden/agent.sock"
    )
    socket_mode: Annotated[int | None, kinds.MODE] = _key("Who may connect: the permissions of the socket.", "0660")
    state_dir: Annotated[Path | None, kinds.PATH] = _key(
        "Where restarts and exits are remembered.", "/var/lib/heapwarden"
    )
    sample_interval: Annotated[float | None, kinds.time("100ms", "1m")] = _key(
        "How often figures are taken, by the agent and by the reporters.", "1s"
    )
    gc_profiler: Annotated[bool | None, kinds.SWITCH] = _key(
        "Reporters use `v8.GCProfiler` for what each collection freed. It costs some time at each collection.",
        "true",
    )
    prom_client_metrics: Annotated[bool | None, kinds.SWITCH] = _key(
        "Serve `/metrics/prom-client`: the same figures under prom-client's names.", "true"
    )
    retry_after: Annotated[float | None, kinds.time("1s", "1h", whole_seconds=True)] = _key(
        "The `Retry-After` that comes with a 503.", "10s"
    )
    unmatched: Annotated[str | None, kinds.choice("watch", "ignore")] = _key(
        "What becomes of Node processes that no rule under `processes` matches.", "watch"
    )
    defaults: DefaultsSection = Field(
        default=DefaultsSection(),
        description="What holds for every process.",
        examples=["{health: {on_unknown: healthy}}"],
    )
    processes: Annotated[tuple[ProcessSection, ...] | None, Field(max_length=MAX_RULES)] = _key(
        "Rules; the first that matches a process holds for it.", r"[{name: api, match: {command: 'server\.js'}}]"
    )


def keys_of(section: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a section as they are spelled in the file."""
    for name, field in section.model_fields.items():
        yield field.alias or name, field


def kind_of(field: FieldInfo) -> Kind | None:
    """How the value is read; None where it is a section or a list."""
    return next((mark for mark in field.metadata if isinstance(mark, Kind)), None)


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section behind a key, or that of each item where it is a list; None for a plain value."""
    waiting = [field.annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
        waiting.extend(get_args(annotation))
    return None


def is_list(field: FieldInfo) -> bool:
    """Whether the key holds a list of sections."""
    return tuple in {getattr(arm, "__origin__", None) for arm in get_args(field.annotation)}


def example_of(field: FieldInfo) -> str:
    """The key's example, in YAML."""
    return str(field.examples[0]) if field.examples else ""


def all_keys(
    section: type[Section] = FileSection, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key that there is, with the keys above it; one that holds a list ends in ``[]`` there."""
    for key, field in keys_of(section):
        yield (*above, key), field
        below = section_of(field)
        if below is not None:
            yield from all_keys(below, (*above, f"{key}[]" if is_list(field) else key))
