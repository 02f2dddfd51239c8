"""Images for tests: bases, from their registry or stand-ins for them, and what the Dockerfile makes of them."""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

from fakes.machine import ROOT, node
from fakes.podman import STORE, Podman, PodmanError

PYTHON, NODE, BUSYBOX = (
    f"docker.io/library/{name}" for name in ("python:3.12-slim", "node:22-slim", "busybox:1.37-musl")
)
AGENT, REPORTER = "localhost/heapwarden", "localhost/heapwarden-reporter"
_SUITE = "bookworm"
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
_APPLETS = ("sh", "cp", "mv", "ls", "cat", "sleep", "true", "id", "sha256sum")


def make_bases(podman: Podman) -> None:
    """All three, as they are pulled; where no registry can be reached, stand-ins under the same names.

    A stand-in is Debian with its own Python; Node is that of the tests. Each is made once.
    """
    makers = {PYTHON: _python, NODE: _node, BUSYBOX: _busybox}
    for name, make in makers.items():
        if podman.has_image(name) or podman.call("pull", "--quiet", name).returncode == 0:
            continue
        make(podman)


def build(podman: Podman) -> None:
    """The agent's image and the reporter's."""
    make_bases(podman)
    for name, more in ((AGENT, ()), (REPORTER, ("--target", "reporter"))):
        options = ("--format", "docker", "--network", "host", "--tag", name, *more)
        podman("build", *options, ROOT, seconds=900)


def size(podman: Podman, image: str) -> int:
    """Bytes, as podman counts them: all layers, unpacked."""
    return int(podman.inspect(image, "image")["Size"])


def _python(podman: Podman) -> None:
    """A minimal Debian with Python, and pip where the official image has it."""
    root = _empty("debian")
    packages = "--include=python3,python3-venv,ca-certificates"
    _run(["debootstrap", "--variant=minbase", packages, _SUITE, str(root)])
    (root / "usr/bin/python").symlink_to("python3")
    shutil.copy(f"/{_CERTIFICATES}", root / _CERTIFICATES)  # a proxy between may have a CA of its own
    (wheel,) = (root / "usr/share/python-wheels").glob("pip-*.whl")
    with zipfile.ZipFile(wheel) as pip:
        pip.extractall(root / "usr/local/lib/python3.11/site-packages")
    (root / "usr/local/bin/pip").write_text('#!/bin/sh\nexec python3 -m pip "$@"\n')
    (root / "usr/local/bin/pip").chmod(0o755)
    shutil.rmtree(root / "var/cache/apt")
    _import(podman, root, PYTHON, [f"ENV {name}=/{_CERTIFICATES}" for name in ("PIP_CERT", "NODE_EXTRA_CA_CERTS")])
    shutil.rmtree(root)


def _node(podman: Podman) -> None:
    folder = _empty("node")
    programs = folder / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(node(22), programs / "node")
    npm = Path(shutil.which("npm") or "npm").resolve().parents[1]
    shutil.copytree(npm, folder / "usr" / "local" / "lib" / "node_modules" / "npm", symlinks=True)
    (programs / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    recipe = f"FROM {PYTHON}\nCOPY . /\n"
    podman("build", "--tag", NODE, "--file", "-", folder, input=recipe)
    shutil.rmtree(folder)


def _busybox(podman: Podman) -> None:
    folder = _empty("busybox")
    (folder / "bin").mkdir()
    shutil.copy("/bin/busybox", folder / "bin" / "busybox")
    for applet in _APPLETS:
        (folder / "bin" / applet).symlink_to("busybox")
    _import(podman, folder, BUSYBOX, [])
    shutil.rmtree(folder)


def _empty(name: str) -> Path:
    folder = STORE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _import(podman: Podman, folder: Path, name: str, changes: Sequence[str]) -> None:
    """A folder as an image of one layer."""
    archive = STORE / "import.tar"
    _run(["tar", "--directory", str(folder), "--create", "--file", str(archive), "."])
    options = [part for change in changes for part in ("--change", change)]
    try:
        podman("import", *options, archive, name, seconds=300)
    finally:
        archive.unlink()


def _run(command: Sequence[str]) -> None:
    """Raises PodmanError with the last of what it said."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False
    )
    if done.returncode:
        raise PodmanError(f"{' '.join(command)}: {done.returncode}: {done.stdout[-2000:]}")
