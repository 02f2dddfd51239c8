"""Small and read-only file systems. They need root; where mounting is refused, the test is skipped."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """An empty file system in memory of ``size``, as mount(8) takes it."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], timeout=30, check=True)


def remount(folder: Path, options: str) -> None:
    """Change a mount: ``ro`` or ``rw``."""
    _mount("-o", f"remount,{options}", folder)


def fill(folder: Path) -> Path:
    """A file that takes all space that is left."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out:
        for size in (65_536, 4_096, 1):
            try:
                while out.write(b"x" * size):
                    pass
            except OSError:
                continue
    return file
