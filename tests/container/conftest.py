"""Real images in real containers: `make test-container`. They need root, and minutes; `make test` leaves them out."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from fakes.container_images import BUSYBOX, build, make_bases
from fakes.podman import Podman, alone

_MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Takes a line that is printed in the end."""
    return pytestconfig.stash.setdefault(_MEASURED, []).append


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the images, which are made by whatever the network and the machine give."""
    for item in items:
        item.add_marker(pytest.mark.timeout(1_200 if item is items[0] else 300))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured."""
    for line in config.stash.get(_MEASURED, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman, where it can run containers; a skip that says why where it can't."""
    if os.geteuid() != 0 or shutil.which("podman") is None:
        pytest.skip("needs podman and root: run `make test-container` as root")
    with alone() as made:
        make_bases(made)
        tried = made.call("run", "--rm", "--network", "none", "--memory", "64m", BUSYBOX, "true")
        if tried.returncode:
            pytest.skip(f"podman can't run a container here: {tried.stderr.strip()[-500:]}")
        yield made


@pytest.fixture(scope="session")
def images(podman: Podman) -> Podman:
    """Podman with the images that the Dockerfile makes, built now; what has not changed comes from its cache."""
    build(podman)
    return podman
