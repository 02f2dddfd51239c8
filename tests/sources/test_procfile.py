"""Reads under /proc: bounded, never held up, and clear about what is no data and what is trouble."""

import errno
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.planting import stat_line
from heapwarden.sources.procfile import list_folder, numbers, parse_stat, read_file, read_link, read_stat


@pytest.mark.parametrize(
    "comm",
    [
        pytest.param("node", id="plain"),
        pytest.param("my app", id="space"),
        pytest.param("a) S 1 (b", id="a fake end"),
        pytest.param("(((", id="opening"),
        pytest.param(")", id="closing"),
        pytest.param("", id="empty"),
    ],
)
def test_stat(comm: str) -> None:
    """A command may hold anything: the fields are counted from the last parenthesis."""
    stat = parse_stat(stat_line(4711, 123456, comm=comm, state="R", parent=42, flags=0x40).encode())
    assert stat is not None
    assert stat.comm == comm.encode()
    assert (stat.state, stat.parent, stat.flags, stat.start) == (b"R", 42, 0x40, 123456)
    assert (stat.minor_faults, stat.major_faults, stat.threads) == (300, 2, 7)


def test_own_stat() -> None:
    """The real file of this very process is understood."""
    stat = read_stat("/proc", os.getpid())
    assert stat is not None
    assert stat.parent == os.getppid()
    assert stat.state == b"R"
    assert not stat.ended


@given(st.binary(max_size=400))
def test_stat_of_any_bytes(data: bytes) -> None:
    """Bytes that are no stat line are no data, alone or behind a command."""
    parse_stat(data)
    parse_stat(b"1 (node) S " + data)


def test_numbers() -> None:
    """A line is found by its whole key, with or without a unit, one number or many."""
    status = b"Name:\tnode\nVmRSS:\t  13596 kB\nNSpid:\t4711\t17\t1\nThreads:\t7"
    assert numbers(status, b"VmRSS:") == (13596,)
    assert numbers(status, b"NSpid:") == (4711, 17, 1)
    assert numbers(status, b"Threads:") == (7,)
    assert numbers(status, b"RSS:") == ()
    assert numbers(status, b"VmSwap:") == ()


@pytest.mark.parametrize("value", ["x", "-1", "1 x", "1e3", str(2**64), "9" * 5000, "0x10"])
def test_numbers_that_are_none(value: str) -> None:
    """What the kernel would not print is not taken for a number."""
    assert numbers(f"a\nkey: {value}\n".encode(), b"key:") == ()


@given(st.binary(max_size=200))
def test_numbers_in_any_bytes(data: bytes) -> None:
    """Any bytes give numbers of at most 64 bits, or none."""
    assert all(0 <= number < 2**64 for number in numbers(b"\nkey:" + data, b"key:"))


def test_long_file(tmp_path: Path) -> None:
    """A file is read whole however long, and never beyond the bound."""
    file = tmp_path / "long"
    file.write_bytes(b"x" * 100_000)
    assert read_file(str(file), 1_000_000) == b"x" * 100_000
    assert read_file(str(file)) == b"x" * 65_536
    assert read_file(str(file), 10) == b"x" * 10


def test_pipe_does_not_hold_up(tmp_path: Path) -> None:
    """A pipe that nobody writes to, where a file was expected in a stranger's tree, reads as empty at once."""
    os.mkfifo(tmp_path / "pipe")
    assert read_file(str(tmp_path / "pipe")) == b""


def test_no_data(tmp_path: Path) -> None:
    """Missing, a folder in place of a file, a file in place of a link or folder: no data, no error."""
    (tmp_path / "file").write_text("x")
    assert read_file(str(tmp_path / "none")) is None
    assert read_file(str(tmp_path)) is None
    assert read_file(str(tmp_path / "file" / "below")) is None
    assert read_link(str(tmp_path / "file")) is None
    assert list_folder(str(tmp_path / "file")) == []
    assert list_folder(str(tmp_path / "none")) == []


def test_own_trouble_is_told() -> None:
    """Running out of file descriptors is not the same as a process that has ended."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            read_file("/proc/self/stat")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
