"""What to call the end of a process: by how the kernel says it ended, else by the signs before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from signal import SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals

from heapwarden.analysis.pressure import container_ratio, heap_ratio
from heapwarden.domain.exit import ExitName, ExitReason, ExitStatus, Termination
from heapwarden.domain.health import HealthState
from heapwarden.domain.restart import Restart, Stage
from heapwarden.domain.sample import Isolate
from heapwarden.domain.snapshot import Watched
from heapwarden.policy.judge import THRASHING_HEAP_RATIO, THRASHING_MARK_COMPACTS, THRASHING_SHARE
from heapwarden.policy.restart import RestartRules

ABORTED_HEAP_RATIO = 0.6
"""An abort is V8's when the heap was so full. The last figures may be seconds older, and the leak fast."""
FULL_HEAP_RATIO = 0.9
"""Without an exit status, so full a heap is taken for the cause; when V8 was thrashing, a less full one, too."""
SILENT_SECONDS = 1.0
"""Of figures that are older than this at an abort, resident memory tells how they went on: endless work that fills the
heap lets no others out. Measured, 64 to 1,024 MB were filled so in 0.8 to 5.8 s."""
NODE_BYTES = 48 * 2**20
"""Resident memory of a Node besides its heap."""
OOM_KILLED = "OOMKilled"
"""The kubelet's reason for a container in which the kernel has killed for memory."""
STOPPING = frozenset({SIGTERM, SIGINT, SIGHUP})
"""What people and supervisors stop a process with."""
_SIGNAL_BASE, _SIGNALS = 128, 64
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one end."""

    watched: Watched
    """The process with its last figures."""
    at: float
    """Monotonic time at which the end was noticed."""
    restart: Restart | None = None
    """The one that was under way for it then, at the stage that it had come to."""
    status: ExitStatus | None = None
    oom_kills: int | None = None
    """Processes of its cgroup that the kernel had just killed for memory; None where the kernel does not tell."""
    termination: Termination | None = None
    """Of its container, by the kubelet's word. The kernel's own counts for more."""

    @property
    def open(self) -> bool:
        """Whether the kubelet's word could say what is not known otherwise."""
        if self.termination is not None:
            return False
        killed = self.status is not None and signal_of(self.status) == SIGKILL
        return self.status is None or (killed and self.oom_kills is None)

    @property
    def code(self) -> int | None:
        """The exit code where the kernel has not told it."""
        return self.said if self.said is not None or self.termination is None else self.termination.code

    @property
    def said(self) -> int | None:
        """The exit code that the app itself was about to end with."""
        heap = self.watched.sample.heap
        return None if heap is None else heap.exit_code

    @property
    def ended_by_us(self) -> bool:
        """Whether a restart had come so far that the process had been asked to end."""
        restart = self.restart
        under_way = restart is not None and restart.open and not restart.dry_run
        return under_way and restart is not None and restart.stage not in (Stage.DRAIN, Stage.BEFORE)

    @property
    def killed_by_us(self) -> bool:
        """Whether SIGKILL was ours."""
        return self.ended_by_us and self.restart is not None and self.restart.stage is Stage.KILL

    @property
    def fullest(self) -> Isolate | None:
        """The fullest of its heaps."""
        heap = self.watched.sample.heap
        return max(heap.isolates, key=heap_ratio, default=None) if heap is not None else None

    @property
    def main(self) -> Isolate | None:
        """The main thread's heap. A worker thread that runs out of its heap ends without the process."""
        heap = self.watched.sample.heap
        return heap.main if heap is not None else None

    @property
    def thrashing(self) -> bool:
        """Whether V8 was collecting, and gaining nothing."""
        findings = self.watched.findings
        busy = findings.mark_compacts >= THRASHING_MARK_COMPACTS and findings.mark_compact_share >= THRASHING_SHARE
        return busy and self.fullest is not None and heap_ratio(self.fullest) >= THRASHING_HEAP_RATIO


def name(evidence: Evidence) -> ExitName:
    """The name of one end, and what speaks for it. Never fails; where nothing speaks it is ``unknown``."""
    reason = _by_signs(evidence)
    if evidence.ended_by_us and not _out_of_memory_all_the_same(evidence, reason):
        reason = ExitReason.MEMORY_RESTART
    return ExitName(reason, tuple(_told(evidence, reason)))


def _by_signs(evidence: Evidence) -> ExitReason:
    """As if nobody had restarted it."""
    status = evidence.status
    if status is None and evidence.said is not None:
        status = ExitStatus(code=evidence.said)
    if status is None:
        return _without_status(evidence)
    return _by_status(evidence, status)


def _by_status(evidence: Evidence, status: ExitStatus) -> ExitReason:
    signal = signal_of(status)
    if signal == SIGABRT:
        return ExitReason.HEAP_OOM if _heap_was_full(evidence) else ExitReason.CRASH
    if signal == SIGKILL:
        return ExitReason.CGROUP_OOM if _killed_for_memory(evidence) else ExitReason.CRASH
    clean = signal in STOPPING or status.code == 0
    return ExitReason.CLEAN if clean else ExitReason.CRASH


def _killed_for_memory(evidence: Evidence) -> bool:
    """Of one that SIGKILL has ended. Where the kernel counts such kills, nobody knows better."""
    if evidence.oom_kills is not None:
        return evidence.oom_kills > 0
    return evidence.termination is not None and evidence.termination.reason == OOM_KILLED


def _without_status(evidence: Evidence) -> ExitReason:
    """By the container's end and the last figures.

    A container ends as its first process does, which may be a shell or npm: what they say with a code of their own is
    not what Node ended with. A signal's number they pass on.
    """
    told = evidence.termination
    by_figures = _by_last_figures(evidence)
    if told is None or by_figures is ExitReason.CGROUP_OOM:
        return by_figures
    status = ExitStatus(code=told.code)
    if signal_of(status) is not None or by_figures is ExitReason.UNKNOWN:
        return _by_status(evidence, status)
    return by_figures


def _by_last_figures(evidence: Evidence) -> ExitReason:
    if evidence.oom_kills:
        return ExitReason.CGROUP_OOM
    full = heap_ratio(evidence.main) if evidence.main is not None else 0.0
    if full >= FULL_HEAP_RATIO or (full >= THRASHING_HEAP_RATIO and evidence.thrashing):
        return ExitReason.HEAP_OOM
    return ExitReason.UNKNOWN


def _out_of_memory_all_the_same(evidence: Evidence, reason: ExitReason) -> bool:
    """Whether memory ran out although the restart had begun. A heap that was merely full is why there was one."""
    if reason is ExitReason.HEAP_OOM:
        return evidence.status is not None or evidence.termination is not None
    return reason is ExitReason.CGROUP_OOM and not evidence.killed_by_us


def _heap_was_full(evidence: Evidence) -> bool:
    """For an abort, which is V8's way to give up, and seldom anything else."""
    fullest = evidence.fullest
    if fullest is None:
        return False
    if heap_ratio(fullest) >= ABORTED_HEAP_RATIO or evidence.thrashing:
        return True
    used = fullest.heap_used_bytes + _unexplained_bytes(evidence)
    silent = evidence.at - fullest.taken_at >= SILENT_SECONDS
    return silent and used >= ABORTED_HEAP_RATIO * fullest.effective_limit_bytes


def _unexplained_bytes(evidence: Evidence) -> int:
    """Resident memory beyond what the last heap figures account for."""
    kernel, heap = evidence.watched.sample.kernel, evidence.watched.sample.heap
    if kernel is None or heap is None:
        return 0
    known = sum(one.heap_total_bytes + one.external_bytes for one in heap.isolates)
    return max(0, kernel.rss_bytes - known - NODE_BYTES)


def signal_of(status: ExitStatus) -> int | None:
    """The signal that ended it: its own, or the one that a code as a shell's stands for."""
    if status.signal is not None:
        return status.signal
    number = (status.code or 0) - _SIGNAL_BASE
    return number if 0 < number <= _SIGNALS else None


def _told(evidence: Evidence, reason: ExitReason) -> Iterator[str]:
    """Everything that speaks for the name or belongs to it, strongest first."""
    if evidence.ended_by_us and evidence.restart is not None:
        yield f"a restart was at its stage {evidence.restart.stage}: {evidence.restart.trigger.text}"
    yield _ending(evidence)
    if reason is ExitReason.HEAP_OOM:
        yield from (*_heap(evidence), *_kills(evidence), *_container(evidence))
    else:
        yield from (*_kills(evidence), *_container(evidence), *_heap(evidence))
    kernel, unexplained = evidence.watched.sample.kernel, _unexplained_bytes(evidence)
    if kernel is not None:
        beyond = f", {unexplained / _MIB:.0f} MiB more than the last heap figures explain" if unexplained else ""
        yield f"RSS was {kernel.rss_bytes / _MIB:.0f} MiB{beyond}"


def _ending(evidence: Evidence) -> str:
    status = evidence.status
    if status is None:
        said = evidence.said
        if said is not None:
            return f"the app itself said that it ends with exit code {said}"
        if evidence.termination is not None:
            return _container_ended(evidence.termination)
        return "its exit status is not known: it is no child of the agent, and this kernel did not tell"
    signal = signal_of(status)
    if status.signal is not None:
        return f"ended by {_signal_name(status.signal)}"
    return f"exit code {status.code}" + (f", which stands for {_signal_name(signal)}" if signal is not None else "")


def _container_ended(told: Termination) -> str:
    signal = signal_of(ExitStatus(code=told.code))
    stands_for = f", which stands for {_signal_name(signal)}" if signal is not None else ""
    return (
        f"its container ended with exit code {told.code}{stands_for} ({told.reason or 'no reason'}), the kubelet says"
    )


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kills(evidence: Evidence) -> Iterator[str]:
    kills, container = evidence.oom_kills, evidence.watched.sample.container
    if kills:
        limited = container is None or container.limit_bytes
        why = "for memory" if limited else "as the machine's memory ran out"
        yield f"the kernel had just killed {kills} process{'es' if kills > 1 else ''} of its container {why}"
    elif evidence.termination is not None and evidence.termination.reason == OOM_KILLED and kills is None:
        yield "the kubelet says that its container was OOMKilled"
    elif evidence.status is None or signal_of(evidence.status) == SIGKILL:
        yield (
            "the kernel counts no kill for memory in its container"
            if kills == 0
            else ("whether the kernel killed it for memory is not known")
        )


def _container(evidence: Evidence) -> Iterator[str]:
    container = evidence.watched.sample.container
    ratio = container_ratio(container)
    if container is not None and container.limit_bytes and ratio is not None:
        sizes = f"{container.memory_bytes / _MIB:.0f} of {container.limit_bytes / _MIB:.0f} MiB"
        yield f"its container was at {ratio:.0%} of its limit ({sizes})"


def _heap(evidence: Evidence) -> Iterator[str]:
    fullest, findings = evidence.fullest, evidence.watched.findings
    if fullest is None:
        yield "no heap figures were known"
        return
    whose = "the heap" if fullest.is_main else f"the heap of worker thread {fullest.thread}"
    sizes = f"{fullest.heap_used_bytes / _MIB:.0f} of {fullest.effective_limit_bytes / _MIB:.0f} MiB"
    age = max(0.0, evidence.at - fullest.taken_at)
    yield f"{whose} was at {heap_ratio(fullest):.0%} of its effective limit ({sizes}) {age:.1f} s before the end"
    if evidence.thrashing:
        yield f"{findings.mark_compacts} mark-compacts took {findings.mark_compact_share:.0%} of the last seconds"


def advice(watched: Watched, reason: ExitReason, rules: RestartRules | None) -> str:
    """What would have helped against a process running out of memory, for people."""
    verdict, held = watched.verdict, watched.held
    if verdict.state in (HealthState.DRAINING, HealthState.RESTARTING):
        why = verdict.reasons[0].text if verdict.reasons else verdict.state.label
        return f"what was begun came too late ({why}): lower the mark, or shorten the drain"
    if held is not None:
        return f"a restart was wanted ({held.trigger.text}) and not made: {held.text}"
    return _missing(reason, rules)


def _missing(reason: ExitReason, rules: RestartRules | None) -> str:
    """What the rules lack."""
    if rules is None or not rules.any:
        return "no restart rule is set for it: see `restart` in the settings"
    if rules.dry_run:
        return "its restart rules are on dry_run: set it to false"
    heap = reason is ExitReason.HEAP_OOM
    if heap and rules.heap_usage is None:
        return "its restart rules do not look at the heap: set heap_usage"
    if not heap and rules.container_usage is None and rules.max_memory is None:
        return "its restart rules do not look at resident memory: set container_usage or max_memory"
    return "no restart rule had held for its time: lower the mark, or shorten its `for`"
