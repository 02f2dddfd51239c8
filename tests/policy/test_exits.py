"""What ends are called."""

import signal
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import figures, strategies
from fakes.snapshots import verdict
from heapwarden.domain.exit import ExitReason, ExitStatus, Termination
from heapwarden.domain.findings import Findings, Pressure
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Name
from heapwarden.domain.restart import Outcome, Plan, Restart, RestartReason, Stage, Trigger
from heapwarden.domain.sample import HeapFigures, KernelFigures
from heapwarden.domain.snapshot import Held, Watched
from heapwarden.policy.exits import Evidence, advice, name
from heapwarden.policy.restart import MemoryRule, RestartRules, ShareRule

NOW = 1_000.0
CALM, THRASHING = (0, 0.0), (6, 0.5)
ABORT, KILL, TERM = (ExitStatus(signal=number) for number in (signal.SIGABRT, signal.SIGKILL, signal.SIGTERM))
ASKED = (Stage.TERMINATE, Stage.KILL, Stage.SUCCESSOR, Stage.AFTER)
TRIGGER = Trigger(RestartReason.MAX_MEMORY, "RSS is 210 MiB, max_memory 200 MiB for 3 s")


def code(number: int) -> ExitStatus:
    """A regular end."""
    return ExitStatus(code=number)


def restart(stage: Stage, **fields: Any) -> Restart:
    """A restart of the process."""
    process = figures.process()
    whole = Restart("r1", process.id, Name("server", "0"), "boot", TRIGGER, Plan(), 1.0, stage, NOW - 1)
    return replace(whole, **fields)


def watched(
    used: float | None = 40,
    activity: tuple[int, float] = CALM,
    *,
    thread: int = 0,
    said: int | None = None,
    container: tuple[float, float | None] | None = (50, 100),
    taken_at: float = NOW - 0.5,
    rss_mib: int = 80,
) -> Watched:
    """A process with a heap limit of 100 MiB; ``used`` None: without any heap figures."""
    isolates = [figures.isolate(used, 100, taken_at=taken_at, thread=thread)] if used is not None else []
    sample = figures.sample(*isolates, at=NOW, container=container)
    heap = sample.heap or HeapFigures("reporter", (), "22.1.0", "12.4")
    kernel = KernelFigures(NOW, rss_mib * figures.MIB, 0, 0, 0, 11)
    sample = replace(sample, kernel=kernel, heap=replace(heap, exit_code=said))
    findings = Findings(Pressure(None if used is None else used / 100, 0.5), None, *activity)
    return Watched(figures.process(), Name("server", "0"), sample, findings, verdict())


def reason(known: Watched, **fields: Any) -> ExitReason:
    """The name."""
    return name(Evidence(known, NOW, **fields)).reason


@pytest.mark.parametrize(
    ("status", "oom_kills", "used", "activity", "expected"),
    [
        pytest.param(ABORT, 0, 95, CALM, ExitReason.HEAP_OOM, id="abort, full heap"),
        pytest.param(ABORT, 0, 61, CALM, ExitReason.HEAP_OOM, id="abort, heap that was filling"),
        pytest.param(code(134), 0, 95, CALM, ExitReason.HEAP_OOM, id="134 of a shell"),
        pytest.param(ABORT, 0, 40, CALM, ExitReason.CRASH, id="abort, roomy heap"),
        pytest.param(ABORT, 0, None, CALM, ExitReason.CRASH, id="abort, nothing known"),
        pytest.param(KILL, 1, 40, CALM, ExitReason.CGROUP_OOM, id="killed, the kernel counts a kill"),
        pytest.param(code(137), 1, 40, CALM, ExitReason.CGROUP_OOM, id="137 of a shell"),
        pytest.param(KILL, 0, 95, THRASHING, ExitReason.CRASH, id="killed by somebody, full heap"),
        pytest.param(KILL, None, 40, CALM, ExitReason.CRASH, id="killed, no counter"),
        pytest.param(TERM, 0, 95, CALM, ExitReason.CLEAN, id="SIGTERM"),
        pytest.param(ExitStatus(signal=signal.SIGINT), 0, 40, CALM, ExitReason.CLEAN, id="SIGINT"),
        pytest.param(ExitStatus(signal=signal.SIGHUP), 0, 40, CALM, ExitReason.CLEAN, id="SIGHUP"),
        pytest.param(code(143), 0, 40, CALM, ExitReason.CLEAN, id="143"),
        pytest.param(code(130), 0, 40, CALM, ExitReason.CLEAN, id="130"),
        pytest.param(code(129), 0, 40, CALM, ExitReason.CLEAN, id="129"),
        pytest.param(code(0), 1, 95, THRASHING, ExitReason.CLEAN, id="0, whatever else"),
        pytest.param(code(3), 1, 95, THRASHING, ExitReason.CRASH, id="3"),
        pytest.param(ExitStatus(signal=signal.SIGSEGV), 0, 40, CALM, ExitReason.CRASH, id="SIGSEGV"),
        pytest.param(code(139), 0, 40, CALM, ExitReason.CRASH, id="139"),
        pytest.param(None, 1, 40, CALM, ExitReason.CGROUP_OOM, id="no status, the kernel counts a kill"),
        pytest.param(None, 0, 91, CALM, ExitReason.HEAP_OOM, id="no status, full heap"),
        pytest.param(None, 0, 80, THRASHING, ExitReason.HEAP_OOM, id="no status, thrashing"),
        pytest.param(None, 0, 80, CALM, ExitReason.UNKNOWN, id="no status, some heap"),
        pytest.param(None, None, None, CALM, ExitReason.UNKNOWN, id="nothing known"),
    ],
)
def test_by_status_and_signs(
    status: ExitStatus | None,
    oom_kills: int | None,
    used: float | None,
    activity: tuple[int, float],
    expected: ExitReason,
) -> None:
    """The status is the strongest word; the counter and the heap say what was behind it."""
    assert reason(watched(used, activity), status=status, oom_kills=oom_kills) is expected


@pytest.mark.parametrize(
    ("said", "used", "expected"),
    [
        pytest.param(0, 95, ExitReason.CLEAN, id="0"),
        pytest.param(1, 95, ExitReason.CRASH, id="1"),
        pytest.param(143, 40, ExitReason.CLEAN, id="as a shell says SIGTERM"),
    ],
)
def test_what_the_app_said_counts_where_the_kernel_says_nothing(said: int, used: float, expected: ExitReason) -> None:
    """It came to its own end, so it was not killed."""
    assert reason(watched(used, said=said), oom_kills=1) is expected
    assert reason(watched(used, said=said), status=KILL, oom_kills=1) is ExitReason.CGROUP_OOM, "but for a status"


def told(code: int, reason_: str = "Error") -> Termination:
    """By the kubelet."""
    return Termination(reason_, code)


OOM_KILLED = told(137, "OOMKilled")


@pytest.mark.parametrize(
    ("status", "oom_kills", "used", "termination", "expected"),
    [
        pytest.param(KILL, None, 40, OOM_KILLED, ExitReason.CGROUP_OOM, id="killed, nobody counts, OOMKilled"),
        pytest.param(KILL, None, 40, told(137), ExitReason.CRASH, id="killed, nobody counts, Error"),
        pytest.param(KILL, 0, 40, OOM_KILLED, ExitReason.CRASH, id="the kernel has killed nobody for memory"),
        pytest.param(code(3), None, 40, OOM_KILLED, ExitReason.CRASH, id="another process of the container was killed"),
        pytest.param(TERM, None, 40, OOM_KILLED, ExitReason.CLEAN, id="SIGTERM, whatever the kubelet says"),
        pytest.param(None, None, 40, OOM_KILLED, ExitReason.CGROUP_OOM, id="no status, OOMKilled"),
        pytest.param(None, 1, 40, told(143), ExitReason.CGROUP_OOM, id="no status, a kill, and the container stopped"),
        pytest.param(None, 1, 40, told(1), ExitReason.CGROUP_OOM, id="no status, the kernel counts a kill"),
        pytest.param(None, 0, 40, OOM_KILLED, ExitReason.CRASH, id="no status, the kernel counts none"),
        pytest.param(None, None, 95, told(134), ExitReason.HEAP_OOM, id="no status, 134, full heap"),
        pytest.param(None, None, 40, told(134), ExitReason.CRASH, id="no status, 134, roomy heap"),
        pytest.param(None, None, 95, told(143), ExitReason.CLEAN, id="no status, 143"),
        pytest.param(None, None, 40, told(0, "Completed"), ExitReason.CLEAN, id="no status, 0"),
        pytest.param(None, None, 40, told(1), ExitReason.CRASH, id="no status, 1"),
        pytest.param(None, None, 95, told(1), ExitReason.HEAP_OOM, id="no status, 1 of npm, full heap"),
        pytest.param(None, None, None, told(255, ""), ExitReason.CRASH, id="no status, 255, nothing known"),
    ],
)
def test_the_kubelets_word(
    status: ExitStatus | None,
    oom_kills: int | None,
    used: float | None,
    termination: Termination,
    expected: ExitReason,
) -> None:
    """It fills what the kernel leaves open, and contradicts nothing that the kernel has said."""
    assert reason(watched(used), status=status, oom_kills=oom_kills, termination=termination) is expected


@given(st.sampled_from((ABORT, KILL, TERM, code(0), code(3))), st.integers(0, 1), st.integers(0, 255), st.text())
def test_a_known_end_is_never_called_otherwise(status: ExitStatus, kills: int, number: int, word: str) -> None:
    """Where the kernel has told status and kills, the kubelet's word changes nothing."""
    evidence = Evidence(watched(95), NOW, status=status, oom_kills=kills)
    assert not evidence.open
    assert name(evidence).reason is name(replace(evidence, termination=told(number, word))).reason


def test_the_kubelets_word_is_told() -> None:
    """As what it is."""
    evidence = Evidence(watched(40), NOW, termination=OOM_KILLED)
    assert (
        "its container ended with exit code 137, which stands for SIGKILL (OOMKilled), the kubelet says"
        in name(evidence).evidence
    )
    assert "the kubelet says that its container was OOMKilled" in name(replace(evidence, status=KILL)).evidence
    assert "exit code 1 (no reason)" in name(replace(evidence, termination=told(1, ""))).evidence[0]


@pytest.mark.parametrize(
    ("fields", "still"),
    [
        pytest.param({}, True, id="nothing known"),
        pytest.param({"status": KILL}, True, id="killed, nobody counts"),
        pytest.param({"status": code(137)}, True, id="137, nobody counts"),
        pytest.param({"status": KILL, "oom_kills": 0}, False, id="killed, none counted"),
        pytest.param({"status": TERM}, False, id="stopped"),
        pytest.param({"oom_kills": 1}, True, id="no status yet"),
        pytest.param({"termination": OOM_KILLED}, False, id="told"),
    ],
)
def test_whether_more_could_be_told(fields: dict[str, Any], still: bool) -> None:
    """That is waited for."""
    assert Evidence(watched(40), NOW, **fields).open is still


def test_a_worker_threads_heap_ends_no_process() -> None:
    """Node ends the thread alone. Only with an abort is its heap a sign."""
    assert reason(watched(95, thread=1)) is ExitReason.UNKNOWN
    assert reason(watched(95, thread=1), status=ABORT) is ExitReason.HEAP_OOM


@pytest.mark.parametrize(
    ("taken_at", "rss_mib", "expected"),
    [
        pytest.param(NOW - 1.2, 160, ExitReason.HEAP_OOM, id="silent and grown"),
        pytest.param(NOW - 0.5, 160, ExitReason.CRASH, id="not silent"),
        pytest.param(NOW - 9, 110, ExitReason.CRASH, id="not grown"),
    ],
)
def test_an_abort_after_silence(taken_at: float, rss_mib: int, expected: ExitReason) -> None:
    """An endless loop that fills the heap lets no figures out; resident memory tells of it.

    The last figures explain 62 MiB of it, and Node itself 48.
    """
    known = watched(20, taken_at=taken_at, rss_mib=rss_mib)
    assert reason(known, status=ABORT) is expected
    beyond = ", 50 MiB more than the last heap figures explain" if rss_mib == 160 else ""
    assert name(Evidence(known, NOW, status=ABORT)).evidence[-1] == f"RSS was {rss_mib} MiB{beyond}"


@pytest.mark.parametrize("stage", ASKED)
@pytest.mark.parametrize("status", [None, code(0), code(1), TERM, KILL, ABORT, ExitStatus(signal=11)])
def test_what_was_asked_to_end_was_restarted(stage: Stage, status: ExitStatus | None) -> None:
    """However it ended then, unless its memory ran out."""
    assert reason(watched(50), restart=restart(stage), status=status) is ExitReason.MEMORY_RESTART


@pytest.mark.parametrize("stage", [Stage.DRAIN, Stage.BEFORE])
def test_what_ends_while_it_drains_ends_by_itself(stage: Stage) -> None:
    """It was not asked yet."""
    assert reason(watched(), restart=restart(stage), status=code(0)) is ExitReason.CLEAN


def test_a_restart_that_is_over_or_only_imagined_ends_nothing() -> None:
    """A failed one left it running; a dry run never touched it."""
    over = restart(Stage.KILL, outcome=Outcome.FAILED)
    assert reason(watched(), restart=over, status=KILL) is ExitReason.CRASH
    assert reason(watched(), restart=restart(Stage.TERMINATE, dry_run=True), status=TERM) is ExitReason.CLEAN


@pytest.mark.parametrize("stage", ASKED)
def test_memory_that_ran_out_during_a_restart_shows(stage: Stage) -> None:
    """An abort with a full heap is V8's; the kernel's kill is its own, unless SIGKILL was ours."""
    full = watched(95)
    assert reason(full, restart=restart(stage), status=ABORT) is ExitReason.HEAP_OOM
    expected = ExitReason.MEMORY_RESTART if stage is Stage.KILL else ExitReason.CGROUP_OOM
    assert reason(full, restart=restart(stage), status=KILL, oom_kills=1) is expected
    assert reason(full, restart=restart(stage)) is ExitReason.MEMORY_RESTART, "a full heap alone is why"


def test_evidence_is_told_strongest_first_and_with_figures() -> None:
    """What people read in the journal."""
    told = name(Evidence(watched(container=(99, 100)), NOW, status=KILL, oom_kills=1)).evidence
    assert told == (
        "ended by SIGKILL",
        "the kernel had just killed 1 process of its container for memory",
        "its container was at 99% of its limit (99 of 100 MiB)",
        "the heap was at 40% of its effective limit (40 of 100 MiB) 0.5 s before the end",
        "RSS was 80 MiB",
    )
    told = name(Evidence(watched(95, THRASHING, thread=3), NOW, status=code(134))).evidence
    assert told[:3] == (
        "exit code 134, which stands for SIGABRT",
        "the heap of worker thread 3 was at 95% of its effective limit (95 of 100 MiB) 0.5 s before the end",
        "6 mark-compacts took 50% of the last seconds",
    )
    told = name(Evidence(watched(None, container=(99, None)), NOW, oom_kills=2)).evidence
    assert told[1] == "the kernel had just killed 2 processes of its container as the machine's memory ran out"
    told = name(Evidence(watched(None, container=None), NOW)).evidence
    assert told[0].startswith("its exit status is not known")
    assert "whether the kernel killed it for memory is not known" in told
    assert "no heap figures were known" in told
    told = name(Evidence(watched(), NOW, status=ExitStatus(signal=40), restart=restart(Stage.TERMINATE))).evidence
    assert told[:2] == (f"a restart was at its stage terminate: {TRIGGER.text}", "ended by signal 40")


statuses = (
    st.none() | st.builds(ExitStatus, code=st.integers(0, 255)) | st.builds(ExitStatus, signal=st.integers(1, 64))
)
restarts = st.none() | st.builds(restart, st.sampled_from(Stage), outcome=st.none() | st.sampled_from(Outcome))


@given(strategies.watched(), statuses, restarts, st.none() | st.integers(0, 3), st.none() | st.integers(0, 255))
def test_every_end_has_a_name(
    known: Watched, status: ExitStatus | None, begun: Restart | None, oom_kills: int | None, said: int | None
) -> None:
    """Whatever is known or missing: a name, evidence for it, and no error. No restart hides that memory ran out."""
    if known.sample.heap is not None:
        known = replace(known, sample=replace(known.sample, heap=replace(known.sample.heap, exit_code=said)))
    evidence = Evidence(known, 1_000.0, begun, status, oom_kills)
    named = name(evidence)
    assert named.evidence
    assert all(named.evidence)
    without = name(replace(evidence, restart=None))
    proven = status is not None and without.reason.out_of_memory
    if proven and (begun is None or begun.stage is not Stage.KILL):
        assert named.reason is without.reason
    if begun is None or not begun.open:
        assert named == without
    assert advice(known, named.reason, None)


@pytest.mark.parametrize(
    ("rules", "out_of", "expected"),
    [
        pytest.param(None, ExitReason.HEAP_OOM, "no restart rule is set", id="none"),
        pytest.param(RestartRules(), ExitReason.HEAP_OOM, "no restart rule is set", id="empty"),
        pytest.param(
            RestartRules(heap_usage=ShareRule(0.8), dry_run=True), ExitReason.HEAP_OOM, "dry_run", id="dry run"
        ),
        pytest.param(RestartRules(max_memory=MemoryRule(9)), ExitReason.HEAP_OOM, "set heap_usage", id="not the heap"),
        pytest.param(
            RestartRules(heap_usage=ShareRule(0.8)), ExitReason.CGROUP_OOM, "set container_usage", id="only the heap"
        ),
        pytest.param(RestartRules(max_memory=MemoryRule(9)), ExitReason.CGROUP_OOM, "lower the mark", id="too late"),
    ],
)
def test_advice(rules: RestartRules | None, out_of: ExitReason, expected: str) -> None:
    """What would have helped."""
    assert expected in advice(watched(), out_of, rules)


def test_advice_knows_what_was_held_and_what_had_begun() -> None:
    """A restart that was wanted, and one that came too late."""
    rules = RestartRules(max_memory=MemoryRule(9))
    held = replace(watched(), held=Held(TRIGGER, "budget", "budget spent: 3 in the last hour"))
    assert f"({TRIGGER.text}) and not made: budget spent" in advice(held, ExitReason.HEAP_OOM, rules)
    draining = replace(held, verdict=verdict(HealthState.DRAINING, text="restart, stage drain"))
    assert "too late (restart, stage drain)" in advice(draining, ExitReason.HEAP_OOM, rules)
