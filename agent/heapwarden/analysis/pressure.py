"""How near the limits are."""

from collections.abc import Iterable

from heapwarden.domain.findings import Pressure
from heapwarden.domain.sample import ContainerFigures, Isolate


def heap_ratio(isolate: Isolate) -> float:
    """Used bytes over the effective limit of one heap."""
    return isolate.heap_used_bytes / isolate.effective_limit_bytes


def heap_total_ratio(isolate: Isolate) -> float:
    """Used bytes over committed bytes of one heap; 0 while nothing is committed."""
    return isolate.heap_used_bytes / isolate.heap_total_bytes if isolate.heap_total_bytes else 0.0


def container_ratio(container: ContainerFigures | None) -> float | None:
    """Working set over the limit; None where there is no limit."""
    if container is None or not container.limit_bytes:
        return None
    return container.memory_bytes / container.limit_bytes


def worst(ratios: Iterable[float]) -> float | None:
    """The largest; None of none. A process dies with the first of its isolates."""
    return max(ratios, default=None)


def pressure(isolates: Iterable[Isolate], container: ContainerFigures | None) -> Pressure:
    """Both ratios."""
    return Pressure(
        heap_ratio=worst(heap_ratio(isolate) for isolate in isolates), container_ratio=container_ratio(container)
    )
