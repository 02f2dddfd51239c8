"""The agent's metrics of itself: what the runtime tells through :class:`heapwarden.ports.Telemetry`."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

TICK_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MOST_LABELS = 50
"""Label sets of one counter. Sources, reasons and results are few and fixed; this holds even if that should change."""
OTHER = "other"
RELOADED, FAILED = "ok", "failed"


class AgentMetrics:
    """Telemetry kept in prometheus-client's types, and its collectors for this Python process."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        """Register everything in ``registry``; ``version`` is the agent's."""
        # For the whole Python process: a _created series beside each counter tells nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        Info("heapwarden_agent_build", "1; the agent's version.", registry=registry).info({"version": version})
        self._tick = Histogram(
            "heapwarden_agent_tick_seconds", "Time a tick took.", buckets=TICK_BUCKETS_SECONDS, registry=registry
        )
        self._late = Counter(
            "heapwarden_agent_ticks_late",
            "Ticks that began an interval or more after they were due.",
            registry=registry,
        )
        self._source_errors = _Counts(
            "heapwarden_agent_source_errors",
            "Times a source failed or missed its deadline.",
            ("source", "reason"),
            registry,
        )
        self._frames = _Counts(
            "heapwarden_agent_frames", "Frames of reporters: accepted, or why refused.", ("result",), registry
        )
        self._frames.know("accepted")
        self._processes = Gauge("heapwarden_agent_processes", "Processes watched now.", registry=registry)
        self._reloads = _Counts(
            "heapwarden_agent_config_reloads", "Times the configuration was read again.", ("result",), registry
        )
        for result in (RELOADED, FAILED):
            self._reloads.know(result)
        self._journal_errors = Counter(
            "heapwarden_agent_journal_errors",
            "Times the journal could not be opened, read or written, or dropped an event.",
            registry=registry,
        )
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def tick_done(self, seconds: float) -> None:
        """A tick took so long."""
        self._tick.observe(seconds)

    def tick_late(self) -> None:
        """A tick began an interval or more after it was due."""
        self._late.inc()

    def source_error(self, source: str, reason: str) -> None:
        """A source failed or missed its deadline."""
        self._source_errors.add(source, reason)

    def frame(self, result: str) -> None:
        """A reporter's frame was accepted, or refused for a reason."""
        self._frames.add(result)

    def processes(self, count: int) -> None:
        """So many processes are watched now."""
        self._processes.set(count)

    def config_reloaded(self, *, ok: bool) -> None:
        """The configuration was read again."""
        self._reloads.add(RELOADED if ok else FAILED)

    def journal_error(self) -> None:
        """The journal could not be opened, read or written, or dropped an event."""
        self._journal_errors.inc()


class _Counts:
    """A counter whose label sets are bounded: further ones are counted under ``other``."""

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...], registry: CollectorRegistry) -> None:
        self._counter = Counter(name, meaning, labels, registry=registry)
        self._children: dict[tuple[str, ...], Counter] = {}

    def know(self, *values: str) -> None:
        """Publish 0 until the first: a counter that appears with 1 shows no increase."""
        self._children[values] = self._counter.labels(*values)

    def add(self, *values: str) -> None:
        """Count one."""
        if values not in self._children:
            if len(self._children) >= MOST_LABELS:
                values = (OTHER,) * len(values)
            self.know(*values)
        self._children[values].inc()
