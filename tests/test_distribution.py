"""What is built from a checkout in which nothing has been built yet."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from fakes.machine import ROOT, get, program
from heapwarden.web import live_files

PAGE = "agent/heapwarden/web/live"
PARTS = ("agent", "config", "docs", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md")
BUILD = ("hatch_build.py", "pyproject.toml")
NPM = f"""\
#!{sys.executable}
import pathlib, shutil, sys
if sys.argv[1:] == ["run", "build"]:
    shutil.copytree({str(live_files.FOLDER)!r}, pathlib.Path.cwd().parents[1] / {PAGE!r}, dirs_exist_ok=True)
else:
    pathlib.Path("installed").write_text(" ".join(sys.argv[1:]))
"""
"""Gives the page that is here already: what npm makes of the lock file is the page's own affair."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A source tree without anything that a tool has made."""
    folder = tmp_path / "checkout"
    for part in (*PARTS, *BUILD):
        ignore = shutil.ignore_patterns("__pycache__", "live")
        target = folder / part
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=ignore)
        else:
            shutil.copy(ROOT / part, target)
    (folder / "dashboards" / "live").mkdir(parents=True)
    return folder


def build(checkout: Path, path: str) -> "subprocess.CompletedProcess[str]":
    """Build a wheel and a source distribution into ``dist``; ``path`` is the PATH."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build"],
        cwd=checkout,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_page_is_built_and_shipped_and_served(checkout: Path, tmp_path: Path) -> None:
    """Npm runs where the page is missing; both distributions have it, though git ignores it; the wheel serves it."""
    assert (live_files.FOLDER / "index.html").exists(), "build the page first: make .cache/live"
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "npm").write_text(NPM)
    (tools / "npm").chmod(0o755)
    done = build(checkout, f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert (checkout / "dashboards" / "live" / "installed").read_text().startswith("ci --ignore-scripts --omit=dev")
    built = {file.name for file in live_files.FOLDER.iterdir()}
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert built <= {Path(name).name for name in archive.getnames() if f"/{PAGE}/" in name}
    (wheel,) = (checkout / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as files:
        files.extractall(site)  # noqa: S202  our own
    assert {file.name for file in (site / "heapwarden" / "web" / "live").iterdir()} == built
    assert served_from(site, tmp_path) == built


def served_from(site: Path, folder: Path) -> set[str]:
    """Names of the files that an agent from ``site`` serves as they are here."""
    own = ("--socket", folder / "agent.sock", "--state-dir", folder / "state", "--listen", "127.0.0.1:0")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = (sys.executable, "-c", "import heapwarden; print(heapwarden.__file__)")
    found = subprocess.run(where, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.startswith(str(site))
    command = (sys.executable, "-m", "heapwarden", "watch", *own, "--log-format", "json")
    with program(command, environment, cwd=folder) as started:
        url = started.line('"port":').split("http://")[1].split()[0].rstrip(",")
        index = get(f"http://{url}/", accept="text/html")
        return {
            file.name
            for file in live_files.FOLDER.iterdir()
            if (index if file.name == "index.html" else get(f"http://{url}/live/{file.name}")).text == file.read_text()
        }


def test_a_page_that_is_older_than_its_sources_is_not_shipped(checkout: Path) -> None:
    """A tree that was built, and then changed or updated, would else ship what it was."""
    index, source = checkout / PAGE / "index.html", checkout / "dashboards" / "live" / "src" / "style" / "base.css"
    for file in (index, source):
        file.parent.mkdir(parents=True)
        file.touch()
    os.utime(index, (1_000_000, 1_000_000))
    done = build(checkout, "/nonexistent")
    assert "index.html is missing or older than its sources" in done.stderr
    os.utime(source, (900_000, 900_000))
    assert build(checkout, "/nonexistent").returncode == 0


def test_without_npm_it_says_so(checkout: Path) -> None:
    """No wheel without a page, and no traceback alone."""
    done = build(checkout, "/nonexistent")
    assert done.returncode != 0
    assert "building it needs npm: install Node 18 or newer" in done.stderr
    assert not list((checkout / "dist").glob("*.whl"))
