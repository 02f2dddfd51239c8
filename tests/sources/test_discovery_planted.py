"""Discovery on planted trees: what can't be had from a live kernel at will."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.planting import plant_text, stat_line
from heapwarden.domain.identity import Ancestor, ProcessId, Role
from heapwarden.sources.discovery import ProcfsDiscovery

NODE = "/usr/bin/node"


def put(
    root: Path, pid: int, start: int, *, exe: str | None = NODE, cmdline: str = "node\0app.js\0", parent: int = 1
) -> None:
    """Lay out one process, in place of whoever had the pid."""
    folder = root / str(pid)
    (folder / "exe").unlink(missing_ok=True)
    (folder / "cwd").unlink(missing_ok=True)
    link = "" if exe is None else f"=== {pid}/exe -> {exe}\n"
    plant_text(
        f"{link}=== {pid}/cwd -> /srv/shop\n=== {pid}/status\nName:\tx\nUid:\t10\t11\t12\t13\n"
        f"=== {pid}/comm\nx\n=== {pid}/stat\n{stat_line(pid, start, parent=parent)}",
        root,
    )
    (folder / "cmdline").write_bytes(cmdline.encode())


def discovery(root: Path) -> ProcfsDiscovery:
    """On a machine that was booted at second 1000 of Unix time."""
    return ProcfsDiscovery(root, booted_at=lambda: 1000.0)


def test_all_fields(tmp_path: Path) -> None:
    """Everything of a process comes from its own files, and what is no process is passed over."""
    (tmp_path / "self").mkdir()
    (tmp_path / "\u0664\u0662").mkdir()
    put(tmp_path, 1, 10, exe="/sbin/init", cmdline="/sbin/init\0splash\0", parent=0)
    put(tmp_path, 20, 250, cmdline="node\0--inspect\0dist/api.js\0\0x\0")
    (found,) = discovery(tmp_path).scan()
    assert found.id == ProcessId(20, 250)
    assert found.argv == ("node", "--inspect", "dist/api.js", "", "x")
    assert (found.started_at, found.script, found.role, found.uid) == (1002.5, "api", Role.APP, 10)
    assert found.ancestors == (Ancestor(1, "/sbin/init splash"),)


def test_reused_pid_of_node(tmp_path: Path) -> None:
    """A successor under the same pid is another process: in scans, by identity, and the old one is dead."""
    put(tmp_path, 20, 250)
    finder = discovery(tmp_path)
    (first,) = finder.scan()
    put(tmp_path, 20, 900, cmdline="node\0other.js\0")
    assert not finder.alive(first.id)
    assert finder.alive(ProcessId(20, 900))
    (second,) = finder.scan()
    assert (second.id.start, second.script) == (900, "other")
    put(tmp_path, 20, 950)
    third = finder.identify(20)
    assert third is not None
    assert third.id.start == 950


def test_pid_of_node_reused_by_another_program(tmp_path: Path) -> None:
    """The successor is judged by what it runs, not by who was there before."""
    put(tmp_path, 20, 250)
    finder = discovery(tmp_path)
    finder.scan()
    put(tmp_path, 20, 900, exe="/usr/bin/python3")
    assert list(finder.scan()) == []
    named = finder.identify(20)
    assert named is not None
    assert named.id.start == 900
    assert list(finder.scan()) == []


def test_thread_of_the_kernel(tmp_path: Path) -> None:
    """A thread of the kernel has neither executable nor command line; as an ancestor it goes by its name."""
    put(tmp_path, 2, 1, exe=None, cmdline="", parent=0)
    put(tmp_path, 20, 250, parent=2)
    (found,) = discovery(tmp_path).scan()
    assert found.ancestors == (Ancestor(2, "[node]"),)


def test_lineage_that_runs_in_a_circle(tmp_path: Path) -> None:
    """Parents read one after the other may, by reused pids, seem to be each other's: the walk ends."""
    put(tmp_path, 5, 1, exe="/bin/sh", parent=6)
    put(tmp_path, 6, 1, exe="/bin/sh", parent=5)
    put(tmp_path, 20, 250, parent=5)
    (found,) = discovery(tmp_path).scan()
    assert len(found.ancestors) == 32


def test_proc_that_is_not_there(tmp_path: Path) -> None:
    """Without /proc there is no "nothing found": that would end every watched process."""
    with pytest.raises(FileNotFoundError):
        discovery(tmp_path / "none").scan()


def test_own_trouble_is_no_death(tmp_path: Path) -> None:
    """An agent out of file descriptors takes nobody for dead, and its scan fails rather than lies."""
    put(tmp_path, 20, 250)
    finder = discovery(tmp_path)
    (found,) = finder.scan()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        alive, identified = finder.alive(found.id), finder.identify(21)
        with pytest.raises(OSError, match="Too many open files"):
            finder.scan()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert alive
    assert identified is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=100))
def test_any_bytes(tmp_path: Path, stat: bytes, status: bytes, cmdline: bytes) -> None:
    """Whatever stands in a process's files, a scan finds it or not, and names it within bounds."""
    put(tmp_path, 20, 250)
    (tmp_path / "20" / "status").write_bytes(status)
    (tmp_path / "20" / "cmdline").write_bytes(cmdline)
    finder = discovery(tmp_path)
    finder.scan()  # one without a command line is taken for Node the second time
    (found,) = finder.scan()
    assert 0 < len(found.script) <= 100
    (tmp_path / "20" / "stat").write_bytes(b"20 (node) S " + stat)
    discovery(tmp_path).scan()
    (tmp_path / "20" / "stat").write_bytes(stat)
    discovery(tmp_path).scan()
