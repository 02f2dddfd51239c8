"""A Node whose memory is in its children."""

import signal
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, agent, app, node

PARENT = APPS / "parent.cjs"
CONFIG = """
sample_interval: 250ms
processes:
  - name: counted
    match: {{command: 'parent\\.cjs counted'}}
    restart: {{max_memory: {limit}, tree: true, for: 0s, min_uptime: 0s, dry_run: true}}
  - name: alone
    match: {{command: 'parent\\.cjs alone'}}
    restart: {{max_memory: {limit}, for: 0s, min_uptime: 0s, dry_run: true}}
"""

pytestmark = pytest.mark.node


def test_children_count_where_the_rule_says_so(tmp_path: Path) -> None:
    """Two parents of large children: of one the tree is over the limit, the other is judged by itself."""
    with (
        agent(tmp_path, CONFIG.format(limit="150M")) as watcher,
        app(watcher, node(22), PARENT, "counted") as counted,
        app(watcher, node(22), PARENT, "alone") as alone,
    ):
        for parent in (counted, alone):
            parent.line("child holds 120 MiB")
        labels = {"worker": "0", "reason": "max_memory", "dry_run": "true"}
        wait_for(lambda: watcher.metric("heapwarden_restarts_total", process="counted", **labels))
        assert "of 2 processes together is" in watcher.program.line("would be restarted")
        wait_for(lambda: watcher.process(alone.pid))
        assert watcher.metric("heapwarden_restarts_total", process="alone", **labels) is None
        assert watcher.metric("heapwarden_up", process="counted", worker="0", source="tree") == 1
        assert watcher.metric("heapwarden_up", process="alone", worker="0", source="tree") is None
        for parent in (counted, alone):
            parent.signal(signal.SIGTERM)
            parent.wait()
