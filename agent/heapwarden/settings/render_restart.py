"""Restart rules written back: as they would be spelled in the file, and as a few lines for a person."""

from typing import Any

from heapwarden.domain.restart import Hook, Method
from heapwarden.policy.restart import MemoryRule, RestartRules, ShareRule
from heapwarden.settings.faults import printable
from heapwarden.settings.units import write_duration, write_memory, write_percentage


def restart_tree(rules: RestartRules) -> dict[str, Any]:
    """Every key of a section ``restart``; of those that belong to a method, the ones that it has."""
    plan, pauses = rules.plan, rules.pauses
    heap = _mark_tree(rules.heap_usage)
    tree: dict[str, Any] = {
        "max_memory": _mark_tree(rules.max_memory),
        "tree": rules.tree,
        "heap_usage": heap if isinstance(heap, str) else {**heap, "of": str(rules.heap_of)},
        "container_usage": _mark_tree(rules.container_usage),
        "min_uptime": write_duration(rules.min_uptime_seconds),
        "drain": write_duration(plan.drain_seconds),
        "grace": write_duration(plan.grace_seconds),
        "successor_timeout": write_duration(plan.successor_seconds),
        "signal": plan.signal,
        "before": [_hook_tree(hook) for hook in plan.before],
        "after": [_hook_tree(hook) for hook in plan.after],
        "budget": {"restarts": str(rules.budget.restarts), "per": write_duration(rules.budget.per_seconds)},
        "cooldown": write_duration(pauses.cooldown_seconds),
        "max_cooldown": write_duration(pauses.most_seconds),
        "cooldown_reset": write_duration(pauses.reset_seconds),
        "jitter": write_duration(pauses.jitter_seconds),
        "coordinate": {"lease": plan.lease or "off", "max_unavailable": str(plan.max_unavailable)},
        "confirm_with_gc": rules.confirm_with_gc,
        "dry_run": rules.dry_run,
    }
    if rules.method is not None:
        tree["method"] = str(rules.method)
    if plan.command:
        tree["command"] = list(plan.command)
    if plan.url:
        tree["url"] = plan.url
    return tree


def escalation_text(rules: RestartRules) -> str:
    """Health's ``escalate_to_restart_after``."""
    return "off" if rules.escalate_after_seconds is None else write_duration(rules.escalate_after_seconds)


def restart_lines(rules: RestartRules) -> list[tuple[str, str]]:
    """When, how and how often, for a person."""
    budget, pauses, plan = rules.budget, rules.pauses, rules.plan
    pause = f"{write_duration(pauses.cooldown_seconds)} to {write_duration(pauses.most_seconds)} apart"
    jitter = f", up to {write_duration(pauses.jitter_seconds)} at random" if pauses.jitter_seconds else ""
    lease = f", {plan.max_unavailable} at once under lease {plan.lease}" if plan.lease else ""
    often = f"{budget.restarts} in {write_duration(budget.per_seconds)}, {pause}{jitter}{lease}"
    hooks = "".join(
        f", {len(some)} {'hook' if len(some) == 1 else 'hooks'} {when}"
        for when, some in (("before", plan.before), ("after", plan.after))
        if some
    )
    how = (
        f"drain {write_duration(plan.drain_seconds)}, {plan.signal}, grace {write_duration(plan.grace_seconds)}{hooks}"
    )
    return [
        ("restart", "; ".join(_when(rules)) or "never by itself"),
        ("restarted by", f"{_method_text(rules)}: {how}"),
        ("at most", f"{often}, from an uptime of {write_duration(rules.min_uptime_seconds)} on"),
        ("dry run", "yes: restarts are decided and published, and nothing is touched" if rules.dry_run else "no"),
    ]


def _when(rules: RestartRules) -> list[str]:
    children = " with its children" if rules.tree else ""
    heap = f"{rules.heap_of} heap" + (", looked at again after a collection" if rules.confirm_with_gc else "")
    marks = ((f"memory{children}", rules.max_memory), (heap, rules.heap_usage), ("container", rules.container_usage))
    texts = [f"from {_above(rule)} {what} for {write_duration(rule.hold_seconds)}" for what, rule in marks if rule]
    if rules.escalate_after_seconds is not None:
        texts.append(f"after {write_duration(rules.escalate_after_seconds)} unhealthy")
    return texts


def _method_text(rules: RestartRules) -> str:
    match rules.method:
        case None:
            return "signal (under `heapwarden run`: supervise)"
        case Method.COMMAND:
            return f"command {printable(' '.join(rules.plan.command))}"
        case Method.WEBHOOK:
            return f"webhook {rules.plan.url}"
        case method:
            return str(method)


def _mark_tree(rule: MemoryRule | ShareRule | None) -> Any:
    return "off" if rule is None else {"above": _above(rule), "for": write_duration(rule.hold_seconds)}


def _above(rule: MemoryRule | ShareRule) -> str:
    return write_memory(rule.limit) if isinstance(rule, MemoryRule) else write_percentage(rule.ratio)


def _hook_tree(hook: Hook) -> dict[str, Any]:
    what = {"command": list(hook.command)} if hook.command else {"url": hook.url}
    return {**what, "timeout": write_duration(hook.timeout_seconds)}
