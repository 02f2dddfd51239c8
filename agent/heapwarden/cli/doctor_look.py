"""What ``heapwarden doctor`` knows of each process: the agent's word, or its own look at ``/proc`` and the cgroup."""

from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from heapwarden.domain.checkup import Checkup
from heapwarden.domain.identity import Process, ProcessId, Role
from heapwarden.domain.sample import ContainerFigures, KernelFigures, Sample
from heapwarden.policy.checkup import examine
from heapwarden.policy.facts import Case, Standing
from heapwarden.sources.cgroup import CgroupSource
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.launch import ProcLaunches
from heapwarden.sources.procfs import ProcfsSource

SEMI_SPACES = 3
KEYS = ("code", "severity", "text", "remedy")
Json = dict[str, Any]


def by_agent(entry: Mapping[str, Any]) -> Json:
    """One process of the agent's ``/processes``. Raises what a missing or wrong figure does."""
    setup = entry["setup"] or {}
    limit, effective = entry["heapLimit"], entry["heapEffectiveLimit"]
    return {
        "process": str(entry["process"]),
        "worker": str(entry["worker"]),
        "pid": entry["pid"],
        "startedAt": float(entry["startedAt"]),
        "seenBy": "agent",
        "node": entry["node"],
        "reporter": entry["reporter"],
        "isolates": len(entry["isolates"]),
        "heapLimit": limit,
        "heapEffectiveLimit": effective,
        "semiSpace": None if limit is None or effective is None else (limit - effective) // SEMI_SPACES,
        "heapLimitFrom": setup.get("heapLimitFrom"),
        "heapOptions": setup.get("heapOptions", []),
        "nodeOptions": setup.get("nodeOptions"),
        "rss": entry["memoryUsage"]["rss"],
        "swap": entry["swap"],
        "containerMemory": entry["containerMemory"],
        "containerLimit": entry["containerLimit"],
        "problems": [{key: str(one[key]) for key in KEYS} for one in entry["problems"]],
    }


def by_ourselves(wall: float, now: float) -> list[Json]:
    """Every Node app under ``/proc``; package managers in front of one are left out."""
    found = [process for process in ProcfsDiscovery().scan() if process.role is Role.APP]
    kernels, containers = ProcfsSource().read(found, now), CgroupSource().read(found, now)
    launches = ProcLaunches()
    cases = [_case(process, kernels, containers, launches, now) for process in found if process.id in kernels]
    checkups = examine(cases, Standing(now, wall, psutil.virtual_memory().total))
    return [_told(case, checkups[case.process.id]) for case in cases]


def _case(
    process: Process,
    kernels: Mapping[ProcessId, KernelFigures],
    containers: Mapping[ProcessId, ContainerFigures],
    launches: ProcLaunches,
    now: float,
) -> Case:
    container = containers.get(process.id)
    sample = Sample(process.id, now, kernel=kernels.get(process.id), container=container)
    return Case(process, sample, launches.read(process, "" if container is None else container.cgroup))


def _told(case: Case, checkup: Checkup) -> Json:
    kernel, container = case.sample.kernel, case.sample.container
    return {
        "process": case.process.script,
        "worker": None,
        "pid": case.process.id.pid,
        "startedAt": case.process.started_at,
        "seenBy": "doctor",
        **dict.fromkeys(("node", "reporter", "isolates", "heapLimit", "heapEffectiveLimit", "semiSpace")),
        "heapLimitFrom": checkup.limit_from,
        "heapOptions": [{"option": one.option, "value": one.value, "from": one.origin} for one in checkup.flags or ()],
        "nodeOptions": None if checkup.options is None else list(checkup.options),
        "rss": None if kernel is None else kernel.rss_bytes,
        "swap": None if kernel is None else kernel.swap_bytes,
        "containerMemory": None if container is None else container.memory_bytes,
        "containerLimit": None if container is None else container.limit_bytes,
        "problems": _problems(checkup),
    }


def _problems(checkup: Checkup) -> Sequence[Json]:
    return [
        {"code": one.code, "severity": one.severity, "text": one.text, "remedy": one.remedy} for one in checkup.problems
    ]
