"""A real PM2 with a home of its own, ended by its pid."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from fakes.conditions import wait_for
from fakes.judged import ended
from fakes.machine import ROOT, node

BIN = ROOT / "tests" / "nodes" / "node_modules" / ".bin"
LONG = 60.0


@dataclass
class Pm2:
    """PM2's command and daemon of one home."""

    home: Path
    uid: int | None = None
    """As whom it runs; None: as the test."""

    @property
    def environment(self) -> dict[str, str]:
        """What its command, daemon and apps start with."""
        path = os.pathsep.join((str(Path(node(22)).parent), str(BIN), "/usr/bin", "/bin"))
        return {"PM2_HOME": str(self.home), "HOME": str(self.home), "PATH": path}

    def __call__(self, *arguments: str | Path, cwd: Path | None = None, **environment: str) -> str:
        """Run the command; its output."""
        done = subprocess.run(
            [str(BIN / "pm2"), *map(str, arguments)],
            env={**self.environment, **environment},
            cwd=cwd or self.home,
            user=self.uid,
            group=self.uid,
            extra_groups=None if self.uid is None else [],
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def daemon(self) -> int:
        """The pid of its daemon."""
        return int((self.home / "pm2.pid").read_text())

    def apps(self) -> list[dict[str, Any]]:
        """As it lists them."""
        listed: list[dict[str, Any]] = json.loads(self("jlist"))
        return listed

    def pid(self, pm_id: int = 0, *, other_than: int = 0) -> int:
        """Of an app, once it runs; waits for a new one where another pid than ``other_than`` is asked for."""

        def running() -> int:
            found = list((self.home / "pids").glob(f"*-{pm_id}.pid"))
            pid = int(found[0].read_text() or 0) if found else 0
            return pid if pid != other_than and pid and not ended(pid) else 0

        return wait_for(running, LONG)

    def end(self) -> None:
        """The daemon by its pid, and all that it had started."""
        try:
            family = psutil.Process(self.daemon)
        except (FileNotFoundError, psutil.NoSuchProcess):
            return
        everybody = [family, *family.children(recursive=True)]
        family.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(everybody, timeout=10)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=LONG)


@contextmanager
def pm2(*start: Sequence[str | Path], uid: int | None = None) -> Iterator[Pm2]:
    """A PM2 that has started each of ``start``, which are arguments of ``pm2 start``."""
    home = Path(tempfile.mkdtemp(prefix="pm2-"))  # short: the path of a socket has 107 characters at most
    if uid is not None:
        os.chown(home, uid, uid)
    manager = Pm2(home, uid)
    try:
        for arguments in start:
            manager("start", *arguments, KEPT="from the start")
        yield manager
    finally:
        manager.end()
        shutil.rmtree(home)
