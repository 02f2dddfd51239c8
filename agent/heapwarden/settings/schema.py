"""The shape of the settings file: every key with its kind, what it is for, and an example.

All keys are optional and None (or an empty section) where they are not given; defaults stand in the records that the
settings become, and nowhere else.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.fields import FieldInfo

from heapwarden.domain.place import AskPods
from heapwarden.policy.health import HeapDenominator, OnUnknown
from heapwarden.settings import kinds
from heapwarden.settings.faults import KeyPath
from heapwarden.settings.kinds import Off
from heapwarden.settings.model import ApiToken, Listen
from heapwarden.settings.schema_restart import RestartSection
from heapwarden.settings.section import Section, is_list, key, keys_of, section_of

MAX_RULES = 1000

SECRETS: frozenset[KeyPath] = frozenset({("api", "token"), ("api", "token_file")})
"""Where a fault shows nothing of what is written; somebody may take the file's key for that of the token itself."""


class UsageSection(Section):
    """Marks of one usage rule."""

    unhealthy: Annotated[float | None, kinds.SHARE] = key("Unhealthy from here on, once it has held.", "90%")
    recover: Annotated[float | None, kinds.SHARE] = key("Healthy again below; lower than `unhealthy`.", "80%")
    hold: Annotated[float | None, kinds.time("0s", "1d")] = key(
        "How long it must hold without a gap; `0s`: the first figure counts.", "30s", spelled="for"
    )


class HeapUsageSection(UsageSection):
    """Marks of heap use."""

    of: Annotated[str | None, kinds.choice(*HeapDenominator)] = key(
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
    on_unknown: Annotated[str | None, kinds.choice(*OnUnknown)] = key(
        "What a load balancer is told of a process whose heap figures are missing or stale.", "healthy"
    )
    start_grace: Annotated[float | None, kinds.time("0s", "1h")] = key(
        "How long after its start a process may be without heap figures, and the agent without a process.", "10s"
    )
    stale_after: Annotated[float | None, kinds.time("200ms", "1h")] = key(
        "Age at which heap figures no longer count; at least twice `sample_interval`.", "10s"
    )
    escalate_to_restart_after: Annotated[float | Off | None, kinds.or_off(kinds.time("1s", "1d"))] = key(
        "Restart a process that stays unhealthy so long.", "10m"
    )


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

    command: Annotated[re.Pattern[str] | None, kinds.PATTERN] = key(
        "Searched in the command line, its arguments joined by single spaces.", r"'server\.js'"
    )
    pid: Annotated[int | None, kinds.PID] = key("This process only.", "4711")
    children_of: Annotated[int | re.Pattern[str] | None, kinds.PID_OR_PATTERN] = key(
        "A pid: that process and everything below it. A pattern: everything below a process whose command line has it.",
        "'pm2|supervisord'",
    )


class ProcessSection(Section):
    """One rule."""

    name: Annotated[str | None, kinds.NAME] = key(
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


class JournalSection(Section):
    """How much the journal keeps."""

    max_age: Annotated[float | None, kinds.time("7d", "3650d")] = key("Older entries are forgotten.", "90d")
    max_rows: Annotated[int | None, kinds.number(1000, 10_000_000)] = key("The oldest beyond are forgotten.", "10000")


class ApiSection(Section):
    """Who may restart and drain by request."""

    token_file: Annotated[Path | None, kinds.TOKEN_FILE] = key(
        "File that holds the token, alone on its line. It is read again on SIGHUP.", "/etc/heapwarden/token"
    )
    token: Annotated[ApiToken | None, kinds.TOKEN] = key(
        "The token itself; only one of the two. Take it from a variable: a file like this one is read by many.",
        '"${HEAPWARDEN_TOKEN}"',
    )


class KubernetesSection(Section):
    """What the Kubernetes API is asked about pods."""

    pods: Annotated[str | None, kinds.choice(*AskPods)] = key(
        "Pods to know from the API: their names for labels, and why their containers ended. `auto`: those of the node "
        "that the variable `HEAPWARDEN_NODE_NAME` names, and none where it is not set. `own`: the agent's own pod, for "
        "a sidecar. `off`: none; on a node, labels have uids.",
        "own",
    )


class FileSection(Section):
    """The whole file."""

    listen: Annotated[Listen | None, kinds.LISTEN] = key(
        "HTTP address of `/metrics`, `/healthz` and the rest. `:PORT` is every IPv4 address, `[::]:PORT` every IPv6 "
        "address; port 0 lets the kernel choose.",
        "127.0.0.1:9797",
    )
    agent_check: Annotated[Listen | Off | None, kinds.or_off(kinds.LISTEN)] = key(
        "TCP port that answers HAProxy's agent-check, as `up 75%`, `drain` or `down #reason`; see "
        "[load-balancers.md](load-balancers.md#haproxy).",
        "127.0.0.1:9798",
    )
    socket: Annotated[Path | None, kinds.SOCKET_PATH] = key(
        "Unix socket that reporters connect to.", "/run/heapwarden/agent.sock"
    )
    socket_mode: Annotated[int | None, kinds.MODE] = key("Who may connect: the permissions of the socket.", "0660")
    state_dir: Annotated[Path | None, kinds.PATH] = key(
        "Folder where restarts and exits are remembered.", "/var/lib/heapwarden"
    )
    journal: JournalSection = Field(
        default=JournalSection(),
        description="How much is remembered there.",
        examples=["{max_age: 90d, max_rows: 10000}"],
    )
    api: ApiSection = Field(
        default=ApiSection(),
        description="Whoever has its token may restart and drain by request; without one nobody may.",
        examples=["{token_file: /etc/heapwarden/token}"],
    )
    kubernetes: KubernetesSection = Field(
        default=KubernetesSection(),
        description="What the Kubernetes API is asked about pods.",
        examples=["{pods: own}"],
    )
    sample_interval: Annotated[float | None, kinds.time("100ms", "1m")] = key(
        "How often figures are taken, by the agent and by the reporters.", "1s"
    )
    gc_profiler: Annotated[bool | None, kinds.SWITCH] = key(
        "Reporters use `v8.GCProfiler` for what each collection freed. It costs some time at each collection.",
        "true",
    )
    prom_client_metrics: Annotated[bool | None, kinds.SWITCH] = key(
        "Serve `/metrics/prom-client`: the same figures under prom-client's names.", "true"
    )
    history_memory: Annotated[int | Off | None, kinds.or_off(kinds.size("1M", "1G"))] = key(
        "Memory of the agent for the charts of its page, shared by all processes. `8M` is enough for 42 of them: every "
        "sample of 10 minutes, and a row a minute of 12 hours; more have less each. `off`: no charts.",
        "32M",
    )
    retry_after: Annotated[float | None, kinds.time("1s", "1h", whole_seconds=True)] = key(
        "The `Retry-After` that comes with a 503.", "10s"
    )
    unmatched: Annotated[str | None, kinds.choice("watch", "ignore")] = key(
        "What becomes of Node processes that no rule under `processes` matches.", "watch"
    )
    defaults: DefaultsSection = Field(
        default=DefaultsSection(),
        description="What holds for every process.",
        examples=["{health: {on_unknown: healthy}}"],
    )
    processes: Annotated[tuple[ProcessSection, ...] | None, Field(max_length=MAX_RULES)] = key(
        "Rules; the first that matches a process holds for it.", r"[{name: api, match: {command: 'server\.js'}}]"
    )


def all_keys(
    section: type[Section] = FileSection, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key that there is, with the keys above it; one that holds a list ends in ``[]`` there."""
    for name, field in keys_of(section):
        yield (*above, name), field
        below = section_of(field)
        if below is not None:
            yield from all_keys(below, (*above, f"{name}[]" if is_list(field) else name))
