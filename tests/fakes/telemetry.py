"""Telemetry that remembers."""

from collections import Counter


class FakeTelemetry:
    """Counts what it is told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.tick_seconds: list[float] = []
        self.watched = 0

    def tick_done(self, seconds: float) -> None:
        """Remember."""
        self.tick_seconds.append(seconds)

    def tick_late(self) -> None:
        """Count."""
        self.counts["late",] += 1

    def source_error(self, source: str, reason: str) -> None:
        """Count."""
        self.counts["source", source, reason] += 1

    def frame(self, result: str) -> None:
        """Count."""
        self.counts["frame", result] += 1

    def processes(self, count: int) -> None:
        """Remember."""
        self.watched = count

    def config_reloaded(self, *, ok: bool) -> None:
        """Count."""
        self.counts["reload", str(ok)] += 1

    def journal_error(self) -> None:
        """Count."""
        self.counts["journal",] += 1
