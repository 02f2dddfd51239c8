"""From figures to a verdict: thresholds that must hold, and marks below which they are forgotten."""

from dataclasses import dataclass, field

from heapwarden.domain.findings import Findings
from heapwarden.domain.health import HealthState, Reason, ReasonCode, Verdict
from heapwarden.domain.sample import Sample
from heapwarden.policy import reasons as why
from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageMemory, UsageRule

THRASHING_HEAP_RATIO = 0.75
THRASHING_SHARE = 0.2
THRASHING_MARK_COMPACTS = 3
"""V8 gives up when mark-compacts leave the heap four fifths full and the mutator gets less than 40 % of the time: often
before 90 % are used. Measured on deaths of 64 and 256 MB heaps at 2 and 20 MB/s on Node 18 to 26: with these three
every one was seen coming, 0.38 s before its end at the least; with a share of 0.3 one in a hundred was missed."""


@dataclass(frozen=True, slots=True)
class HealthMemory:
    """What is remembered of one process between two judgements."""

    watched_since: float
    """Monotonic time at which the agent first saw it."""
    heap: UsageMemory = field(default_factory=UsageMemory)
    container: UsageMemory = field(default_factory=UsageMemory)
    verdict: Verdict | None = None


def judge(
    rules: HealthRules, sample: Sample, findings: Findings, memory: HealthMemory, now: float
) -> tuple[Verdict, HealthMemory]:
    """Judge one process at ``now``, and what to remember of it."""
    unknown = why.unknown(rules, sample, memory.watched_since, now)
    thrashing = unknown is None and _thrashing(findings)
    heap = _heap(rules, sample, findings, memory.heap, now, thrashing=thrashing, known=unknown is None)
    container = _container(rules, sample, findings, memory.container, now)
    told = (
        why.heap_usage(rules, sample, findings, heap, now),
        why.container_usage(rules, sample, findings, container, now),
        why.gc_thrashing(findings) if thrashing else None,
    )
    reasons = [reason for reason in told if reason is not None]
    if heap.tripped or container.tripped:
        state = HealthState.UNHEALTHY
    elif unknown is not None:
        state = HealthState.STARTING if unknown.code is ReasonCode.STARTING else HealthState.UNKNOWN
    else:
        state = HealthState.DEGRADED if reasons else HealthState.HEALTHY
    if unknown is not None:
        reasons.append(unknown)
    verdict = _verdict(rules, state, tuple(reasons), memory.verdict, now)
    return verdict, HealthMemory(memory.watched_since, heap, container, verdict)


def _heap(
    rules: HealthRules,
    sample: Sample,
    findings: Findings,
    memory: UsageMemory,
    now: float,
    *,
    thrashing: bool,
    known: bool,
) -> UsageMemory:
    """Old figures neither trip nor recover: a full heap that fell silent stays unhealthy while its event loop stands.

    Once the reporter itself is gone nothing can be confirmed any more, and what had tripped is let go to `on_unknown`.
    """
    if known:
        total = rules.heap_of is HeapDenominator.HEAP_TOTAL
        ratio = findings.heap_total_ratio if total else findings.pressure.heap_ratio
        return _step(rules.heap, ratio or 0.0, memory, now, over_anyway=thrashing)
    return memory if sample.heap is not None and sample.heap.connected else UsageMemory()


def _container(rules: HealthRules, sample: Sample, findings: Findings, memory: UsageMemory, now: float) -> UsageMemory:
    """A container without a limit is far from it; one that can't be read any more confirms nothing."""
    if sample.container is None or now - sample.container.taken_at > rules.stale_after_seconds:
        return UsageMemory()
    return _step(rules.container, findings.pressure.container_ratio or 0.0, memory, now)


def _step(rule: UsageRule, ratio: float, memory: UsageMemory, now: float, *, over_anyway: bool = False) -> UsageMemory:
    """One judgement of one rule by a figure that is known."""
    over = ratio >= rule.unhealthy_ratio or over_anyway
    over_since = (memory.over_since if memory.over_since is not None else now) if over else None
    held = over_since is not None and now - over_since >= rule.hold_seconds
    recovered = ratio < rule.recover_ratio and not over
    return UsageMemory(over_since, tripped=held or (memory.tripped and not recovered))


def _thrashing(findings: Findings) -> bool:
    ratio = findings.pressure.heap_ratio
    return (
        ratio is not None
        and ratio >= THRASHING_HEAP_RATIO
        and findings.mark_compacts >= THRASHING_MARK_COMPACTS
        and findings.mark_compact_share >= THRASHING_SHARE
    )


def _verdict(
    rules: HealthRules, state: HealthState, reasons: tuple[Reason, ...], before: Verdict | None, now: float
) -> Verdict:
    unknown_serves = rules.on_unknown is OnUnknown.HEALTHY
    serving = unknown_serves if state is HealthState.UNKNOWN else state is not HealthState.UNHEALTHY
    since = before.since if before is not None and before.state is state else now
    return Verdict(state, serving=serving, reasons=reasons, since=since)
