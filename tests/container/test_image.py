"""The agent's image: what is in it, what is not, and that it runs with nothing but what it needs."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import heapwarden
from fakes.conditions import wait_for
from fakes.container_images import AGENT, BUSYBOX, PYTHON, REPORTER, size
from fakes.machine import ROOT
from fakes.podman import ContainedAgent, Podman, contained_agent
from heapwarden.reporter.install import SCRIPT

MIB = 2**20
MOST_OVER_BASE = 120 * MIB
LOCKED = ("--network", "none", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all")
"""As little as a container can have: a loopback network, a file system that can't be written, no capability."""
STATE = ("--volume", "/run/heapwarden", "--volume", "/var/lib/heapwarden")
"""New volumes for the two folders that are written; they get the owner that these have in the image."""


@pytest.fixture(scope="module")
def container(images: Podman) -> Iterator[str]:
    """One that runs with its defaults."""
    options = ("--security-opt", "no-new-privileges")
    with images.container(*LOCKED, *STATE, *options, AGENT) as started:
        yield started


@pytest.fixture(scope="module")
def agent(images: Podman, container: str) -> Iterator[ContainedAgent]:
    """The agent in it, once it listens."""
    with contained_agent(images, container) as started:
        yield started


def test_it_is_small(images: Podman, measured: Callable[[str], None]) -> None:
    """Over its base: Heapwarden with its libraries."""
    over = size(images, AGENT) - size(images, PYTHON)
    measured(f"{AGENT}: {over / MIB:.1f} MiB over its base of {size(images, PYTHON) / MIB:.1f} MiB")
    assert 0 < over <= MOST_OVER_BASE


def test_it_runs_locked_down_and_is_healthy(images: Podman, container: str, agent: ContainedAgent) -> None:
    """Not root, without a capability, its file system read-only; podman's own check of it succeeds."""
    assert agent.get("/livez").status == 200
    wait_for(lambda: images.call("healthcheck", "run", container).returncode == 0)
    assert images.inspect(container)["State"]["Health"]["Status"] == "healthy"
    status = images("exec", container, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == fields["Gid"].split() == ["10001"] * 4
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert fields["NoNewPrivs"] == "1"
    assert images.call("exec", container, "touch", "/opt/heapwarden/probe").returncode != 0


@pytest.mark.usefixtures("agent")
def test_an_agent_that_hangs_is_unhealthy(images: Podman, container: str) -> None:
    """HEALTHCHECK asks for an answer, not for a process."""
    images("kill", "--signal", "STOP", container)
    try:
        assert images.call("healthcheck", "run", container).returncode == 1
    finally:
        images("kill", "--signal", "CONT", container)
    wait_for(lambda: images.call("healthcheck", "run", container).returncode == 0)


def test_the_live_page_is_in_it(agent: ContainedAgent) -> None:
    """Built by npm in a stage of its own, and served as of the wheel."""
    page = agent.get("/", accept="text/html")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    paths = re.findall(r'(?:src|href)="\.?/?([^":]+\.(?:js|css))"', page.text)
    assert paths
    assert [agent.get(f"/{path}").status for path in paths] == [200] * len(paths)


def test_commands(images: Podman) -> None:
    """The entry point is the program: its other subcommands run in the same image."""
    assert images("run", "--rm", *LOCKED, AGENT, "--version") == f"heapwarden {heapwarden.__version__}"
    config = ("--volume", f"{ROOT}/config/heapwarden.yaml:/etc/heapwarden/heapwarden.yaml:ro")
    assert "heapwarden.yaml" in images("run", "--rm", *LOCKED, *config, AGENT, "check-config")


@pytest.mark.parametrize("name", ["pip", "pip3", "npm", "node", "gcc", "cc", "make", "git", "curl"])
def test_no_build_tools_are_left(images: Podman, container: str, name: str) -> None:
    """Neither installers nor compilers."""
    assert images.call("exec", container, "sh", "-c", f"command -v {name}").returncode != 0


@pytest.mark.usefixtures("agent")
def test_no_build_modules_are_left(images: Podman, container: str) -> None:
    """Nor can Python import them; the code is the installed wheel's, compiled, with its metadata."""
    code = """
import importlib.util as u, importlib.metadata as m, pathlib, re, heapwarden
installer = re.compile(r"(ensure)?pip[0-9.]*(-.*)?")
print([name for name in ("pip", "setuptools", "wheel", "hatchling", "editables") if u.find_spec(name)])
print(m.distribution("heapwarden").read_text("direct_url.json"), heapwarden.__file__)
print(pathlib.Path(heapwarden.__cached__).exists(), pathlib.Path("/source").exists(), pathlib.Path("/wheels").exists())
print([str(path) for path in pathlib.Path("/usr/local").rglob("*") if installer.fullmatch(path.name)])
"""
    absent, origin, left, local = images("exec", container, "/opt/heapwarden/bin/python", "-c", code).splitlines()
    assert absent == "[]"
    assert "/opt/heapwarden/lib/" in origin
    assert left == "True False False"
    assert local == "[]"


def test_it_ends_at_once_when_asked(images: Podman) -> None:
    """SIGTERM, as PID 1 of its container; podman would kill it after the ten minutes that it is given here."""
    with images.container(*LOCKED, *STATE, AGENT) as started, contained_agent(images, started):
        images("stop", "--time", "600", started, seconds=60)
        assert images.inspect(started)["State"]["ExitCode"] == 0


@pytest.mark.parametrize(("image", "title"), [(AGENT, "heapwarden"), (REPORTER, "heapwarden-reporter")])
def test_labels(images: Podman, image: str, title: str) -> None:
    """As the Open Container Initiative names them."""
    config = images.inspect(image, "image")["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["title"] == title
    assert labels["licenses"] == "Apache-2.0"
    assert labels["description"]
    assert config["User"] == "10001:10001"


def test_the_reporters_image_copies_one_file(images: Podman, measured: Callable[[str], None], tmp_path: Path) -> None:
    """Into a folder that others share with it, whole or not at all; and has nothing else in it."""
    os.chown(tmp_path, 10001, 10001)
    images("run", "--rm", *LOCKED, "--volume", f"{tmp_path}:/reporter", REPORTER)
    assert [file.name for file in tmp_path.iterdir()] == [SCRIPT.name]
    assert (tmp_path / SCRIPT.name).read_bytes() == SCRIPT.read_bytes()
    over = size(images, REPORTER) - size(images, BUSYBOX)
    measured(f"{REPORTER}: {over / 1024:.0f} KiB over its base of {size(images, BUSYBOX) / MIB:.1f} MiB")
    assert over < 64 * 1024
