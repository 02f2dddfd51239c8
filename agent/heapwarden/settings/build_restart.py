"""Restart rules of the checked file, turned into their record. The record holds the defaults."""

from dataclasses import replace
from typing import Any, TypeVar

from heapwarden.domain.restart import Hook, Method, Plan
from heapwarden.policy.restart import Budget, HeapFigure, MemoryRule, Pauses, RestartRules, ShareRule
from heapwarden.settings.kinds import Off
from heapwarden.settings.schema import HealthSection
from heapwarden.settings.schema_restart import HookSection, MemoryMarkSection, RestartSection, ShareMarkSection
from heapwarden.settings.section import Section

SomeSection = TypeVar("SomeSection", bound=Section)


def merged(section: SomeSection, base: SomeSection) -> SomeSection:
    """``base``, overridden key by key; a list is one value."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        own, inherited = getattr(section, name), getattr(base, name)
        if isinstance(own, Section) and isinstance(inherited, Section):
            changes[name] = merged(own, inherited)
        elif own is not None:
            changes[name] = own
    return base.model_copy(update=changes)


def merged_restart(section: RestartSection, base: RestartSection) -> RestartSection:
    """As :func:`merged`, with everything that is said under PM2's name under ours."""
    return merged(_in_our_words(section), _in_our_words(base))


def restart_rules(section: RestartSection, health: HealthSection) -> RestartRules:
    """The rules of sections that are merged with the defaults already."""
    heap = _share_rule(section.heap_usage, section.hold)
    escalate = health.escalate_to_restart_after
    return replace(
        RestartRules(),
        max_memory=_memory_rule(section.max_memory, section.hold),
        heap_usage=heap,
        container_usage=_share_rule(section.container_usage, section.hold),
        escalate_after_seconds=None if isinstance(escalate, Off) else escalate,
        budget=replace(Budget(), **given(restarts=section.budget.restarts, per_seconds=section.budget.per)),
        pauses=_pauses(section),
        plan=_plan(section),
        **given(
            tree=section.tree,
            heap_of=HeapFigure(section.heap_usage.of) if heap and section.heap_usage.of else None,
            confirm_with_gc=section.confirm_with_gc,
            min_uptime_seconds=section.min_uptime,
            method=Method(section.method) if section.method else None,
            dry_run=section.dry_run,
        ),
    )


def given(**values: Any) -> dict[str, Any]:
    """Those of ``values`` that are there; the others stay as they are in the record."""
    return {name: value for name, value in values.items() if value is not None}


def _in_our_words(section: RestartSection) -> RestartSection:
    one = merged(section.max_memory, section.max_memory_restart)
    return section.model_copy(update={"max_memory": one, "max_memory_restart": MemoryMarkSection()})


def _memory_rule(mark: MemoryMarkSection, hold: float | None) -> MemoryRule | None:
    if mark.above is None or isinstance(mark.above, Off):
        return None
    return replace(MemoryRule(mark.above), **given(hold_seconds=hold if mark.hold is None else mark.hold))


def _share_rule(mark: ShareMarkSection, hold: float | None) -> ShareRule | None:
    if mark.above is None or isinstance(mark.above, Off):
        return None
    return replace(ShareRule(mark.above), **given(hold_seconds=hold if mark.hold is None else mark.hold))


def _pauses(section: RestartSection) -> Pauses:
    return replace(
        Pauses(),
        **given(
            cooldown_seconds=section.cooldown,
            most_seconds=section.max_cooldown,
            reset_seconds=section.cooldown_reset,
            jitter_seconds=section.jitter,
        ),
    )


def _plan(section: RestartSection) -> Plan:
    """A command and a URL only where the method asks for them: the defaults' may be inherited in vain."""
    return replace(
        Plan(),
        **given(
            signal=section.signal,
            drain_seconds=section.drain,
            grace_seconds=section.grace,
            successor_seconds=section.successor_timeout,
            before=_hooks(section.before),
            after=_hooks(section.after),
            command=section.command if section.method == Method.COMMAND else None,
            url=section.url if section.method == Method.WEBHOOK else None,
            lease=None if isinstance(section.coordinate.lease, Off) else section.coordinate.lease,
            max_unavailable=section.coordinate.max_unavailable,
        ),
    )


def _hooks(sections: tuple[HookSection, ...] | None) -> tuple[Hook, ...] | None:
    if sections is None:
        return None
    return tuple(
        replace(Hook(), **given(command=one.command, url=one.url, timeout_seconds=one.timeout)) for one in sections
    )
