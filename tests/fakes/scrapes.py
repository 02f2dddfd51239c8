"""Scraping a snapshot without HTTP."""

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from fakes.snapshots import NOW
from heapwarden.domain.snapshot import Snapshot
from heapwarden.exposition import families
from heapwarden.exposition.collector import SnapshotCollector
from heapwarden.exposition.family import Family
from heapwarden.exposition.text import page

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def registry_of(
    snapshot: Snapshot, table: Sequence[Family[Any]] = families.FAMILIES, now: float = NOW
) -> CollectorRegistry:
    """A registry with the processes of ``snapshot`` and nothing else."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(table, lambda: snapshot, lambda: now))
    return registry


def scrape(snapshot: Snapshot, accept: str = "", **options: object) -> str:
    """The text of one scrape."""
    return b"".join(page(registry_of(snapshot, **options), accept).pieces).decode()  # type: ignore[arg-type]


def series(snapshot: Snapshot, name: str = "", **options: object) -> dict[str, float]:
    """Each line that is no comment and begins with ``name``: what stands before the value, and the value."""
    lines = (line for line in scrape(snapshot, **options).splitlines() if line.startswith(name))
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
