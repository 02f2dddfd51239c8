"""Child processes that a test talks to by lines, and that are gone when it ends."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Child:
    """A running child."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """``process`` has pipes for input and output."""
        self.process = process
        self.pid = process.pid

    def ask(self, question: str) -> str:
        """Say a line, and hear one."""
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        """The next line of its output; it fails when the child has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self.process.args!r} ended with {self.process.wait(10)}"
        return line.rstrip("\n")


@contextmanager
def child(command: Sequence[str | Path], **options: Any) -> Iterator[Child]:
    """Start ``command``; kill it at last."""
    process = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )
    with process:  # closes the pipes, and waits
        try:
            yield Child(process)
        finally:
            process.kill()
