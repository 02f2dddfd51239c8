"""Real Nodes of every supported major, and an app in one of them."""

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REPORTER = ROOT / "agent/heapwarden/reporter/heapwarden.cjs"
APPS = ROOT / "tests/fixtures/apps"
MAJORS = (18, 20, 22, 24, 26)
SECONDS = 30.0
"""Deadline of each single step; nothing here takes a tenth of it."""


class Node:
    """The binary of one major."""

    def __init__(self, major: int) -> None:
        """Which one."""
        self.major = major
        self.binary = ROOT / f"tests/nodes/node_modules/n{major}/bin/node"
        if not self.binary.exists():
            pytest.fail(f"{self.binary} is missing: run `npm ci --ignore-scripts --prefix tests/nodes`")


class App:
    """A Node process. Its stdout is read line by line as JSON; leaving the test kills what still runs."""

    def __init__(self, command: list[str | Path], env: Mapping[str, str], cwd: Path) -> None:
        """Starts it."""
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.stderr = ""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr
        self.stderr = self.process.stderr.read()

    def line(self) -> str:
        """The next line that it prints."""
        line = self._lines.get(timeout=SECONDS)
        assert line is not None, f"the app has ended: {self.process.wait(SECONDS)} {self.stderr}"
        return line

    def tell(self, source: str) -> Any:
        """What ``answers.cjs`` answers to a line of JavaScript."""
        assert self.process.stdin
        self.process.stdin.write(source.replace("\n", " ") + "\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def end(self) -> tuple[int, str]:
        """Close its stdin and wait for its natural end: exit code and what it wrote to stderr."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for its end."""
        code = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        return code, self.stderr

    def close(self) -> None:
        """Nothing of it stays."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


Start = Callable[..., App]
"""The fixture ``start``: a Node, its arguments, and NODE_OPTIONS in place of the plain preload."""
