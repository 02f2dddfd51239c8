"""The units, as systemd's own tools judge them; that they work is for ``tests/e2e/test_systemd.py`` to show."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.machine import ROOT
from fakes.systemd import UNITS
from heapwarden.reporter.install import node_options

HOSTS = (ROOT / "docs" / "hosts.md").read_text()
SYSCALLS = ("pidfd_open", "pidfd_send_signal")

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _analyzed(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False, env={"LC_ALL": "C"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The services with programs that are there, and with the drop-ins applied to one each."""
    for name in ("heapwarden", "api"):
        text = (UNITS / f"{name}.service").read_text()
        (tmp_path / f"{name}.service").write_text(text.replace("/opt/heapwarden/bin/heapwarden", sys.executable))
    for unit, drop_in in (("heapwarden", "one-user"), ("api", "node")):
        folder = tmp_path / f"{unit}.service.d"
        folder.mkdir()
        shutil.copy(UNITS / f"{drop_in}.conf", folder)
    return tmp_path


def test_systemd_understands_every_line(units: Path) -> None:
    """Not one warning, with the drop-ins too."""
    assert _analyzed("verify", "--man=no", *sorted(units.glob("*.service"))) == ""


def test_the_exposure_is_what_the_guide_states(tmp_path: Path) -> None:
    """The score, from 0 to 10, of the unit as it is shipped; it may not grow unseen."""
    stated = re.search(r"`systemd-analyze security` gives it ([0-9.]+)", HOSTS)
    assert stated is not None
    shutil.copy(UNITS / "heapwarden.service", tmp_path)
    told = _analyzed("security", "--offline=true", "--no-pager", tmp_path / "heapwarden.service")
    found = re.search(r"exposure level for heapwarden.service: ([0-9.]+)", told)
    assert found is not None
    assert float(found[1]) <= float(stated[1]) <= 2.0


def test_what_it_signals_by_is_let_through() -> None:
    """Both calls are in a group of the unit's filter, and in none that it takes away."""
    groups = re.findall(r"^SystemCallFilter=(.*)$", (UNITS / "heapwarden.service").read_text(), re.MULTILINE)
    allowed = [line for line in groups if not line.startswith("~")]
    refused = [line.removeprefix("~") for line in groups if line.startswith("~")]
    known = _calls(" ".join(allowed))
    assert known.issuperset(SYSCALLS)
    assert known.isdisjoint({"mount", "reboot", "ptrace"})
    assert _calls(" ".join(refused)).isdisjoint(SYSCALLS)


def _calls(groups: str) -> set[str]:
    """The system calls of these groups, and of the groups in them."""
    words = _analyzed("syscall-filter", *groups.split()).split()
    calls = {word for word in words if re.fullmatch("[a-z0-9_]+", word)}
    below = {word for word in words if word.startswith("@")} - set(groups.split())
    return calls | (_calls(" ".join(sorted(below))) if below else set())


def test_the_drop_in_loads_the_reporter() -> None:
    """As ``heapwarden reporter install`` says it."""
    line = f"NODE_OPTIONS={node_options('', Path('/usr/local/lib/heapwarden/heapwarden.cjs'))}"
    assert f'Environment="{line}"\n' in (UNITS / "node.conf").read_text()
