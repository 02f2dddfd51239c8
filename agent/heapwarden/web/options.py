"""What the HTTP side is told from outside."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Those settings that HTTP answers depend on. Read anew for each request, so that a reload counts at once."""

    retry_after_seconds: float = 10.0
    start_grace_seconds: float = 10.0
    """How long after the agent's start a process that was not found yet counts as starting."""
    sample_interval_seconds: float = 1.0
    prom_client_metrics: bool = False
    known_names: frozenset[str] = frozenset()
    """Names of processes that the settings give, whether such a process runs or not."""


class Page(Protocol):
    """A long answer that is made piece by piece, each within a millisecond or so."""

    @property
    def content_type(self) -> str:
        """Of the whole."""

    @property
    def pieces(self) -> Iterator[bytes]:
        """In order; an empty one is no end."""
