"""A real leak and the message about it: from the agent through shipped rules and shipped routing to a webhook."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fakes.alertmanager import Alertmanager, Notification, alertmanager, notifications, to_webhook
from fakes.conditions import wait_for
from fakes.machine import APPS, HEAPWARDEN, ROOT, AgentHandle, agent, demo, get, node, program
from fakes.prometheus import job, prometheus
from fakes.receiver import Receiver, receiver
from fakes.shipped import RUNBOOKS, hastened_rules

ROUTING = ROOT / "dashboards" / "alertmanager" / "alertmanager.yml"
WORKLOAD = {"cluster": "test", "namespace": "shop", "workload": "checkout"}

pytestmark = pytest.mark.node


@contextmanager
def watched(folder: Path, target: str, **holds: str) -> Iterator[tuple[Alertmanager, Receiver]]:
    """Prometheus with the shipped rules beside this agent, and Alertmanager and whom it tells; ``holds``: ``for``."""
    with (
        receiver() as told,
        alertmanager(folder, to_webhook(yaml.safe_load(ROUTING.read_text()), told)) as manager,
        prometheus(
            folder,
            job(target, labels=WORKLOAD),
            rules=hastened_rules(folder, holds),
            alertmanager=manager.address,
        ),
    ):
        yield manager, told


def first(told: Receiver, alert: str, status: str = "firing") -> Notification:
    """The first message of this alert with this status, once it has come."""
    return wait_for(lambda: next((one for one in notifications(told, alert) if one.status == status), None), 60)


def assert_readable(message: Notification) -> None:
    """Everything that whoever is on call reads is filled in, and its runbook is there."""
    texts = message.annotations
    assert {"summary", "description", "runbook_url"} <= texts.keys()
    for text in (*texts.values(), *message.labels.values()):
        assert text
        assert not any(raw in text for raw in ("{{", "}}", "<no value>", "%!", "NaN")), text
    page = texts["runbook_url"].partition("docs/runbooks/")[2].partition("#")[0]
    assert (RUNBOOKS / page).is_file(), texts["runbook_url"]


def test_three_deaths_of_memory_reach_whoever_is_on_call(tmp_path: Path) -> None:
    """HeapwardenOOMExits as it is shipped: V8 gives up three times, each time after a second or so."""
    options = ("--socket", tmp_path / "agent.sock", "--state-dir", tmp_path / "state", "--listen", "127.0.0.1:0")
    dies = (node(22), "--max-old-space-size=24", APPS / "leak_to_death.cjs")
    command = (*HEAPWARDEN, "run", *options, "--log-format", "json", "--restart", "on-failure", "--", *dies)
    with program(command, {**os.environ, "LEAK_MB_PER_S": "20", "LEAK_PREFILL_MB": "10"}) as started:
        port = json.loads(started.line('"port":'))["port"]
        with watched(tmp_path, f"127.0.0.1:{port}") as (_, told):
            message = first(told, "HeapwardenOOMExits")
    assert (message.receiver, message.labels["severity"]) == ("on-call", "critical")
    assert WORKLOAD.items() <= message.labels.items()
    assert_readable(message)


def test_a_heap_that_is_all_but_full_is_told_of_and_so_is_its_end(tmp_path: Path) -> None:
    """HeapwardenLimitImminent, which here has to hold for a second only; it silences NearLimit."""
    with (
        agent(tmp_path) as watcher,
        demo(watcher, 22, "--max-old-space-size=96", "--max-semi-space-size=1", "--expose-gc") as (_, app),
        watched(tmp_path, watcher.url, HeapwardenNearLimit="1s", HeapwardenLimitImminent="1s") as (manager, told),
    ):
        leak(watcher, app, 0.94)
        early = first(told, "HeapwardenNearLimit")
        leak(watcher, app, 0.98)
        message = first(told, "HeapwardenLimitImminent")
        wait_for(lambda: manager.state("HeapwardenNearLimit") == "suppressed")
        get(f"{app}/free")
        assert first(told, "HeapwardenLimitImminent", "resolved").labels == message.labels
    for one, receiver_and_severity in ((early, ("team", "warning")), (message, ("on-call", "critical"))):
        assert (one.receiver, one.labels["severity"]) == receiver_and_severity
        assert (WORKLOAD | {"process": "server", "worker": "0"}).items() <= one.labels.items()
        assert_readable(one)


def leak(watcher: AgentHandle, app: str, share: float) -> None:
    """As a cache that is never cleared grows with each request, up to this share of the effective heap limit."""
    labels = {"process": "server", "worker": "0", "thread": "main"}
    limit = wait_for(lambda: watcher.metric("heapwarden_heap_effective_limit_bytes", **labels))
    while get(f"{app}/cache?mib=0.25").json["heapUsed"] < share * limit:
        pass
