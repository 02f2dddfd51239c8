"""The shipped units under a real systemd: hardened as they are, the agent does all of its work."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.conditions import wait_for
from fakes.systemd import UNITS, Systemd, systemd

SECONDS = 90
TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105  of this test alone
CONFIG = f"api: {{token: {TOKEN}}}\nprocesses: [{{name: web, match: {{command: 'server.js 3000'}}}}]\n"
WEB = """\
[Service]
Type=exec
User=web
ExecStart=/opt/node/bin/node /srv/api/server.js 3000
"""
OF_RIGHTS = {"process_hidden", "environ_unreadable", "container_unreadable", "signal_not_permitted"}
"""What doctor finds where the agent may not do something."""
COUNTING = """\
process.on('SIGTERM', (name) => {
  require('node:fs').appendFileSync('/var/lib/api/signals', `${name}\\n`);
  setTimeout(() => process.exit(0), 1000);
});
setInterval(() => {}, 1000);
"""
"""An app that takes a second to end, and writes down how often it was asked to."""
USERS = "u web - - /srv/api\nu api - - /srv/api\n"
CAPABILITIES = 1 << 19 | 1 << 2 | 1 << 5
"""CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_KILL (linux/capability.h)."""


def _shipped(name: str) -> str:
    return (UNITS / name).read_text().replace("/usr/bin/node", "/opt/node/bin/node")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Systemd]:
    """A host with the agent, a service with the drop-in, and one that the agent starts itself."""
    units = {
        "heapwarden.service": _shipped("heapwarden.service"),
        "heapwarden.sysusers": _shipped("heapwarden.sysusers"),
        "users.sysusers": USERS,
        "web.service": WEB,
        "web.service.d/heapwarden.conf": _shipped("node.conf"),
        "api.service": _shipped("api.service").replace("server.js", "/etc/systemd/system/counting.js"),
        "counting.js": COUNTING,
    }
    with systemd(tmp_path, units, CONFIG) as running:
        yield running


def _get(host: Systemd, url: str, *options: str) -> Any:
    text = host.inside("curl", "--silent", "--max-time", "20", *options, url, check=False)
    return json.loads(text) if text else {}


def _heap_used(host: Systemd) -> float:
    """Of the service ``web``, as the agent knows it; 0: not yet."""
    listed = _get(host, "http://127.0.0.1:9797/processes/web").get("processes", [])
    return float(listed[0]["memoryUsage"]["heapUsed"] or 0) if listed else 0.0


def _has_rights_of_its_unit(host: Systemd) -> None:
    status = host.status(host.show("heapwarden.service", "MainPID"))
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == CAPABILITIES
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_the_hardened_agent_does_its_work(host: Systemd) -> None:
    """Heap and kernel figures of another user's process, no finding about rights, a restart by pidfd, reload, stop."""
    wait_for(lambda: _heap_used(host), SECONDS)
    _has_rights_of_its_unit(host)
    found = host.inside("/opt/heapwarden/bin/heapwarden", "doctor", "--json", check=False)
    looked_at = json.loads(found)["processes"]
    assert looked_at
    assert not {problem["code"] for one in looked_at for problem in one["problems"]} & OF_RIGHTS
    before = host.show("web.service", "MainPID")
    bearer = ("--request", "POST", "--header", f"Authorization: Bearer {TOKEN}")
    _get(host, "http://127.0.0.1:9797/processes/web/restart", *bearer)
    wait_for(lambda: host.show("web.service", "MainPID") not in ("0", before), SECONDS)
    wait_for(lambda: _heap_used(host), SECONDS)
    assert "journal.sqlite3" in host.inside("ls", "/var/lib/heapwarden")
    host.control("reload", "heapwarden.service")
    host.control("stop", "heapwarden.service")
    assert host.show("heapwarden.service", "Result") == "success"
    assert host.show("heapwarden.service", "ActiveState") == "inactive"


def test_a_service_that_it_starts_itself(host: Systemd) -> None:
    """As the service's user, with heap figures; a stop of the service is a clean one, and one SIGTERM for the app."""
    health = "http://127.0.0.1:9799/healthz"
    wait_for(lambda: _get(host, health).get("memoryUsage", {}).get("heapUsed"), SECONDS)
    status = host.status(host.show("api.service", "MainPID"))
    assert int(status["CapEff"], 16) == 0
    host.control("stop", "api.service")
    assert host.inside("cat", "/var/lib/api/signals") == "SIGTERM"
    assert (host.show("api.service", "Result"), host.show("api.service", "ActiveState")) == ("success", "inactive")
