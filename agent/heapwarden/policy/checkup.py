"""One look at how processes are set up: facts in, problems out. What is not known is no problem, unless it should be.

:func:`examine` looks at all at once; whoever has many and little time calls :func:`households` and then :func:`look`.
"""

from collections.abc import Iterable, Mapping

from heapwarden.analysis.flags import option_names
from heapwarden.analysis.sizing import Household, household
from heapwarden.domain.checkup import Checkup, Problem
from heapwarden.domain.identity import ProcessId
from heapwarden.policy import access_problems, heap_problems, reporter_problems
from heapwarden.policy.facts import Case, Facts, Standing, flags_of, footprint_of

SHARED = frozenset(
    {
        *("kubepods", "burstable", "besteffort", "kubepods.slice", "kubepods-burstable.slice"),
        *("kubepods-besteffort.slice", "system.slice", "user.slice", "machine.slice", "docker"),
    }
)
"""Last parts of cgroups that hold many containers or services: their limit is no process's own."""


def examine(cases: Iterable[Case], standing: Standing) -> dict[ProcessId, Checkup]:
    """Every case."""
    known = list(cases)
    homes = households(known, standing)
    return {case.process.id: look(case, homes, standing) for case in known}


def households(cases: Iterable[Case], standing: Standing) -> dict[str, Household]:
    """By cgroup, those with a limit. A microsecond or so a process."""
    members: dict[str, list[Case]] = {}
    for case in cases:
        container = case.sample.container
        if container is not None and container.limit_bytes:
            members.setdefault(container.cgroup, []).append(case)
    return {cgroup: _household(cgroup, inside, standing) for cgroup, inside in members.items()}


def _household(cgroup: str, inside: list[Case], standing: Standing) -> Household:
    newest = max((case.sample.container for case in inside if case.sample.container), key=lambda one: one.taken_at)
    prints = [footprint_of(case, flags_of(case), standing) for case in inside]
    one_tenant = cgroup.rpartition("/")[2] not in SHARED
    return household(newest.limit_bytes or 0, newest.memory_bytes, prints, one_tenant=one_tenant)


def look(case: Case, homes: Mapping[str, Household], standing: Standing) -> Checkup:
    """One case among those that share its memory limit."""
    container, flags, launch = case.sample.container, flags_of(case), case.launch
    home = homes.get(container.cgroup) if container is not None else None
    facts = Facts(case, standing, flags, footprint_of(case, flags, standing), home)
    found = (*heap_problems.found(facts), *access_problems.found(facts), *reporter_problems.found(facts))
    options = None if launch is None or launch.node_options is None else option_names(launch.node_options)
    return Checkup(tuple(sorted(found, key=_order)), flags, options, facts.limit_from)


def _order(problem: Problem) -> tuple[str, str]:
    return problem.severity, problem.code
