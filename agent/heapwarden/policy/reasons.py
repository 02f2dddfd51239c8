"""Why a process is not simply healthy, in words: the figure, how long, and the mark that counts."""

from heapwarden.domain.findings import Findings
from heapwarden.domain.health import Reason, ReasonCode
from heapwarden.domain.sample import Isolate, Sample
from heapwarden.policy.health import HealthRules, HeapDenominator, UsageMemory, UsageRule


def unknown(rules: HealthRules, sample: Sample, watched_since: float, now: float) -> Reason | None:
    """Why the heap figures don't speak for the process now; None when they do."""
    age = sample.heap_age_seconds(now)
    if age is not None and age <= rules.stale_after_seconds:
        return None
    if age is not None and sample.heap is not None:
        last = "its event loop does not turn" if sample.heap.connected else "its reporter is disconnected"
        return Reason(ReasonCode.FIGURES_STALE, f"heap figures are {age:.0f} s old: {last}")
    if now - watched_since < rules.start_grace_seconds:
        return Reason(ReasonCode.STARTING, "no heap figures yet")
    return Reason(
        ReasonCode.NO_HEAP_FIGURES,
        "no heap figures: it was started without the reporter (see `heapwarden reporter install --help`)",
    )


def heap_usage(
    rules: HealthRules, sample: Sample, findings: Findings, memory: UsageMemory, now: float
) -> Reason | None:
    """Heap use near, over, or not yet recovered from the rule's marks."""
    if (
        sample.heap is None
        or not sample.heap.isolates
        or not _worth_saying(rules.heap, findings.pressure.heap_ratio, memory)
    ):
        return None
    of_total = rules.heap_of is HeapDenominator.HEAP_TOTAL

    def whole(isolate: Isolate) -> int:
        return max(1, isolate.heap_total_bytes if of_total else isolate.effective_limit_bytes)

    worst = max(sample.heap.isolates, key=lambda isolate: isolate.heap_used_bytes / whole(isolate))
    where = "" if worst.is_main else f" in worker thread {worst.thread}"
    name = "heapTotal" if of_total else "the effective heap limit"
    share = _share(worst.heap_used_bytes, whole(worst), name)
    return Reason(ReasonCode.HEAP_USAGE, f"heap use{where} is {share}{_against(rules.heap, memory, now)}")


def container_usage(
    rules: HealthRules, sample: Sample, findings: Findings, memory: UsageMemory, now: float
) -> Reason | None:
    """Container memory near, over, or not yet recovered from the rule's marks."""
    container = sample.container
    ratio = findings.pressure.container_ratio
    if container is None or not container.limit_bytes or now - container.taken_at > rules.stale_after_seconds:
        return None
    if not _worth_saying(rules.container, ratio, memory):
        return None
    share = _share(container.memory_bytes, container.limit_bytes, "its limit")
    text = f"container memory is {share}{_against(rules.container, memory, now)}"
    return Reason(ReasonCode.CONTAINER_USAGE, text)


def gc_thrashing(findings: Findings) -> Reason:
    """V8 collects and gains nothing."""
    return Reason(
        ReasonCode.GC_THRASHING,
        f"{findings.mark_compacts} mark-compacts took {findings.mark_compact_share:.0%} of the last seconds and left "
        f"the heap {findings.pressure.heap_ratio or 0:.0%} full: V8 is about to give up",
    )


def _worth_saying(rule: UsageRule, pressure: float | None, memory: UsageMemory) -> bool:
    """Between the two marks a process is degraded, whatever the rule divides by: it counts how near the limit is."""
    return memory.tripped or memory.over_since is not None or (pressure or 0.0) >= rule.recover_ratio


def _share(used: int, whole: int, name: str) -> str:
    return f"{used / whole:.1%} of {name} ({used / 2**20:.0f} of {whole / 2**20:.0f} MiB)"


def _against(rule: UsageRule, memory: UsageMemory, now: float) -> str:
    held = f" for {now - memory.over_since:.0f} s" if memory.over_since is not None else ""
    if memory.tripped:
        return f"{held}; healthy again below {rule.recover_ratio:.0%}"
    return f"{held}; unhealthy from {rule.unhealthy_ratio:.0%} held for {rule.hold_seconds:g} s"
