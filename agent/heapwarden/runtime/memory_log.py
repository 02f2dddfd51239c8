"""The periodic line about each process, for those who read logs and nothing else."""

import logging

from heapwarden.domain.snapshot import Watched
from heapwarden.ports import Clock
from heapwarden.runtime.watch import Watch

log = logging.getLogger(__name__)

MOST_LINES = 20
"""A turn; the processes under the most pressure."""


async def run(watch: Watch, clock: Clock, interval_seconds: float) -> None:
    """Write until cancelled."""
    while True:
        await clock.sleep(interval_seconds)
        write(watch)


def write(watch: Watch) -> None:
    """One turn."""
    processes = sorted(watch.snapshot.processes, key=lambda one: one.findings.pressure.ratio or 0.0, reverse=True)
    for watched in processes[:MOST_LINES]:
        figures = _figures(watched)
        name = f"{watched.name.process}/{watched.name.worker}"
        text = ", ".join(f"{key} {value / 2**20:.1f} MiB" for key, value in figures.items())
        log.info("%s %s: %s", name, watched.verdict.state.label, text or "no figures", extra={"memory": figures})
    if len(processes) > MOST_LINES:
        log.info("and %d processes under less pressure", len(processes) - MOST_LINES)


def _figures(watched: Watched) -> dict[str, int]:
    sample = watched.sample
    figures = {"rss": sample.kernel.rss_bytes} if sample.kernel else {}
    main = sample.heap.main if sample.heap else None
    if main is not None:
        figures |= {"heap used": main.heap_used_bytes, "heap total": main.heap_total_bytes}
        figures |= {"heap limit": main.effective_limit_bytes, "external": main.external_bytes}
    if sample.container is not None:
        figures["container"] = sample.container.memory_bytes
    return figures
