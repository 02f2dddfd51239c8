"""The compose stack, as far as it can be checked without Docker: what it mounts, runs and waits for is there."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.machine import HEAPWARDEN, ROOT
from fakes.shipped import RULES
from heapwarden.reporter.install import SCRIPT
from heapwarden.settings.load import load
from mixin.provisioning import grafana

FOLDER = ROOT / "deploy" / "compose"
STACK: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
MOUNTS = [
    pytest.param(name, *volume.split(":")[:2], id=f"{name}-{volume.split(':')[1]}")
    for name, service in SERVICES.items()
    for volume in service.get("volumes", ())
]
"""Service, what is mounted, and where."""


@pytest.mark.parametrize(("service", "source", "target"), MOUNTS)
def test_what_is_mounted_is_there(service: str, source: str, target: str) -> None:
    """Files and folders of the repository, or a declared volume. Docker would make a folder of what is missing."""
    assert target.startswith("/"), service
    if source.startswith("."):
        assert (FOLDER / source).resolve().is_relative_to(ROOT)
        assert (FOLDER / source).exists()
    else:
        assert source in STACK["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_closed_and_waits_for_what_can_be_waited_for(name: str) -> None:
    """A tag that does not move, ports on loopback alone, and conditions that the other service can meet."""
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+[\w.-]*", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    for other, needed in service.get("depends_on", {}).items():
        match needed["condition"]:
            case "service_healthy":
                assert "healthcheck" in SERVICES[other] or "build" in SERVICES[other]
            case "service_completed_successfully":
                assert "restart" not in SERVICES[other]
            case condition:
                assert condition == "service_started"


def test_app_and_agent_share_what_they_must() -> None:
    """The user, the PID namespace and the folder of the socket, from which the app is preloaded too."""
    app, agent, reporter = (SERVICES[name] for name in ("app", "heapwarden", "reporter"))
    assert app["user"] == agent["user"] == reporter["user"]
    assert app["pid"] == agent["pid"] == "service:pod"
    socket = Path(app["environment"]["HEAPWARDEN_SOCKET"])
    assert socket == load(FOLDER / "heapwarden.yaml", {}).socket
    options = shlex.split(app["environment"]["NODE_OPTIONS"])
    assert options[options.index("--require") + 1] == str(socket.parent / SCRIPT.name)
    assert reporter["command"] == ["reporter", "install", str(socket.parent)]
    assert all(any(f":{socket.parent}" in volume for volume in one["volumes"]) for one in (app, agent, reporter))


def test_the_heaps_limit_is_below_the_containers() -> None:
    """Half of it, so that buffers, stacks and code have room: V8 meets its own limit first, and says so."""
    app = SERVICES["app"]
    (heap,) = re.findall(r"--max-old-space-size=(\d+)", app["environment"]["NODE_OPTIONS"])
    assert int(heap) * 2 <= int(app["mem_limit"].removesuffix("m"))
    assert app["memswap_limit"] == app["mem_limit"]


def test_the_agents_image_is_built_here() -> None:
    """Of the repository's Dockerfile, which has the check of health that others wait for, and the same user."""
    image = STACK["x-heapwarden"]
    dockerfile = (FOLDER / image["build"] / "Dockerfile").read_text()
    assert "\nHEALTHCHECK " in dockerfile
    assert dockerfile.rstrip().rpartition("\nUSER ")[2].splitlines()[0] == image["user"]


def test_grafana_finds_its_datasource_and_its_first_page() -> None:
    """The variable that the datasource needs leads to Prometheus; the dashboard that greets is one that is mounted."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["PROMETHEUS_URL"] == "http://prometheus:9090"
    home = Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(grafana.MOUNTED_AT)
    assert (ROOT / "dashboards" / "grafana" / home.name).exists()


def test_prometheus_accepts_its_settings(tmp_path: Path) -> None:
    """`promtool check config`, with the shipped rules where they are mounted."""
    text = (FOLDER / "prometheus.yml").read_text()
    assert "/etc/prometheus/rules/" in text
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/rules", str(RULES)))
    assert f"{len(list(RULES.glob('*.yaml')))} rule files found" in check("promtool", "check", "config", file)


def test_alertmanager_accepts_its_settings() -> None:
    """`amtool check-config`."""
    (mounted,) = [volume.split(":")[0] for volume in SERVICES["alertmanager"]["volumes"]]
    assert "SUCCESS" in check("amtool", "check-config", FOLDER / mounted)


@pytest.mark.parametrize("restarts", [False, True], ids=["as it is", "with its example of a restart"])
def test_the_agent_accepts_its_settings(tmp_path: Path, restarts: bool) -> None:
    """`heapwarden check-config`; the example that is commented out is right too."""
    text = (FOLDER / "heapwarden.yaml").read_text()
    file = tmp_path / "heapwarden.yaml"
    file.write_text(text.replace("#restart:", "restart:") if restarts else text)
    assert ("restart from 80% live heap" in check(*HEAPWARDEN, "check-config", file)) is restarts


def check(*command: str | Path) -> str:
    """What a checker says that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
