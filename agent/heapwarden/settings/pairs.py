"""Settings that are right one by one and can't hold together."""

from collections.abc import Iterator
from itertools import combinations

from heapwarden.policy.health import HealthRules, UsageRule
from heapwarden.settings.build import health_rules, match_of, usage_rule
from heapwarden.settings.faults import Fault, KeyPath
from heapwarden.settings.model import Listen, Settings
from heapwarden.settings.pairs_restart import restart_pairs
from heapwarden.settings.schema import FileSection, HealthSection, MatchSection, ProcessSection, UsageSection
from heapwarden.settings.schema_restart import RestartSection
from heapwarden.settings.units import write_duration, write_percentage

SAMPLES_UNTIL_STALE = 2
"""Figures that come at each interval are up to one interval old; one late frame should not make them count as stale."""

_EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104  compared with, not bound
_MARKS = ("recover", "unhealthy")
_DEFAULTS: KeyPath = ("defaults", "health")
_NAME_A_CONDITION = r"name one, as {command: 'server\.js'}, or move what holds for every process to defaults"


def impossible_pairs(file: FileSection) -> Iterator[Fault]:
    """All of them."""
    built_in = HealthRules()
    defaults = health_rules(file.defaults.health, built_in)
    yield from _health(_DEFAULTS, file.defaults.health, built_in)
    yield from _stale(file, _DEFAULTS, file.defaults.health, built_in)
    yield from restart_pairs(("defaults", "restart"), file.defaults.restart, RestartSection())
    for index, process in enumerate(file.processes or ()):
        path: KeyPath = ("processes", index, "health")
        yield from _health(path, process.health, defaults)
        if process.health.stale_after is not None:
            yield from _stale(file, path, process.health, defaults)
        yield from restart_pairs(("processes", index, "restart"), process.restart, file.defaults.restart)
    yield from _matches(file.processes or ())
    if file.api.token is not None and file.api.token_file is not None:
        yield Fault(("api", "token"), "token_file is there too", "keep one of them", (("api", "token_file"),))
    yield from _addresses(file)
    if file.unmatched == "ignore" and not file.processes:
        wrong = "ignore, and no processes: nothing would ever be watched"
        yield Fault(("unmatched",), wrong, "name some under processes, or write unmatched: watch", (("processes",),))


def _addresses(file: FileSection) -> Iterator[Fault]:
    """One port can't serve both."""
    listen, check = file.listen or Listen(), file.agent_check
    if isinstance(check, Listen) and check.port == listen.port != 0 and _meet(check.host, listen.host):
        wrong = f"port {check.port} is that of listen"
        yield Fault(("agent_check",), wrong, f"for example :{check.port + 1}", (("listen",),))


def _meet(host: str, other: str) -> bool:
    return host == other or not _EVERY_ADDRESS.isdisjoint((host, other))


def _health(path: KeyPath, section: HealthSection, base: HealthRules) -> Iterator[Fault]:
    yield from _usage((*path, "heap_usage"), section.heap_usage, base.heap)
    yield from _usage((*path, "container_usage"), section.container_usage, base.container)


def _usage(path: KeyPath, section: UsageSection, base: UsageRule) -> Iterator[Fault]:
    rule = usage_rule(section, base)
    if rule.recover_ratio < rule.unhealthy_ratio or (section.unhealthy is None and section.recover is None):
        return
    recover, unhealthy = write_percentage(rule.recover_ratio), write_percentage(rule.unhealthy_ratio)
    lower = write_percentage(round(max(rule.unhealthy_ratio - 0.1, rule.unhealthy_ratio / 2), 6))
    others = tuple((*section_path, key) for section_path in (path, (*_DEFAULTS, path[-1])) for key in _MARKS)
    if section.recover is None:
        wrong = f"{unhealthy} is not above recover, which is {recover} here by default"
        yield Fault((*path, "unhealthy"), wrong, f"add recover: {lower}", others)
    else:
        inherited = " here by default" if section.unhealthy is None else ""
        wrong = f"{recover} is not below unhealthy, which is {unhealthy}{inherited}"
        yield Fault((*path, "recover"), wrong, f"for example recover: {lower}", others)


def _stale(file: FileSection, path: KeyPath, section: HealthSection, base: HealthRules) -> Iterator[Fault]:
    stale_after = health_rules(section, base).stale_after_seconds
    interval = file.sample_interval or Settings().sample_interval_seconds
    if stale_after >= SAMPLES_UNTIL_STALE * interval:
        return
    least, every = write_duration(SAMPLES_UNTIL_STALE * interval), write_duration(interval)
    own: KeyPath = (*path, "stale_after")
    others: tuple[KeyPath, ...] = (own, ("sample_interval",))
    if section.stale_after is not None:
        wrong = f"{write_duration(stale_after)} is less than two sample intervals of {every}"
        yield Fault(own, wrong, f"write at least {least}", others)
    else:
        wrong = f"twice {every} is more than stale_after, which is {write_duration(stale_after)} by default"
        yield Fault(("sample_interval",), wrong, f"add defaults: {{health: {{stale_after: {least}}}}}", others)


def _matches(processes: tuple[ProcessSection, ...]) -> Iterator[Fault]:
    """A rule is never reached when all conditions of an earlier one are among its own."""
    earlier: dict[tuple[tuple[str, str], ...], int] = {}
    for index, process in enumerate(processes):
        path: KeyPath = ("processes", index, "match")
        conditions = _conditions(process.match)
        if not conditions:
            yield Fault(path, "there is no condition, so it would match every process", _NAME_A_CONDITION)
            continue
        parts = (part for size in range(1, len(conditions) + 1) for part in combinations(conditions, size))
        first = next((earlier[part] for part in parts if part in earlier), None)
        if first is not None:
            wrong = f"never reached: processes[{first}] takes every process that this could match"
            yield Fault(
                path, wrong, "put the narrower rule first, or make one of both", (("processes", first, "match"),)
            )
        earlier.setdefault(conditions, index)


def _conditions(section: MatchSection) -> tuple[tuple[str, str], ...]:
    match = match_of(section)
    named = {
        "command": match.command and match.command.pattern,
        "pid": match.pid,
        "children_of_pid": match.children_of_pid,
        "children_of_command": match.children_of_command and match.children_of_command.pattern,
    }
    return tuple((name, str(value)) for name, value in named.items() if value is not None)
