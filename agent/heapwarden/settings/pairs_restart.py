"""Restart rules that are right one by one and can't hold together."""

import importlib.util
from collections.abc import Iterator

from heapwarden.domain.restart import Method
from heapwarden.settings.build_restart import merged_restart, restart_rules
from heapwarden.settings.faults import Fault, KeyPath
from heapwarden.settings.schema import HealthSection
from heapwarden.settings.schema_restart import HookSection, RestartSection
from heapwarden.settings.units import write_duration

_DEFAULTS: KeyPath = ("defaults", "restart")
_MARKS = ("max_memory", "max_memory_restart", "heap_usage", "container_usage")
_NEEDED = {
    Method.COMMAND: ("command", "[systemctl, restart, api]"),
    Method.WEBHOOK: ("url", "http://127.0.0.1:8080/restart"),
}


def restart_pairs(path: KeyPath, own: RestartSection, base: RestartSection) -> Iterator[Fault]:
    """All of them in the section at ``path``; ``base``: what it inherits. The defaults' own faults are not repeated."""
    whole = merged_restart(own, base)
    if own.max_memory.model_fields_set and own.max_memory_restart.model_fields_set:
        wrong = "the same as max_memory, which is there too"
        yield Fault((*path, "max_memory_restart"), wrong, "keep one of them", ((*path, "max_memory"),))
    if own.budget.model_fields_set and (own.budget.restarts is None or own.budget.per is None):
        yield Fault((*path, "budget"), "both restarts and per are needed")
    if path != _DEFAULTS:
        yield from _marks(path, own, whole)
    yield from _method(path, own, whole)
    yield from _coordinate(path, own, whole)
    yield from _extra(path, own)
    yield from _pauses(path, own, whole)
    for key in ("before", "after"):
        for index, hook in enumerate(getattr(own, key) or ()):
            yield from _hook((*path, key, index), hook)


def _marks(path: KeyPath, own: RestartSection, whole: RestartSection) -> Iterator[Fault]:
    """A rule that says for how long, and not from where on."""
    for key in _MARKS:
        given = getattr(own, key).model_fields_set
        ours = "max_memory" if key == "max_memory_restart" else key
        if given and getattr(whole, ours).above is None:
            others = _both(path, *(_MARKS[:2] if ours == "max_memory" else (key,)))
            example = "1G" if ours == "max_memory" else "95%"
            yield Fault((*path, key), "above is not given, here or by default", f"add above: {example}", others)


def _method(path: KeyPath, own: RestartSection, whole: RestartSection) -> Iterator[Fault]:
    """A method without what it needs, and what another method would need."""
    for method, (key, example) in _NEEDED.items():
        others = _both(path, "method", key)
        if own.method == method and getattr(whole, key) is None:
            yield Fault((*path, "method"), f"{method} needs {key}, which is not given", f"add {key}: {example}", others)
        if getattr(own, key) is not None and whole.method != method:
            there = f"which is {whole.method} here" if whole.method else "which is not given"
            right = f"write method: {method}, or leave {key} out"
            yield Fault((*path, key), f"only for method: {method}, {there}", right, others)


def _coordinate(path: KeyPath, own: RestartSection, whole: RestartSection) -> Iterator[Fault]:
    """So many of nothing."""
    if own.coordinate.model_fields_set and whole.coordinate.lease is None:
        others = _both(path, "coordinate")
        yield Fault((*path, "coordinate"), "lease is not given, here or by default", "add lease: api-restarts", others)


def _extra(path: KeyPath, own: RestartSection) -> Iterator[Fault]:
    """What talks to the Kubernetes API needs a library that not everybody has."""
    named = isinstance(own.coordinate.lease, str)
    needs = {"method": own.method == Method.EVICT, "coordinate": named}
    for key in (key for key, needed in needs.items() if needed):
        if importlib.util.find_spec("lightkube") is None:
            wrong = "this needs the client of the Kubernetes API, which is not installed"
            yield Fault((*path, key), wrong, "install it: pip install 'heapwarden[kubernetes]'")


def _pauses(path: KeyPath, own: RestartSection, whole: RestartSection) -> Iterator[Fault]:
    rules = restart_rules(whole, HealthSection())
    seconds = {
        "cooldown": rules.pauses.cooldown_seconds,
        "max_cooldown": rules.pauses.most_seconds,
        "cooldown_reset": rules.pauses.reset_seconds,
        "jitter": rules.pauses.jitter_seconds,
        "budget.per": rules.budget.per_seconds,
    }
    given = own.model_fields_set | ({"budget.per"} if own.budget.per is not None else set())
    for shorter, longer in (("cooldown", "max_cooldown"), ("max_cooldown", "cooldown_reset"), ("jitter", "budget.per")):
        if seconds[shorter] <= seconds[longer] or not given & {shorter, longer}:
            continue
        at, other, relation = (shorter, longer, "longer") if shorter in given else (longer, shorter, "shorter")
        bound, inherited = write_duration(seconds[other]), "" if other in given else " here by default"
        wrong = f"{write_duration(seconds[at])} is {relation} than {other}, which is {bound}{inherited}"
        right = f"write {bound} or {'less' if at == shorter else 'more'}, or change {other}"
        yield Fault((*path, *at.split(".")), wrong, right, _both(path, shorter, longer))


def _hook(path: KeyPath, hook: HookSection) -> Iterator[Fault]:
    others: tuple[KeyPath, ...] = ((*path, "command"), (*path, "url"))
    if hook.command is None and hook.url is None:
        yield Fault(path, "neither command nor url is given", "write {command: [/usr/local/bin/dump]}", others)
    elif hook.command is not None and hook.url is not None:
        yield Fault((*path, "url"), "command is there too", "keep one of them, or make two items of it", others)


def _both(path: KeyPath, *keys: str) -> tuple[KeyPath, ...]:
    """These keys in this section and in the defaults."""
    return tuple((*place, *key.split(".")) for place in (path, _DEFAULTS) for key in keys)
