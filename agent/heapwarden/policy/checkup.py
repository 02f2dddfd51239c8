"""One look at how processes are set up: facts in, problems out. What is not known is no problem, unless it should be.

:func:`examine` looks at all at once; whoever has many and little time calls :func:`measure` for each, then
:func:`households`, then :func:`look` for each.
"""

from collections.abc import Iterable, Mapping

from heapwarden.analysis.flags import heap_flags, option_names
from heapwarden.analysis.sizing import Household, household
from heapwarden.domain.checkup import Checkup, Problem
from heapwarden.domain.identity import ProcessId
from heapwarden.policy import access_problems, heap_problems, reporter_problems
from heapwarden.policy.facts import Case, Facts, Measured, Standing, footprint

SHARED = frozenset(
    {
        *("kubepods", "burstable", "besteffort", "kubepods.slice", "kubepods-burstable.slice"),
        *("kubepods-besteffort.slice", "system.slice", "user.slice", "machine.slice", "docker"),
    }
)
"""Last parts of cgroups that hold many containers or services: their limit is no process's own."""


def examine(cases: Iterable[Case], standing: Standing) -> dict[ProcessId, Checkup]:
    """Every case."""
    measured = [measure(case, standing) for case in cases]
    homes = households(measured)
    return {one.case.process.id: look(one, homes, standing) for one in measured}


def measure(case: Case, standing: Standing) -> Measured:
    """What one case says for itself."""
    flags = heap_flags(case.process.argv, case.launch.node_options if case.launch else None)
    return Measured(case, flags, footprint(case, flags, standing.machine_bytes))


def households(measured: Iterable[Measured]) -> dict[str, Household]:
    """By cgroup, those with a limit. A few microseconds a process."""
    members: dict[str, list[Measured]] = {}
    for one in measured:
        container = one.case.sample.container
        if container is not None and container.limit_bytes:
            members.setdefault(container.cgroup, []).append(one)
    return {cgroup: _household(cgroup, inside) for cgroup, inside in members.items()}


def _household(cgroup: str, inside: list[Measured]) -> Household:
    containers = [one.case.sample.container for one in inside if one.case.sample.container is not None]
    newest = max(containers, key=lambda one: one.taken_at)
    one_tenant = cgroup.rpartition("/")[2] not in SHARED
    footprints = [one.footprint for one in inside]
    return household(newest.limit_bytes or 0, newest.memory_bytes, footprints, one_tenant=one_tenant)


def look(measured: Measured, homes: Mapping[str, Household], standing: Standing) -> Checkup:
    """One case among those that share its memory limit."""
    sample, launch = measured.case.sample, measured.case.launch
    home = homes.get(sample.container.cgroup) if sample.container is not None else None
    facts = Facts(measured.case, measured.flags, measured.footprint, standing, home)
    found = (*heap_problems.found(facts), *access_problems.found(facts), *reporter_problems.found(facts))
    options = None if launch is None or launch.node_options is None else option_names(launch.node_options)
    heap_known = sample.heap is not None and bool(sample.heap.isolates)
    return Checkup(tuple(sorted(found, key=_order)), measured.flags, options, heap_known, facts.limit_from)


def _order(problem: Problem) -> tuple[str, str]:
    return problem.severity, problem.code
