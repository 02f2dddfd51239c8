"""Restarts in words and figures, for the log and the journal."""

import logging

from heapwarden.domain.restart import Figure, Outcome, Restart, Stage
from heapwarden.domain.snapshot import Watched


def figures_of(watched: Watched | None) -> dict[str, Figure]:
    """The figures of one process that decisions rest on: bytes and ratios; empty where it is not watched any more."""
    if watched is None:
        return {}
    sample, pressure = watched.sample, watched.findings.pressure
    figures: dict[str, Figure] = {"pressure": pressure.ratio, "nearer": pressure.nearer}
    if sample.kernel is not None:
        figures["rss"] = sample.kernel.rss_bytes
    if sample.tree is not None:
        figures["tree_rss"] = sample.tree.rss_bytes
    main = sample.heap.main if sample.heap else None
    if main is not None:
        figures |= {"heap_used": main.heap_used_bytes, "heap_live": main.live_bytes}
        figures |= {"heap_limit": main.effective_limit_bytes, "external": main.external_bytes}
    if sample.container is not None:
        figures |= {"container": sample.container.memory_bytes, "container_limit": sample.container.limit_bytes}
    figures["limit_in_seconds"] = watched.findings.limit_in_seconds
    return {name: figure for name, figure in figures.items() if figure is not None}


def describe(restart: Restart) -> str:
    """Where it stands, in one sentence."""
    why, note = restart.trigger.text, f" ({restart.note})" if restart.note else ""
    if restart.outcome is Outcome.DRY_RUN:
        return f"would be restarted by {restart.plan.method} now, but dry_run is set: {why}"
    if restart.outcome is Outcome.DONE:
        return f"restarted: {why}{note}"
    if restart.outcome is not None:
        return f"restart {restart.outcome.replace('_', ' ')}: {restart.note or why}"
    return f"{_stage(restart)}{note}"


def level(restart: Restart) -> int:
    """How loud its present step is logged."""
    bad = (Outcome.FAILED, Outcome.NO_SUCCESSOR)
    if restart.outcome in bad or restart.stage is Stage.KILL:
        return logging.ERROR
    return logging.WARNING if restart.stage is Stage.DRAIN else logging.INFO


def _stage(restart: Restart) -> str:
    plan, out = restart.plan, restart.signalled
    terminated = f"was asked to end by {plan.method}, has {plan.grace_seconds:g} s"
    words = {
        Stage.DRAIN: f"is to be restarted: {restart.trigger.text}; drained for at most {plan.drain_seconds:g} s",
        Stage.BEFORE: "hooks before its end are running",
        Stage.TERMINATE: terminated if out else f"is being asked to end by {plan.method}",
        Stage.KILL: "was killed" if out else "is being killed",
        Stage.SUCCESSOR: "has ended; its successor is awaited",
        Stage.AFTER: "hooks after its end are running",
    }
    return words[restart.stage]
