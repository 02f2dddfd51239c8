"""A real supervisord with one program, ended by its pid."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fakes.conditions import wait_for
from fakes.judged import ended
from fakes.machine import Program, program

CONFIG = """
[supervisord]
nodaemon = true
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}
[unix_http_server]
file = {folder}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{folder}/supervisor.sock
[program:api]
command = {command}
autorestart = true
startsecs = 0
"""


@dataclass
class Supervisor:
    """The daemon, and the command that speaks to it."""

    folder: Path
    started: Program
    executable: str

    @property
    def control(self) -> tuple[str, ...]:
        """``supervisorctl``, to which its arguments are to be added."""
        return (sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.folder / "supervisord.conf"))

    def pid(self, other_than: int = 0) -> int:
        """Of the program, once it runs; waits for a new one where another pid than ``other_than`` is asked for."""

        def running() -> int:
            lines = [line for line in (*self.started.out, *self.started.err) if "spawned: 'api' with pid " in line]
            pid = int(lines[-1].rsplit(" ", 1)[1]) if lines else 0
            return pid if pid != other_than and not ended(pid) and self._is_it(pid) else 0

        return wait_for(running, 60)

    def _is_it(self, pid: int) -> bool:
        """Not a copy of supervisord any more, whose handlers would lose a signal."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == self.executable.encode()
        except OSError:
            return False


@contextmanager
def supervisor(*command: str | Path) -> Iterator[Supervisor]:
    """A supervisord that keeps ``command`` running."""
    with TemporaryDirectory(prefix="sv-") as name:  # short: the path of a socket has 107 characters at most
        folder = Path(name)
        config = folder / "supervisord.conf"
        config.write_text(CONFIG.format(folder=folder, command=" ".join(map(str, command))))
        with program([sys.executable, "-m", "supervisor.supervisord", "-c", config]) as started:
            yield Supervisor(folder, started, str(command[0]))
