"""The compose stack's own settings and commands, run without Docker: only addresses, paths and times are others."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.alertmanager import Alertmanager, alertmanager
from fakes.conditions import wait_for
from fakes.machine import DEMO, AgentHandle, Program, agent, node, program
from fakes.prometheus import Prometheus, started
from fakes.shipped import ROOT, hastened_rules

FOLDER = ROOT / "deploy" / "compose"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]

pytestmark = pytest.mark.node


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[AgentHandle]:
    """The agent with the stack's settings."""
    with agent(tmp_path, (FOLDER / "heapwarden.yaml").read_text()) as handle:
        yield handle


@pytest.fixture
def app(watcher: AgentHandle) -> Iterator[str]:
    """The app with the stack's environment, and something to do; its address."""
    environment = SERVICES["app"]["environment"]
    options = environment["NODE_OPTIONS"].split("heapwarden.cjs")[1]
    own = watcher.environment(PORT="0")
    own["NODE_OPTIONS"] += options
    with program((node(24), DEMO), own) as running:
        url = running.line("demo app on ").split()[3].rstrip("/")
        command = [node(24), *SERVICES["traffic"]["command"][1:]]
        assert "http://app:3000" in command[-1]
        with program([part.replace("http://app:3000", url) for part in command]):
            yield url


@pytest.fixture
def messages() -> Iterator[Program]:
    """What prints the messages of alerts."""
    with program((node(24), FOLDER / "messages.js"), {"PORT": "0"}) as running:
        yield running


@pytest.fixture
def manager(messages: Program, tmp_path: Path) -> Iterator[Alertmanager]:
    """Alertmanager with the settings that are mounted, and a second to gather alerts instead of 10."""
    (mounted,) = [volume.split(":")[0] for volume in SERVICES["alertmanager"]["volumes"]]
    port = messages.line("listening on").split()[-1]
    text = rewritten(FOLDER / mounted, {"127.0.0.1:8080": f"127.0.0.1:{port}", "group_wait: 10s": "group_wait: 1s"})
    with alertmanager(tmp_path, yaml.safe_load(text)) as running:
        yield running


@pytest.fixture
def server(watcher: AgentHandle, app: str, manager: Alertmanager, tmp_path: Path) -> Iterator[Prometheus]:
    """Prometheus with the stack's settings; rules and scrapes come each second."""
    assert app
    replaced = {
        "heapwarden:9797": watcher.url.removeprefix("http://"),
        "alertmanager:9093": manager.address,
        "/etc/prometheus/rules/*.yaml": f"{hastened_rules(tmp_path)[0].parent}/*.rules.yaml",
        "scrape_interval: 5s": "scrape_interval: 1s",
    }
    file = tmp_path / "prometheus.yml"
    file.write_text(rewritten(FOLDER / "prometheus.yml", replaced))
    with started(tmp_path, file) as running:
        yield running


def rewritten(file: Path, replaced: Mapping[str, str]) -> str:
    """Its text with these words in place of those, each of which must be there."""
    text = file.read_text()
    for shipped, own in replaced.items():
        assert shipped in text, shipped
        text = text.replace(shipped, own)
    return text


def test_it_comes_up_with_data(server: Prometheus) -> None:
    """The app is seen under its name and its workload, with collections; every shipped rule is evaluated."""
    labels = '{process="demo", workload="demo", namespace="default", cluster="compose"}'
    wait_for(lambda: server.query(f"heapwarden_pressure_ratio{labels} > 0"), 60)
    wait_for(lambda: server.query(f"rate(heapwarden_gc_duration_seconds_count{labels}[1m]) > 0"), 60)
    ((_, limit),) = server.query(f"heapwarden_heap_effective_limit_bytes{labels}")
    assert limit == 128 * 2**20
    rules = wait_for(lambda: [] if any(one["health"] == "unknown" for one in server.rules()) else server.rules(), 60)
    assert len(rules) > 20
    assert [one for one in rules if one["health"] != "ok"] == []
    assert wait_for(lambda: server.query('workload:heapwarden_processes:count{workload="demo"}'), 60)[0][1] == 1
    assert wait_for(server.alertmanagers, 60)


def test_an_alert_is_printed_where_it_is_sent(manager: Alertmanager, messages: Program) -> None:
    """A critical one is for whoever is on call."""
    manager.post({"alertname": "HeapwardenOOMExits", "severity": "critical"}, {"summary": "demo keeps dying"})
    assert messages.line("HeapwardenOOMExits", 60) == "on-call firing HeapwardenOOMExits: demo keeps dying"


def test_the_apps_check_of_health_tells_up_from_down(watcher: AgentHandle, app: str) -> None:
    """It succeeds, and fails where nobody listens; the agent watches it at no time."""
    kind, command = SERVICES["app"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    path = f"{Path(node(24)).parent}:{os.environ['PATH']}"
    for address, code in ((app, 0), ("http://127.0.0.1:1", 1)):
        own = command.replace("http://127.0.0.1:3000", address)
        assert own != command
        with program(("sh", "-c", own), watcher.environment(PATH=path)) as check:
            assert check.wait(60) == code, check.err
            assert {one["process"] for one in watcher.processes()} == {"demo"}
