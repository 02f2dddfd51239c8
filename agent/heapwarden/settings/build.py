"""The checked file turned into the records that the rest of the agent knows. The records hold the defaults."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageRule
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.settings.model import Settings
from heapwarden.settings.schema import FileSection, HealthSection, MatchSection, UsageSection

NO_RESTARTS = "checked, but this version restarts nothing"


def build(file: FileSection) -> Settings:
    """The settings that ``file`` asks for."""
    return replace(
        Settings(),
        watchlist=_watchlist(file),
        notices=tuple(_notices(file)),
        **_given(
            listen=file.listen,
            socket=file.socket,
            socket_mode=file.socket_mode,
            state_dir=file.state_dir,
            sample_interval_seconds=file.sample_interval,
            gc_profiler=file.gc_profiler,
            prom_client_metrics=file.prom_client_metrics,
            retry_after_seconds=file.retry_after,
        ),
    )


def health_rules(section: HealthSection, base: HealthRules) -> HealthRules:
    """``base``, overridden key by key."""
    of = section.heap_usage.of
    return replace(
        base,
        heap=usage_rule(section.heap_usage, base.heap),
        container=usage_rule(section.container_usage, base.container),
        **_given(
            heap_of=HeapDenominator(of) if of else None,
            on_unknown=OnUnknown(section.on_unknown) if section.on_unknown else None,
            start_grace_seconds=section.start_grace,
            stale_after_seconds=section.stale_after,
        ),
    )


def usage_rule(section: UsageSection, base: UsageRule) -> UsageRule:
    """``base``, overridden key by key."""
    given = _given(unhealthy_ratio=section.unhealthy, recover_ratio=section.recover, hold_seconds=section.hold)
    return replace(base, **given)


def match_of(section: MatchSection) -> Match:
    """The same conditions."""
    above = section.children_of
    return Match(
        command=section.command,
        pid=section.pid,
        children_of_pid=above if isinstance(above, int) else None,
        children_of_command=above if isinstance(above, re.Pattern) else None,
    )


def _watchlist(file: FileSection) -> Watchlist:
    defaults = health_rules(file.defaults.health, HealthRules())
    rules = (
        ProcessRule(process.name, match_of(process.match), health_rules(process.health, defaults))
        for process in file.processes or ()
    )
    return Watchlist(tuple(rules), watch_unmatched=file.unmatched != "ignore", default_health=defaults)


def _notices(file: FileSection) -> Iterator[str]:
    if file.state_dir is not None:
        yield "state_dir: checked, but this version keeps no state"
    if file.defaults.health.escalate_to_restart_after is not None:
        yield f"defaults.health.escalate_to_restart_after: {NO_RESTARTS}"
    for index, process in enumerate(file.processes or ()):
        if process.health.escalate_to_restart_after is not None:
            yield f"processes[{index}].health.escalate_to_restart_after: {NO_RESTARTS}"
        if process.restart is not None:
            yield f"processes[{index}].restart: {NO_RESTARTS}"


def _given(**values: Any) -> dict[str, Any]:
    """Those of ``values`` that are there; the others stay as they are in the record."""
    return {name: value for name, value in values.items() if value is not None}
