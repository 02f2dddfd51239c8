"""What the agent tells of itself."""

from prometheus_client import CollectorRegistry

from heapwarden.exposition import agent_metrics
from heapwarden.exposition.agent_metrics import AgentMetrics
from heapwarden.exposition.text import page


def lines(registry: CollectorRegistry) -> set[str]:
    """Every line of the page."""
    return set(b"".join(page(registry, "").pieces).decode().splitlines())


def test_everything_that_is_told_is_counted() -> None:
    """Each method of the port moves its metric."""
    registry = CollectorRegistry()
    telemetry = AgentMetrics(registry, "1.2.3")
    telemetry.tick_done(0.004)
    telemetry.tick_late()
    telemetry.source_error("procfs", "timeout")
    telemetry.frame("accepted")
    telemetry.frame("bad_json")
    telemetry.processes(7)
    telemetry.config_reloaded(ok=True)
    telemetry.config_reloaded(ok=False)
    assert lines(registry) >= {
        'heapwarden_agent_build_info{version="1.2.3"} 1.0',
        'heapwarden_agent_tick_seconds_bucket{le="0.0025"} 0.0',
        'heapwarden_agent_tick_seconds_bucket{le="0.005"} 1.0',
        "heapwarden_agent_tick_seconds_count 1.0",
        "heapwarden_agent_tick_seconds_sum 0.004",
        "heapwarden_agent_ticks_late_total 1.0",
        'heapwarden_agent_source_errors_total{reason="timeout",source="procfs"} 1.0',
        'heapwarden_agent_frames_total{result="accepted"} 1.0',
        'heapwarden_agent_frames_total{result="bad_json"} 1.0',
        "heapwarden_agent_processes 7.0",
        'heapwarden_agent_config_reloads_total{result="ok"} 1.0',
        'heapwarden_agent_config_reloads_total{result="failed"} 1.0',
    }


def test_counters_that_are_foreseen_begin_at_zero() -> None:
    """So that the first reload that fails shows as an increase."""
    registry = CollectorRegistry()
    AgentMetrics(registry, "1.2.3")
    assert lines(registry) >= {
        'heapwarden_agent_frames_total{result="accepted"} 0.0',
        'heapwarden_agent_config_reloads_total{result="ok"} 0.0',
        'heapwarden_agent_config_reloads_total{result="failed"} 0.0',
    }


def test_labels_are_bounded() -> None:
    """A flood of reasons ends up in one series, and none is lost."""
    registry = CollectorRegistry()
    telemetry = AgentMetrics(registry, "1.2.3")
    for number in range(1_000):
        telemetry.frame(f"reason {number}")
    found = [line for line in lines(registry) if line.startswith("heapwarden_agent_frames_total{")]
    assert len(found) <= agent_metrics.MOST_LABELS + 1
    assert sum(float(line.rpartition(" ")[2]) for line in found) == 1_000


def test_the_python_process_is_described() -> None:
    """prometheus-client's own collectors are on the page, and no _created series."""
    registry = CollectorRegistry()
    AgentMetrics(registry, "1.2.3")
    text = "\n".join(lines(registry))
    assert "\nprocess_resident_memory_bytes " in text
    assert 'python_gc_collections_total{generation="2"}' in text
    assert "_created" not in text
