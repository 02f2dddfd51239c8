"""Where an alert leads to: its runbook, and the dashboard that shows what it is about.

Neither address is known here. ``make dashboards RUNBOOKS=https://… GRAFANA=https://…`` writes them in; as committed
they are a path in this repository and a path in a Grafana.
"""

import os
from collections.abc import Iterable

FLEET, PROCESS, AGENT = "heapwarden-fleet", "heapwarden-process", "heapwarden-agent"
"""The dashboards' uids."""

CHOICES = {
    FLEET: ("cluster", "namespace", "workload"),
    PROCESS: ("cluster", "namespace", "pod", "instance", "process", "worker"),
    AGENT: ("cluster", "namespace", "job", "instance"),
}
"""Their variables that an alert sets, where it has a label of that name."""


def runbook_url(alert: str) -> str:
    """Its page, by the alert's full name."""
    return f"{os.environ.get('RUNBOOKS', 'docs/runbooks').rstrip('/')}/{alert}.md"


def dashboard_url(uid: str) -> str:
    """A template: what the alert's labels choose is filled in when it fires; without a label it stays at All."""
    base = os.environ.get("GRAFANA", "").rstrip("/")
    return f"{base}/d/{uid}?from=now-1h{''.join(_variables(CHOICES[uid]))}"


def _variables(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        yield f"{{{{ with $labels.{name} }}}}&var-{name}={{{{ . | urlquery }}}}{{{{ end }}}}"
