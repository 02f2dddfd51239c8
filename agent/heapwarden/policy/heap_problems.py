"""Heap limits against what memory there is, the options that were to set them, semi-spaces, and swap."""

from collections.abc import Iterator

from heapwarden.analysis.flags import HEAP_OPTIONS, OLD_SPACE, PERCENTAGE, SEMI_SPACE, in_force, sets_limit
from heapwarden.analysis.sizing import (
    LEAST_OLD_SPACE_BYTES,
    MIB,
    SEMI_SPACES,
    UNUSED,
    Household,
    advise,
    least_limit,
    limit_for,
)
from heapwarden.domain.checkup import HeapFlag, Origin, Problem, ProblemCode, Severity
from heapwarden.domain.sample import GcKind
from heapwarden.policy.facts import Facts

MINOR_SHARE = 0.05
"""Of its time in minor collections, from which larger semi-spaces are worth their memory."""
MINOR_LEAST_SECONDS = 60.0
"""So old a process must be: a start allocates like nothing after it."""
LARGEST_SEMI_SPACE_BYTES = 64 * MIB
SWAP_LEAST_BYTES = 16 * MIB
SWAP_SHARE = 0.05


def found(facts: Facts) -> Iterator[Problem]:
    """All of these problems that one process has."""
    yield from _options(facts)
    if facts.home is not None:
        yield from _container(facts, facts.home)
    yield from _machine(facts)
    yield from _semi_space(facts)
    yield from _swap(facts)


def _container(facts: Facts, home: Household) -> Iterator[Problem]:
    mine = facts.footprint
    if not mine.known:
        return
    alone = max(mine.effective_limits) + mine.non_heap_least_bytes > home.limit_bytes
    if alone or (home.least_bytes > home.limit_bytes and home.one_tenant):
        yield Problem(
            ProblemCode.HEAP_LIMIT_ABOVE_CONTAINER,
            Severity.ERROR if alone else Severity.WARNING,
            _too_high(facts, home, alone=alone),
            _set_heap(facts, home) or _too_small(home),
        )
        return
    unused = home.limit_bytes - home.most_bytes
    if not (home.all_known and home.one_tenant) or unused <= home.limit_bytes * UNUSED:
        return
    advice = advise(home, facts.footprint.semi_space_bytes)
    if advice is not None and advice.old_space * MIB > home.largest_bytes:
        text = (
            f"{_mib(unused)} of the {_mib(home.limit_bytes)} that its container may take can never be used: heaps, "
            f"semi-spaces and all else end at {_mib(home.most_bytes)}{_because(facts)}"
        )
        remedy = f"{_set_heap(facts, home)}{_or_less(facts, home)}"
        yield Problem(ProblemCode.HEAP_LIMIT_BELOW_CONTAINER, Severity.WARNING, text, remedy)


def _too_high(facts: Facts, home: Household, *, alone: bool) -> str:
    mine = facts.footprint
    if alone:
        return (
            f"V8 gives up at {_mib(max(mine.effective_limits))} of heap, beside {_mib(mine.non_heap_least_bytes)} that "
            f"are none, but its container may take {_mib(home.limit_bytes)}: the kernel kills first, without a word"
            f"{_because(facts)}"
        )
    who = f"{home.processes} Node processes" if home.processes > 1 else f"the {home.isolates} heaps of its threads"
    return (
        f"together {who} may take {_mib(home.least_bytes)} before V8 gives up in any, but their container may take "
        f"{_mib(home.limit_bytes)}: the kernel kills first{_because(facts)}"
    )


def _or_less(facts: Facts, home: Household) -> str:
    """The other way out; V8's own choice would shrink with the container."""
    if sets_limit(facts.flags) is None:
        return ""
    return f"; or give the container no more than {limit_for(home.most_bytes)} MiB"


def _set_heap(facts: Facts, home: Household) -> str | None:
    """The value to set, and where."""
    advice = advise(home, facts.footprint.semi_space_bytes)
    if advice is None:
        return None
    each = f" for each of the {home.processes} Node processes in there" if home.processes > 1 else ""
    flag = sets_limit(facts.flags)
    if flag is None:
        return f"add {advice.options} to NODE_OPTIONS{each}"
    return f"put {advice.options} in place of {_shown(flag)} ({flag.origin}){each}"


def _too_small(home: Household) -> str:
    who = f"{home.processes} Node processes" if home.processes > 1 else "this process"
    least = _mib(LEAST_OLD_SPACE_BYTES)
    return (
        f"the container is too small for {who}: not even {least} of heap fit; give it {least_limit(home)} MiB at least"
    )


def _machine(facts: Facts) -> Iterator[Problem]:
    mine, machine = facts.footprint, facts.standing.machine_bytes
    if facts.home is not None or not mine.known or max(mine.effective_limits) + mine.non_heap_least_bytes <= machine:
        return
    yield Problem(
        ProblemCode.HEAP_LIMIT_ABOVE_MACHINE,
        Severity.ERROR,
        f"V8 gives up at {_mib(max(mine.effective_limits))}, but the machine has {_mib(machine)}: it swaps, or "
        f"the kernel kills, before V8 frees all it could{_because(facts)}",
        f"set {OLD_SPACE} in MiB, and below {machine // MIB}; a container's limit would keep it from its neighbours",
    )


def _options(facts: Facts) -> Iterator[Problem]:
    for flag in facts.flags:
        if flag.origin is Origin.SCRIPT_ARGUMENTS and not in_force(facts.flags, flag.option):
            text = f"{_shown(flag)} stands after the script's name: Node hands it to the script"
            yield _ineffective(text, f"put it before the script's name, or into NODE_OPTIONS: {_shown(flag)}")
            return
        if flag.origin is not Origin.SCRIPT_ARGUMENTS and not flag.number:
            text = f"{_shown(flag)} ({flag.origin}) has no number that V8 takes: its own default holds"
            yield _ineffective(text, f"write it without a space and with a whole number: {flag.option}=512")
            return
    yield from _contradictions(facts)


def _ineffective(text: str, remedy: str) -> Problem:
    return Problem(ProblemCode.HEAP_OPTION_INEFFECTIVE, Severity.ERROR, text, remedy)


def _contradictions(facts: Facts) -> Iterator[Problem]:
    given = [one for one in facts.flags if one.origin is not Origin.SCRIPT_ARGUMENTS and one.number]
    for option in sorted(HEAP_OPTIONS):
        same = [one for one in given if one.option == option]
        if len({one.number for one in same}) > 1:
            yield _contradiction(same, same[-1])
            return
    limits = [one for one in given if one.option != SEMI_SPACE]
    holds = sets_limit(facts.flags)
    if holds is not None and len({one.option for one in limits}) > 1:
        yield _contradiction(limits, holds)


def _contradiction(given: list[HeapFlag], holds: HeapFlag) -> Problem:
    text = " and ".join(f"{_shown(one)} ({one.origin})" for one in given)
    why = "a percentage wins over a size" if holds.option == PERCENTAGE else "the later one wins, the command line last"
    return Problem(
        ProblemCode.HEAP_OPTION_CONTRADICTED,
        Severity.WARNING,
        f"{text} contradict each other: {_shown(holds)} holds, {why}",
        f"keep one of them; what holds now is {_shown(holds)}",
    )


def _semi_space(facts: Facts) -> Iterator[Problem]:
    heap, semi = facts.case.sample.heap, facts.footprint.semi_space_bytes
    minor = heap.gc().get(GcKind.MINOR) if heap is not None else None
    if minor is None or not semi or semi >= LARGEST_SEMI_SPACE_BYTES or facts.age_seconds < MINOR_LEAST_SECONDS:
        return
    share = minor.seconds / facts.age_seconds / max(1, len(facts.footprint.effective_limits))
    if share < MINOR_SHARE:
        return
    cost = SEMI_SPACES * semi
    yield Problem(
        ProblemCode.SEMI_SPACE_SMALL,
        Severity.WARNING,
        f"{share:.0%} of its time goes into minor collections, {minor.count} since its start, with semi-spaces of "
        f"{_mib(semi)}",
        f"try {SEMI_SPACE}={2 * semi // MIB or 1}: fewer collections, for up to {_mib(cost)} more memory an isolate",
    )


def _swap(facts: Facts) -> Iterator[Problem]:
    kernel, launch = facts.case.sample.kernel, facts.case.launch
    if kernel is None:
        return
    swapped, whole = kernel.swap_bytes, kernel.rss_bytes + kernel.swap_bytes
    if swapped < max(SWAP_LEAST_BYTES, SWAP_SHARE * whole):
        return
    swappiness = f" (swappiness {launch.swappiness})" if launch is not None and launch.swappiness is not None else ""
    yield Problem(
        ProblemCode.SWAP_IN_USE,
        Severity.WARNING,
        f"{_mib(swapped)} of its {_mib(whole)} are swapped out{swappiness}: each mark-compact reads all of the heap "
        "back from disk",
        "keep it out of swap: memory.swap.max=0 in its cgroup (systemd: MemorySwapMax=0; docker run: --memory-swap as "
        "large as --memory; Kubernetes: a node without swap), and a heap limit that fits into memory",
    )


def _because(facts: Facts) -> str:
    return f"; the heap limit is from {facts.limit_from}" if facts.limit_from is not None else ""


def _shown(flag: HeapFlag) -> str:
    return f"{flag.option}={flag.value}"


def _mib(size: float) -> str:
    return f"{size / MIB:.0f} MiB"
