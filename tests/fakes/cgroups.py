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
needs_v1 = pytest.mark.skipif(
    os.geteuid() != 0 or not (V1_MEMORY / "memory.limit_in_bytes").exists(),
    reason="needs root and the memory controller of cgroup v1 at /sys/fs/cgroup/memory",
)
MIB = 2**20
_numbers = itertools.count()


@contextmanager
def limited(limit_bytes: int) -> Iterator[Path]:
    """A cgroup in which the kernel kills at ``limit_bytes``; what is still in it in the end is killed."""
    folder = V1_MEMORY / f"heapwarden-test-{os.getpid()}-{next(_numbers)}"
    folder.mkdir()
    try:
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
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


def apart(*command: str | Path) -> list[str]:
    """A command line that runs ``command`` in a cgroup namespace, with mounts of its own that show just that."""
    remount = f'umount {V1_MEMORY} && mount -t cgroup -o memory cgroup {V1_MEMORY} && exec "$@"'
    return ["unshare", "-C", "-m", "sh", "-c", remount, "sh", *map(str, command)]
