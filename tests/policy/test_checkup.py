"""What is found wrong with how a process is set up, and that what is advised puts it right."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fakes import figures
from heapwarden.analysis.sizing import Footprint, advise, household, least_limit
from heapwarden.domain.checkup import Launch, Problem, ProblemCode, Severity, SocketTrouble
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import ContainerFigures, GcKind, GcTotals, HeapFigures, Isolate, KernelFigures, Sample
from heapwarden.policy.checkup import examine
from heapwarden.policy.facts import Case, Standing

MIB = 2**20
GIB_MIB = 1024
NOW, WALL = 1_000.0, 1_700_003_600.0
AGENT = Standing(NOW, WALL, machine_bytes=64 * GIB_MIB * MIB, agent_version="1.2.3")
ALONE = replace(AGENT, agent_version=None)
WELL = Launch(uid=1000, gid=1001, node_options="--require /opt/heapwarden.cjs", socket="/run/agent.sock")
HEAP_LIMITS = {ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER, ProblemCode.HEAP_LIMIT_BELOW_CONTAINER}
CGROUP = "/sys/fs/cgroup/app"


def isolate(effective: float, semi: float = 16, *, thread: int = 0, total: float = 30) -> Isolate:
    """One heap; sizes in MiB."""
    one = figures.isolate(limit_mib=effective, thread=thread, total_mib=total, taken_at=NOW)
    return replace(one, heap_limit_bytes=int((effective + 3 * semi) * MIB))


def heap(*isolates: Isolate, **fields: object) -> HeapFigures:
    """Of a reporter as new as the agent."""
    return replace(figures.heap(*isolates), reporter_version="1.2.3", **fields)  # type: ignore[arg-type]


def case(
    known: HeapFigures | None = None,
    *,
    pid: int = 100,
    limit: float | None = 1024,
    memory: float = 90,
    rss: float = 90,
    file: float = 35,
    swap: float = 0,
    launch: Launch | None = WELL,
    argv: Sequence[str] = ("node", "/app/server.js"),
    cgroup: str = CGROUP,
) -> Case:
    """One process; sizes in MiB. ``limit`` None: in no container."""
    id_ = ProcessId(pid, 5_000)
    kernel = KernelFigures(NOW, int(rss * MIB), int(swap * MIB), 1_000, 2, 11, int(file * MIB))
    container = None if limit is None else ContainerFigures(NOW, int(memory * MIB), int(limit * MIB), cgroup=cgroup)
    process = Process(id_, tuple(argv), started_at=WALL - 3_600, script="server")
    return Case(process, Sample(id_, NOW, kernel, container, known), launch)


def found(*cases: Case, standing: Standing = AGENT) -> dict[ProblemCode, Problem]:
    """Problems of the first."""
    return {one.code: one for one in examine(cases, standing)[cases[0].process.id].problems}


def test_a_process_that_is_well_set_up_has_no_problem() -> None:
    """800 of 1,024 MiB, an environment that can be read, a reporter that reports."""
    assert found(case(heap(isolate(800)))) == {}
    assert found(case(heap(isolate(4096)), limit=None)) == {}


def test_a_limit_above_the_containers_is_an_error() -> None:
    """The kernel would kill first; the value to set is named, and what is to go."""
    launch = replace(WELL, node_options="--max-old-space-size=4096")
    (problem,) = found(case(heap(isolate(4096)), launch=launch)).values()
    assert problem.code is ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER
    assert problem.severity is Severity.ERROR
    assert "the kernel kills first" in problem.text
    assert problem.text.endswith("the heap limit is from --max-old-space-size=4096 (NODE_OPTIONS)")
    assert problem.remedy == "put --max-old-space-size=800 in place of --max-old-space-size=4096 (NODE_OPTIONS)"


def test_what_is_no_heap_counts() -> None:
    """Pages of files don't: the kernel drops them before it kills. Buffers do."""
    near = heap(isolate(980))
    assert found(case(near, rss=100, file=50)) == {}
    assert ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER in found(case(near, rss=100, file=10))


def test_semi_spaces_do_not_make_a_limit_too_high() -> None:
    """What dies has long been promoted: measured, V8 gave up first whatever they were."""
    assert found(case(heap(isolate(900, semi=64)))) == {}


def test_a_limit_far_below_the_containers_is_memory_not_used() -> None:
    """V8's own choice is half; more than a third unused is said, with the value to set."""
    (problem,) = found(case(heap(isolate(512, semi=4)))).values()
    assert problem.code is ProblemCode.HEAP_LIMIT_BELOW_CONTAINER
    assert problem.severity is Severity.WARNING
    assert problem.text.startswith("440 MiB of the 1024 MiB that its container may take can never be used")
    assert problem.remedy == "add --max-old-space-size=848 to NODE_OPTIONS"


def test_a_smaller_container_is_the_other_way_out_of_a_limit_that_was_set() -> None:
    """One that V8 chose itself would shrink with the container."""
    launch = replace(WELL, node_options="--max-old-space-size=256")
    set_up = case(heap(isolate(256, semi=1)), launch=launch)
    remedy = found(set_up)[ProblemCode.HEAP_LIMIT_BELOW_CONTAINER].remedy
    smaller = int(remedy.partition("no more than ")[2].partition(" ")[0])
    assert found(case(heap(isolate(256, semi=1)), launch=launch, limit=smaller)) == {}


def test_a_process_that_uses_its_container_otherwise_is_left_alone() -> None:
    """400 MiB of buffers are no memory that is not used."""
    assert found(case(heap(isolate(512)), rss=430, memory=430)) == {}


def test_processes_that_share_a_container_are_counted_together() -> None:
    """Four of a cluster, each fine for itself."""
    four = [case(heap(isolate(512)), pid=100 + n, memory=360) for n in range(4)]
    problem = found(*four)[ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
    assert problem.severity is Severity.WARNING
    assert problem.text.startswith("together 4 Node processes may take 2148 MiB")
    assert problem.remedy.endswith("for each of the 4 Node processes in there")


def test_worker_threads_are_counted_together() -> None:
    """Each has a heap and a limit of its own."""
    problem = found(case(heap(isolate(600), isolate(600, thread=1))))[ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
    assert problem.severity is Severity.WARNING
    assert problem.text.startswith("together the 2 heaps of its threads")


def test_what_others_take_in_the_container_is_not_for_the_heap() -> None:
    """A database in the same container."""
    with_database = case(heap(isolate(512)), memory=600, rss=90)
    assert ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER in found(with_database)


@pytest.mark.parametrize("cgroup", ["/sys/fs/cgroup/kubepods.slice", "/sys/fs/cgroup/memory/kubepods/burstable"])
def test_a_limit_over_all_containers_of_a_machine_is_nobodys_own(cgroup: str) -> None:
    """Neither too little used nor together too much; a heap beyond all of it is still too high."""
    assert found(case(heap(isolate(512)), limit=32_000, cgroup=cgroup)) == {}
    many = [case(heap(isolate(4096)), pid=pid, limit=32_000, cgroup=cgroup) for pid in range(1, 20)]
    assert found(*many) == {}
    assert ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER in found(case(heap(isolate(33_000)), limit=32_000, cgroup=cgroup))


def test_too_small_a_container_is_told_its_least_size() -> None:
    """No value would help."""
    problem = found(case(heap(isolate(256)), limit=64))[ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER]
    assert problem.remedy == (
        "the container is too small for this process: not even 32 MiB of heap fit; give it 138 MiB at least"
    )


def test_without_a_reporter_options_tell_the_limit() -> None:
    """And V8's own choice is not known, so nothing is said of it."""
    silent = replace(WELL, node_options="")
    assert set(found(case(launch=silent), standing=ALONE)) == {ProblemCode.REPORTER_ABSENT}
    argv = ("node", "--max-old-space-size=4096", "/app/server.js")
    assert ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER in found(case(argv=argv), standing=ALONE)
    half = replace(WELL, node_options="-r /heapwarden.cjs --max-old-space-size-percentage=50")
    assert ProblemCode.HEAP_LIMIT_BELOW_CONTAINER in found(case(launch=half), standing=ALONE)
    most = replace(WELL, node_options="-r /heapwarden.cjs --max-old-space-size-percentage=80")
    assert found(case(launch=most), standing=ALONE) == {}


def test_a_limit_above_the_machines_memory() -> None:
    """Bytes where MiB were wanted."""
    launch = replace(WELL, node_options="--max-old-space-size=1073741824")
    problem = found(case(heap(isolate(1_073_741_824)), limit=None, launch=launch))
    assert set(problem) == {ProblemCode.HEAP_LIMIT_ABOVE_MACHINE}


@pytest.mark.parametrize(
    ("argv", "options", "says"),
    [
        pytest.param("node a.js --max-old-space-size=700", "", "stands after the script's name", id="after the script"),
        pytest.param("node a.js", "--max-old-space-size= 700", "no number that V8 takes", id="a space"),
        pytest.param("node --max-old-space-size=0 a.js", "", "no number that V8 takes", id="zero"),
    ],
)
def test_options_that_do_nothing(argv: str, options: str, says: str) -> None:
    """Errors: whoever wrote them believes in them."""
    problem = found(case(heap(isolate(800)), argv=argv.split(), launch=replace(WELL, node_options=options)))
    assert says in problem[ProblemCode.HEAP_OPTION_INEFFECTIVE].text


def test_an_option_given_twice_alike_contradicts_nothing() -> None:
    """Nor does one after the script's name that is in force from elsewhere."""
    argv = ("node", "--max-old-space-size=800", "a.js", "--max-old-space-size=800")
    assert (
        found(case(heap(isolate(800)), argv=argv, launch=replace(WELL, node_options="--max-old-space-size=800"))) == {}
    )


@pytest.mark.parametrize(
    ("argv", "options", "holds"),
    [
        pytest.param("node --max-old-space-size=800 a", "--max-old-space-size=400", "=800", id="command line last"),
        pytest.param("node --max-old-space-size=9 a", "--max-old-space-size-percentage=80", "=80", id="percentage"),
    ],
)
def test_options_that_contradict_each_other(argv: str, options: str, holds: str) -> None:
    """Which one holds is said."""
    problem = found(case(heap(isolate(800)), argv=argv.split(), launch=replace(WELL, node_options=options)))
    assert problem[ProblemCode.HEAP_OPTION_CONTRADICTED].remedy.endswith(holds)


@pytest.mark.parametrize(
    ("seconds", "semi", "expected"),
    [
        pytest.param(360.0, 16, True, id="a tenth of its time"),
        pytest.param(36.0, 16, False, id="a hundredth"),
        pytest.param(360.0, 64, False, id="large already"),
    ],
)
def test_semi_spaces_are_small_for_who_collects_all_the_time(seconds: float, semi: int, expected: bool) -> None:
    """What larger ones cost is said."""
    busy = replace(isolate(800, semi), gc={GcKind.MINOR: GcTotals((0, 90_000, 0, 0, 0, 0, 0), seconds)})
    problem = found(case(heap(busy))).get(ProblemCode.SEMI_SPACE_SMALL)
    assert (problem is not None) is expected
    if problem is not None:
        assert "--max-semi-space-size=32" in problem.remedy
        assert "48 MiB more" in problem.remedy


@pytest.mark.parametrize(
    ("swap", "rss", "expected"),
    [
        pytest.param(40, 90, True, id="much"),
        pytest.param(10, 90, False, id="a few pages"),
        pytest.param(40, 2_000, False, id="little of it"),
    ],
)
def test_swap(swap: float, rss: float, expected: bool) -> None:
    """A heap in swap is read back by each mark-compact."""
    swapped = case(heap(isolate(800)), swap=swap, rss=rss, limit=None, launch=replace(WELL, swappiness=60))
    problem = found(swapped).get(ProblemCode.SWAP_IN_USE)
    assert (problem is not None) is expected
    assert problem is None or "(swappiness 60)" in problem.text


def test_permissions_that_are_missing() -> None:
    """Each names the line that gives it, with the app's own ids."""
    launch = Launch(uid=1000, gid=1001, node_options=None, cgroup_hidden=True, may_signal=False)
    problems = found(case(limit=None, launch=launch))
    wanted = {ProblemCode.ENVIRON_UNREADABLE, ProblemCode.CONTAINER_UNREADABLE, ProblemCode.SIGNAL_NOT_PERMITTED}
    assert wanted <= set(problems)
    for code in wanted:
        assert "`runAsUser: 1000` and `runAsGroup: 1001`" in problems[code].remedy
        assert "--user 1000:1001" in problems[code].remedy
        assert "`runAsUser: 0` and `capabilities:" in problems[code].remedy
    assert "{add: [KILL]}" in problems[ProblemCode.SIGNAL_NOT_PERMITTED].remedy
    assert "{add: [SYS_PTRACE, DAC_READ_SEARCH]}" in problems[ProblemCode.ENVIRON_UNREADABLE].remedy
    assert "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH" in problems[ProblemCode.ENVIRON_UNREADABLE].remedy
    assert "{add: [SYS_PTRACE]}" in problems[ProblemCode.CONTAINER_UNREADABLE].remedy


def test_permissions_that_nobody_needs() -> None:
    """A cgroup that another process has shown the way to, a reporter that can raise the signal itself."""
    launch = replace(WELL, cgroup_hidden=True, may_signal=False)
    assert found(case(heap(isolate(800)), launch=launch)) == {}


def test_a_process_in_a_pid_namespace_of_its_own() -> None:
    """Known by its reporter alone."""
    hidden = case(heap(isolate(800)), limit=None, launch=None)
    id_ = ProcessId(0, 5_000, "pid:[1]/7@1000")
    hidden = Case(replace(hidden.process, id=id_), replace(hidden.sample, process=id_, kernel=None))
    problem = found(hidden)[ProblemCode.PROCESS_HIDDEN]
    assert "shareProcessNamespace: true" in problem.remedy


ABSENT, SILENT, OLD = ProblemCode.REPORTER_ABSENT, ProblemCode.REPORTER_SILENT, ProblemCode.REPORTER_OLD


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        pytest.param(replace(WELL, node_options=""), {ABSENT}, id="not loaded"),
        pytest.param(WELL, {SILENT}, id="loaded and never heard"),
        pytest.param(replace(WELL, socket=None), {SILENT}, id="without a socket"),
        pytest.param(replace(WELL, socket_trouble=SocketTrouble.FORBIDDEN), {SILENT}, id="its socket is closed to it"),
        pytest.param(None, set(), id="not looked at"),
    ],
)
def test_a_reporter_that_is_not_heard(launch: Launch | None, expected: set[ProblemCode]) -> None:
    """Why, as far as it can be seen."""
    assert set(found(case(launch=launch, limit=None))) == expected


def test_without_an_agent_only_what_can_be_seen_is_said() -> None:
    """Whether a reporter is heard knows the agent alone."""
    assert found(case(limit=None), standing=ALONE) == {}
    trouble = replace(WELL, socket_trouble=SocketTrouble.MISSING)
    assert set(found(case(limit=None, launch=trouble), standing=ALONE)) == {SILENT}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, set(), id="as new"),
        pytest.param({"reporter_version": "1.10.0"}, set(), id="newer"),
        pytest.param({"reporter_version": "1.2.2"}, {OLD}, id="older"),
        pytest.param({"reporter_version": None}, {OLD}, id="of the first days"),
        pytest.param({"connected": False}, {SILENT}, id="gone"),
    ],
)
def test_a_reporter_that_was_heard(changed: dict[str, object], expected: set[ProblemCode]) -> None:
    """Its version, and whether it still speaks."""
    assert set(found(case(replace(heap(isolate(800)), **changed)))) == expected  # type: ignore[arg-type]


def test_figures_that_have_grown_old() -> None:
    """Connected and yet silent: the loop does not turn."""
    old = replace(isolate(800), taken_at=NOW - 31)
    assert set(found(case(heap(old)))) == {SILENT}


@pytest.mark.parametrize(("age", "expected"), [(59, set()), (179, set()), (181, {SILENT})])
def test_figures_that_are_taken_seldom_are_older(age: float, expected: set[ProblemCode]) -> None:
    """A sample a minute is no blocked event loop."""
    old = replace(isolate(800), taken_at=NOW - age)
    assert set(found(case(heap(old)), standing=replace(AGENT, sample_interval_seconds=60.0))) == expected


def test_a_young_process_may_still_be_starting() -> None:
    """Nothing is said of its reporter for ten seconds by an agent; without one there is nothing to wait for."""
    young = case(limit=None, launch=replace(WELL, node_options=""))
    young = replace(young, process=replace(young.process, started_at=WALL - 9))
    assert found(young) == {}
    assert set(found(young, standing=ALONE)) == {ABSENT}


sizes = st.integers(1, 8_192)


@st.composite
def members(draw: st.DrawFn, pid: int) -> Case:
    """A process with any heaps; some have no reporter, some options of their own."""
    semi = draw(st.sampled_from((1, 2, 4, 8, 16, 32, 64)))
    limits = draw(st.lists(sizes, min_size=1, max_size=3))
    total = draw(st.integers(4, 300))
    heaps = [isolate(limit, semi, thread=thread, total=total) for thread, limit in enumerate(limits)]
    known = heap(*heaps) if draw(st.booleans()) else None
    options = draw(st.sampled_from(("", "--max-old-space-size=512", "--max-semi-space-size=16")))
    rss = total * len(heaps) + draw(st.integers(4, 400))
    file = draw(st.integers(0, 40))
    return case(known, pid=pid, rss=rss, file=min(file, rss), launch=replace(WELL, node_options=options))


@st.composite
def worlds(draw: st.DrawFn) -> list[Case]:
    """A container with up to four processes and others beside them."""
    inside = [draw(members(pid)) for pid in range(1, 1 + draw(st.integers(1, 4)))]
    limit = draw(st.integers(64, 32_768))
    memory = sum(one.sample.kernel.rss_bytes for one in inside if one.sample.kernel) + draw(st.integers(0, 200)) * MIB
    container = ContainerFigures(NOW, memory, limit * MIB, cgroup=CGROUP)
    return [replace(one, sample=replace(one.sample, container=container)) for one in inside]


def _heap_limits(cases: Sequence[Case]) -> dict[ProcessId, Problem]:
    checkups = examine(cases, AGENT)
    found = {id_: [one for one in checkup.problems if one.code in HEAP_LIMITS] for id_, checkup in checkups.items()}
    return {id_: problems[0] for id_, problems in found.items() if problems}


def _obeyed(one: Case, problem: Problem | None) -> Case:
    """As it runs after it was started with what was advised."""
    advised = problem and re.search(r"--max-old-space-size=(\d+)(?: --max-semi-space-size=(\d+))?", problem.remedy)
    if not advised or one.launch is None:
        return one
    if one.sample.heap is None:
        return replace(one, launch=replace(one.launch, node_options=advised[0]))
    old = int(advised[1])
    before = one.sample.heap.isolates[0]
    semi = int(advised[2] or (before.heap_limit_bytes - before.effective_limit_bytes) // 3 // MIB)
    isolates = tuple(
        replace(isolate, effective_limit_bytes=old * MIB, heap_limit_bytes=(old + 3 * semi) * MIB)
        for isolate in one.sample.heap.isolates
    )
    sample = replace(one.sample, heap=replace(one.sample.heap, isolates=isolates))
    return replace(one, sample=sample, launch=replace(one.launch, node_options=advised[0]))


@given(worlds())
def test_the_advice_when_followed_leaves_nothing_to_say(cases: list[Case]) -> None:
    """Whatever the heaps, threads, neighbours and container: one start later each heap limit is well."""
    before = _heap_limits(cases)
    assume(not any("too small" in problem.remedy for problem in before.values()))
    after = _heap_limits([_obeyed(one, before.get(one.process.id)) for one in cases])
    assert after == {}


@given(worlds())
def test_what_is_well_is_not_said_to_be_too_much_and_too_little(cases: list[Case]) -> None:
    """In one container all are told the same."""
    assert len({problem.code for problem in _heap_limits(cases).values()}) <= 1


@given(st.integers(64, 16_384), st.integers(1, 64), st.sampled_from((1, 16, 64)), st.integers(0, 8_000))
def test_a_container_of_the_least_size_has_a_value_to_set(limit: int, isolates: int, semi: int, rest: int) -> None:
    """What is advised in its place can be followed."""
    one = Footprint((512 * MIB,) * isolates, semi * MIB, rest * MIB, rest * MIB, rest * MIB)
    home = household(limit * MIB, rest * MIB, [one])
    larger = household(least_limit(home) * MIB, rest * MIB, [one])
    assert advise(larger, semi * MIB) is not None
