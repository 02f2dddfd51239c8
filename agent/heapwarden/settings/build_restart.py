"""Restart rules of the checked file, turned into their record. The record holds the defaults."""

from dataclasses import replace
from typing import Any, TypeVar

from heapwarden.domain.restart import Method, Plan
from heapwarden.policy.restart import Budget, MemoryRule, RestartRules, ShareRule
from heapwarden.settings.schema import BudgetSection, HealthSection, RestartSection, Section

SomeSection = TypeVar("SomeSection", bound=Section)


def merged(section: SomeSection, base: SomeSection) -> SomeSection:
    """``base``, overridden key by key."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        own, inherited = getattr(section, name), getattr(base, name)
        if isinstance(own, Section) and isinstance(inherited, Section):
            changes[name] = merged(own, inherited)
        elif own is not None:
            changes[name] = own
    return base.model_copy(update=changes)


def restart_rules(section: RestartSection, health: HealthSection) -> RestartRules:
    """The rules of a section that is merged with the defaults already."""
    hold = {} if section.hold is None else {"hold_seconds": section.hold}
    most = section.max_memory if section.max_memory is not None else section.max_memory_restart
    return replace(
        RestartRules(),
        **_given(
            max_memory=None if most is None else MemoryRule(most, **hold),
            heap_usage=None if section.heap_usage is None else ShareRule(section.heap_usage, **hold),
            container_usage=None if section.container_usage is None else ShareRule(section.container_usage, **hold),
            escalate_after_seconds=health.escalate_to_restart_after,
            min_uptime_seconds=section.min_uptime,
            budget=_budget(section.budget),
            method=Method(section.method) if section.method else None,
            dry_run=section.dry_run,
        ),
        plan=replace(Plan(), **_given(drain_seconds=section.drain, grace_seconds=section.grace)),
    )


def _budget(section: BudgetSection | None) -> Budget | None:
    if section is None:
        return None
    return replace(Budget(), **_given(restarts=section.restarts, per_seconds=section.per))


def _given(**values: Any) -> dict[str, Any]:
    """Those of ``values`` that are there; the others stay as they are in the record."""
    return {name: value for name, value in values.items() if value is not None}
