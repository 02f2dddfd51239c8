"""What is right in the file and yet deserves a word."""

from collections.abc import Iterator

from heapwarden.domain.restart import Method
from heapwarden.settings.build_restart import merged, merged_restart, restart_rules
from heapwarden.settings.schema import FileSection, HealthSection
from heapwarden.settings.schema_restart import RestartSection

_SIGNALLING = (None, Method.SIGNAL, Method.SUPERVISE, Method.REPORTER)


def notices(file: FileSection) -> Iterator[str]:
    """A line each."""
    defaults, health = file.defaults.restart, file.defaults.health
    processes = file.processes or ()
    wholes = [merged_restart(process.restart, defaults) for process in processes]
    default = merged_restart(defaults, RestartSection())
    yield from _restart("defaults.restart", defaults, default, health)
    if defaults.confirm_with_gc and not any(map(_has_heap_rule, (default, *wholes))):
        yield _without_heap_rule("defaults.restart")
    for index, (process, whole) in enumerate(zip(processes, wholes, strict=True)):
        path = f"processes[{index}].restart"
        if process.restart.model_fields_set:
            yield from _restart(path, process.restart, whole, merged(process.health, health))
        if process.restart.confirm_with_gc and not _has_heap_rule(whole):
            yield _without_heap_rule(path)


def _restart(path: str, own: RestartSection, whole: RestartSection, health: HealthSection) -> Iterator[str]:
    if own.grace == 0 and whole.method in _SIGNALLING:
        yield f"{path}.grace: 0s kills at once: the process has no time to end by itself"
    if own.method == Method.EVICT:
        yield f"{path}.method: evict forgets budget and cooldown with the pod, unless state_dir outlives it"
    if whole.method == Method.NONE and restart_rules(whole, health).any:
        yield f"{path}: method none restarts nothing: the process answers 503 until whoever probes it restarts it"


def _has_heap_rule(whole: RestartSection) -> bool:
    return restart_rules(whole, HealthSection()).heap_usage is not None


def _without_heap_rule(path: str) -> str:
    return f"{path}.confirm_with_gc: has no effect without heap_usage"
