"""A real systemd as PID 1 of namespaces of its own, that runs the units of ``deploy/systemd``. It needs root."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from fakes.conditions import wait_for
from fakes.machine import ROOT, Program, node, program

INIT = Path(__file__).with_name("systemd_init.sh")
UNITS = ROOT / "deploy" / "systemd"
_KINDS = ("--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass
class Systemd:
    """A running one."""

    started: Program
    pid: int

    def control(self, *arguments: str, check: bool = True) -> str:
        """``systemctl``, inside; its output."""
        return self.inside("systemctl", "--no-pager", *arguments, check=check)

    def inside(self, *command: str, check: bool = True) -> str:
        """Run a command in its namespaces, as root; its output."""
        entered = ("nsenter", "--target", str(self.pid), "--mount", "--pid", "--cgroup", "--net")
        done = subprocess.run([*entered, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.control("show", "--property", name, "--value", unit)

    def status(self, pid: str) -> dict[str, str]:
        """``/proc/PID/status`` of a pid as it is inside."""
        lines = self.inside("cat", f"/proc/{pid}/status").splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@contextmanager
def systemd(folder: Path, units: Mapping[str, str], config: str) -> Iterator[Systemd]:
    """It starts all ``units`` (files by name, which may be in folders) with ``config`` as Heapwarden's settings."""
    _skip_without_namespaces()
    for name, text in units.items():
        (folder / "units" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "units" / name).write_text(text)
    services = " ".join(name for name in units if name.endswith(".service"))
    (folder / "units" / "all.target").write_text(f"[Unit]\nWants={services}\n")
    for name in (
        "sysinit",
        "basic",
        "shutdown",
        "network",
        "multi-user",
    ):  # what services need
        (folder / "units" / f"{name}.target").write_text("[Unit]\n")
    (folder / "config").mkdir()
    (folder / "config" / "heapwarden.yaml").write_text(config)
    python, packages = Path(sys.base_prefix).resolve(), Path(sysconfig.get_path("purelib"))
    places = (folder, ROOT, python, packages, Path(node(22)).parents[1])
    with _own_cgroups() as enter:
        command = ("unshare", *_KINDS, "--fork", "--kill-child", "sh", INIT, *places)
        with program(("sh", "-c", f'{enter}\nexec "$@"', "sh", *command)) as started:
            pid = wait_for(lambda: _first_child(started), 60)
            yield Systemd(started, pid)
            psutil.Process(pid).kill()  # and with PID 1 all that is in there


def _first_child(started: Program) -> int:
    """The pid of its PID 1, once that speaks to ``systemctl``."""
    if started.process.poll() is not None:
        started.gathered()
        raise AssertionError(f"it ended: {started.err[-5:]}")
    below = psutil.Process(started.pid).children()
    if not below or below[0].name() != "systemd":
        return 0
    asked = Systemd(started, below[0].pid).control("is-system-running", check=False)
    return below[0].pid if asked in ("running", "degraded", "starting") else 0


def _skip_without_namespaces() -> None:
    if os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists() or shutil.which("nsenter") is None:
        pytest.skip("needs root and Debian's systemd")
    tried = subprocess.run(["unshare", *_KINDS, "--fork", "mount", "--make-rprivate", "/"], check=False)
    if tried.returncode != 0:
        pytest.skip("namespaces of our own are not allowed here")


@contextmanager
def _own_cgroups() -> Iterator[str]:
    """Shell lines that enter a cgroup of our own in each hierarchy; all of it is removed at last."""
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        top = _CGROUPS / (names.removeprefix("name=") or "unified")
        root = _CGROUPS if number == "0" and not top.is_dir() else top
        made.append(root / path.lstrip("/") / f"heapwarden-test-{os.getpid()}")
    try:
        for one in made:
            one.mkdir()
            _copy_cpus(one)
    except OSError as error:
        pytest.skip(f"cgroups of our own are not allowed here: {error}")
    try:
        yield "\n".join(f"echo $$ > {one}/cgroup.procs" for one in made)
    finally:
        for one in made:
            _remove(one)


def _copy_cpus(folder: Path) -> None:
    """A new cgroup of the old ``cpuset`` has none, and nobody may enter it then."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (folder / name).exists() and not (folder / "cgroup.controllers").exists():
            (folder / name).write_text((folder.parent / name).read_text())


def _remove(folder: Path) -> None:
    def gone() -> bool:
        for below, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                Path(below).rmdir()
        return not folder.exists()

    wait_for(gone)
