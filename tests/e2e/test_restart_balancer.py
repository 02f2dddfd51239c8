"""A leak behind a real HAProxy: the process is restarted in time, and no client notices."""

from contextlib import ExitStack
from pathlib import Path

from fakes.conditions import wait_for
from fakes.haproxy import haproxy
from fakes.leaks import guarded, incident

CONFIG = """
sample_interval: 250ms
processes:
  - name: app
    match: {command: leaky}
    restart: {max_memory: 200M, for: 0s, min_uptime: 0s, drain: 5s, grace: 30s}
"""
"""In a second of the default interval this leaks 20 MiB: too coarse for a machine that is busy, and late by as much."""


def test_a_fast_leak_costs_no_request(tmp_path: Path) -> None:
    """20 MB/s, a limit of 200 MiB, two servers, six-second requests: acted upon by 230 MiB, and none fails."""
    with ExitStack() as stack:
        servers = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            servers.append(stack.enter_context(guarded(tmp_path / name, CONFIG)))
        balancer = stack.enter_context(haproxy(tmp_path, *(leaky.server for leaky in servers)))
        wait_for(balancer.all_up)
        seen = incident(balancer, servers[0])
        assert seen.failures == {}
        assert seen.requests > 20
        assert seen.acted_mib <= 230
        assert [line["what"] for line in servers[0].said("SIGTERM", "exit", "listening")] == [
            *("listening", "SIGTERM", "exit", "listening")
        ]
        assert len(servers[1].said("listening")) == 1
