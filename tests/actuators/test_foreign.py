"""Names that another process gave, and what they may lead to."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heapwarden.actuators import foreign


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short path: that of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="heapwarden-") as name:
        yield Path(name)


def pipe(path: Path) -> None:
    """Nobody writes to it."""
    os.mkfifo(path)


def link(path: Path) -> None:
    """To a file that would do."""
    path.with_name("target").write_text("7")
    path.symlink_to(path.with_name("target"))


def link_to_a_device(path: Path) -> None:
    """Others than this one act when they are opened."""
    path.symlink_to("/dev/zero")


def closed(path: Path) -> None:
    """A socket at which nobody listens."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def text(path: Path) -> None:
    """A regular file."""
    path.write_text("7")


STRANGE = [pipe, link, link_to_a_device, Path.mkdir]


@pytest.mark.parametrize("make", [*STRANGE, closed])
def test_only_a_regular_file_is_read(folder: Path, make: Callable[[Path], None]) -> None:
    """At once; nobody is waited for."""
    make(folder / "a")
    with pytest.raises(OSError, match="not a regular file"):
        foreign.number_in(str(folder / "a"))


def test_a_device_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to see what it is: a watchdog would start to run."""
    really, flags = os.open, list[int]()

    def noted(path: str, flag: int) -> int:
        flags.append(flag)
        return really(path, flag)

    monkeypatch.setattr("os.open", noted)
    with pytest.raises(OSError, match="not a regular file"):
        foreign.number_in("/dev/null")
    [flag] = flags
    assert flag & os.O_PATH


def test_a_number_is_read(folder: Path) -> None:
    """As PM2 writes it; with a line's end, too."""
    path = folder / "pm2.pid"
    for content in ("4711", "4711\n"):
        path.write_text(content)
        assert foreign.number_in(str(path)) == foreign.number_in(str(path), os.geteuid()) == 4711
    with pytest.raises(PermissionError, match=f"belongs to uid {os.geteuid()}, and not to 4321"):
        foreign.number_in(str(path), 4321)


@pytest.mark.parametrize("content", ["", "x", "7 7", "7" * 64 + "x" * 1_000_000])
def test_what_holds_no_number_is_refused(folder: Path, content: str) -> None:
    """However long it is: no more than its beginning is read."""
    (folder / "pm2.pid").write_text(content)
    with pytest.raises(ValueError, match=r"invalid literal|too long"):
        foreign.number_in(str(folder / "pm2.pid"))


@pytest.mark.parametrize("make", [*STRANGE, text])
def test_only_a_socket_is_connected_to(folder: Path, make: Callable[[Path], None]) -> None:
    """Nor is what a link leads to: it may be the socket of a service that trusts root."""
    make(folder / "a")
    with pytest.raises(OSError, match="not a socket"):
        foreign.listener(str(folder / "a"))


def test_nobody_listens(folder: Path) -> None:
    """As after a daemon's death; or there is nothing at all."""
    closed(folder / "sock")
    with pytest.raises(ConnectionRefusedError):
        foreign.listener(str(folder / "sock"))
    with pytest.raises(FileNotFoundError):
        foreign.listener(str(folder / "none"))


def test_who_listens_is_known(folder: Path) -> None:
    """Who began to, and not who has the socket now; nor is it held up by a queue that is full."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "sock"))
        listening.listen(0)
        wanted = foreign.Peer(os.getpid(), os.geteuid(), os.getegid())
        assert foreign.listener(str(folder / "sock")) == wanted
        holder = subprocess.Popen(["sleep", "300"], pass_fds=[listening.fileno()])
        listening.close()
    try:
        with pytest.raises(BlockingIOError):
            assert [foreign.listener(str(folder / "sock")) for _ in range(9)] == [wanted] * 9
    finally:
        holder.kill()
        holder.wait()
