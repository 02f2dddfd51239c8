"""Which restart rule holds for a process now: each must hold without a gap for its time, unless there is no time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from heapwarden.domain.findings import Findings
from heapwarden.domain.health import HealthState
from heapwarden.domain.restart import RestartReason, Trigger
from heapwarden.domain.sample import Sample
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.restart import HeapFigure, MemoryRule, RestartRules


@dataclass(frozen=True, slots=True)
class RestartMemory:
    """What is remembered of one process between two judgements."""

    over_since: Mapping[RestartReason, float] = field(default_factory=dict)
    """Since when each rule's figure has been at or over its mark."""


@dataclass(frozen=True, slots=True)
class _Over:
    """A figure that is at or over its mark."""

    reason: RestartReason
    text: str
    hold_seconds: float
    held_seconds: float | None = None
    """Where it is known otherwise than from being looked at again and again."""


def wanted(
    rules: RestartRules, watched: Watched, stale_after_seconds: float, memory: RestartMemory, now: float
) -> tuple[Trigger | None, RestartMemory]:
    """The first rule that holds at ``now``, and what to remember. Figures that are too old confirm nothing."""
    findings = watched.findings
    over = list(_over(rules, watched, now - stale_after_seconds, now))
    since = {one.reason: memory.over_since.get(one.reason, now) for one in over}
    trigger = None
    for one in over:
        held = one.held_seconds if one.held_seconds is not None else now - since[one.reason]
        if held >= one.hold_seconds:
            trigger = Trigger(one.reason, f"{one.text} for {held:.0f} s" if held >= 1 else one.text)
        elif (left := findings.limit_in_seconds) is not None and left <= rules.notice_seconds:
            text = f"{one.text}, and the {findings.pressure.nearer or 'nearer'} limit would be hit in {left:.1f} s"
            trigger = Trigger(one.reason, text)
        if trigger is not None:
            break
    return trigger, RestartMemory(since)


def _over(rules: RestartRules, watched: Watched, fresh: float, now: float) -> Iterator[_Over]:
    """``fresh``: figures taken before say nothing."""
    sample, findings, verdict = watched.sample, watched.findings, watched.verdict
    yield from _memory(rules, sample, fresh)
    yield from _heap(rules, sample, findings, fresh)
    ratio = findings.pressure.container_ratio
    if rules.container_usage is not None and ratio is not None and _taken(sample.container) >= fresh:
        rule = rules.container_usage
        if ratio >= rule.ratio:
            text = f"container memory is {ratio:.1%} of its limit, restart from {rule.ratio:.0%}"
            yield _Over(RestartReason.CONTAINER_USAGE, text, rule.hold_seconds)
    if rules.escalate_after_seconds is not None and verdict.state is HealthState.UNHEALTHY:
        held = now - verdict.since
        reasons = "; ".join(reason.text for reason in verdict.reasons)
        yield _Over(RestartReason.UNHEALTHY, f"unhealthy ({reasons})", rules.escalate_after_seconds, held)


def _memory(rules: RestartRules, sample: Sample, fresh: float) -> Iterator[_Over]:
    rule, resident, whose = rules.max_memory, _resident_bytes(sample, fresh), "RSS"
    if rule is None or resident is None:
        return
    limit = _limit_bytes(rule, sample, fresh)
    if rules.tree and sample.tree is not None and _taken(sample.tree) >= fresh:
        resident, whose = sample.tree.rss_bytes, f"RSS of {sample.tree.processes} processes together"
    if limit is not None and resident >= limit:
        text = f"{whose} is {resident / 2**20:.0f} MiB, max_memory {limit / 2**20:.0f} MiB"
        yield _Over(RestartReason.MAX_MEMORY, text, rule.hold_seconds)


def _resident_bytes(sample: Sample, fresh: float) -> int | None:
    """The kernel's figure; Node's own of a process in a PID namespace that can't be seen into."""
    if sample.process.visible:
        return sample.kernel.rss_bytes if sample.kernel is not None and sample.kernel.taken_at >= fresh else None
    main = sample.heap.main if sample.heap else None
    return main.process_rss_bytes if main is not None and main.taken_at >= fresh else None


def _limit_bytes(rule: MemoryRule, sample: Sample, fresh: float) -> int | None:
    """None where it is a share of a container's limit and there is none."""
    if isinstance(rule.limit, int):
        return rule.limit
    container = sample.container
    if container is None or not container.limit_bytes or container.taken_at < fresh:
        return None
    return round(rule.limit * container.limit_bytes)


def _heap(rules: RestartRules, sample: Sample, findings: Findings, fresh: float) -> Iterator[_Over]:
    rule = rules.heap_usage
    isolates = [one for one in sample.heap.isolates if one.taken_at >= fresh] if rule and sample.heap else []
    if rule is None or not isolates:
        return
    live = rules.heap_of is HeapFigure.LIVE
    ratio = findings.pressure.heap_ratio or 0.0
    if live:
        ratio = max((one.live_bytes or 0) / one.effective_limit_bytes for one in isolates)
    if ratio >= rule.ratio:
        what = "the live set" if live else "heap use"
        text = f"{what} is {ratio:.1%} of the effective heap limit, restart from {rule.ratio:.0%}"
        yield _Over(RestartReason.HEAP_USAGE, text, rule.hold_seconds)


def _taken(figures: object) -> float:
    """When they were taken; long ago where there are none."""
    return getattr(figures, "taken_at", float("-inf"))
