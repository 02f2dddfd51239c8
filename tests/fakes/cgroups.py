"""Real memory cgroups of version 1, made for a test and removed after it."""

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.conditions import wait_for

V1_MEMORY = Path("/sys/fs/cgroup/memory")
V1_PIDS = Path("/sys/fs/cgroup/pids")
needs_v1 = pytest.mark.skipif(
    os.geteuid() != 0 or not (V1_MEMORY / "memory.limit_in_bytes").exists(),
    reason="needs root and the memory controller of cgroup v1 at /sys/fs/cgroup/memory",
)
MIB = 2**20
_numbers = itertools.count()


@contextmanager
def limited(limit_bytes: int) -> Iterator[Path]:
    """A cgroup in which the kernel kills at ``limit_bytes``; what is still in it in the end is killed."""
    with _made(V1_MEMORY / _name()) as folder:
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
        yield folder


@contextmanager
def kubepods(uid: str, container_id: str, *, accounted: bool = True) -> Iterator[Path]:
    """A cgroup as the kubelet and a runtime name them, on a node that is a container itself.

    ``accounted``: in the memory hierarchy; else in another, where the kernel counts no kills for memory.
    """
    top = (V1_MEMORY if accounted else V1_PIDS) / _name()
    with contextlib.ExitStack() as stack:
        for folder in (top, *(top / path for path in _below("kubepods", "burstable", f"pod{uid}", container_id))):
            stack.enter_context(_made(folder))
        yield folder


def _below(*parts: str) -> list[Path]:
    return [Path(*parts[:length]) for length in range(1, len(parts) + 1)]


def _name() -> str:
    return f"heapwarden-test-{os.getpid()}-{next(_numbers)}"


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    try:
        yield folder
    finally:
        for pid in map(int, (folder / "cgroup.procs").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: (folder / "cgroup.procs").read_text() == "")
        folder.rmdir()


def inside(cgroup: Path, *command: str | Path) -> list[str]:
    """A command line that runs ``command`` in a cgroup."""
    return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(cgroup), *map(str, command)]


def unaccounted(cgroup: Path, *command: str | Path) -> list[str]:
    """The same, with the root cgroup for its memory, where nothing is limited or counted."""
    root = f'echo $$ > {V1_MEMORY}/cgroup.procs; exec "$@"'
    return inside(cgroup, "sh", "-c", root, "sh", *command)


def apart(*command: str | Path) -> list[str]:
    """A command line that runs ``command`` in a cgroup namespace, with mounts of its own that show just that."""
    remount = f'umount {V1_MEMORY} && mount -t cgroup -o memory cgroup {V1_MEMORY} && exec "$@"'
    return ["unshare", "-C", "-m", "sh", "-c", remount, "sh", *map(str, command)]
