"""The checked file turned into the records that the rest of the agent knows. The records hold the defaults."""

import re
from dataclasses import replace

from heapwarden.domain.place import AskPods
from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageRule
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.settings.build_restart import given, merged, merged_restart, restart_rules
from heapwarden.settings.kinds import Off
from heapwarden.settings.model import ApiToken, Settings
from heapwarden.settings.schema import FileSection, HealthSection, MatchSection, UsageSection
from heapwarden.settings.schema_restart import RestartSection


def build(file: FileSection, api_token: ApiToken | None, notices: tuple[str, ...]) -> Settings:
    """The settings that ``file`` asks for; the token may have come from a file of its own."""
    return replace(
        Settings(),
        watchlist=_watchlist(file),
        api_token=api_token,
        notices=notices,
        **given(
            listen=file.listen,
            agent_check=None if isinstance(file.agent_check, Off) else file.agent_check,
            socket=file.socket,
            socket_mode=file.socket_mode,
            state_dir=file.state_dir,
            journal_max_age_seconds=file.journal.max_age,
            journal_max_rows=file.journal.max_rows,
            sample_interval_seconds=file.sample_interval,
            gc_profiler=file.gc_profiler,
            prom_client_metrics=file.prom_client_metrics,
            history_bytes=0 if isinstance(file.history_memory, Off) else file.history_memory,
            retry_after_seconds=file.retry_after,
            ask_pods=AskPods(file.kubernetes.pods) if file.kubernetes.pods else None,
        ),
    )


def health_rules(section: HealthSection, base: HealthRules) -> HealthRules:
    """``base``, overridden key by key."""
    of = section.heap_usage.of
    return replace(
        base,
        heap=usage_rule(section.heap_usage, base.heap),
        container=usage_rule(section.container_usage, base.container),
        **given(
            heap_of=HeapDenominator(of) if of else None,
            on_unknown=OnUnknown(section.on_unknown) if section.on_unknown else None,
            start_grace_seconds=section.start_grace,
            stale_after_seconds=section.stale_after,
        ),
    )


def usage_rule(section: UsageSection, base: UsageRule) -> UsageRule:
    """``base``, overridden key by key."""
    marks = given(unhealthy_ratio=section.unhealthy, recover_ratio=section.recover, hold_seconds=section.hold)
    return replace(base, **marks)


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
    defaults = file.defaults
    health = health_rules(defaults.health, HealthRules())
    rules = (
        ProcessRule(
            process.name,
            match_of(process.match),
            health_rules(process.health, health),
            restart_rules(merged_restart(process.restart, defaults.restart), merged(process.health, defaults.health)),
        )
        for process in file.processes or ()
    )
    return Watchlist(
        tuple(rules),
        watch_unmatched=file.unmatched != "ignore",
        default_health=health,
        default_restart=restart_rules(merged_restart(RestartSection(), defaults.restart), defaults.health),
    )
