"""The few things that are asked of the kernel before and for a signal."""

import os
import signal
from pathlib import Path

MAX_STAT_BYTES = 4_096
_ENDED = (b"Z", b"X", b"x")
_START_FIELD = 22
_FIRST_AFTER_COMMAND = 3
"""Fields of ``/proc/PID/stat`` as proc_pid_stat(5) counts them."""


class Kernel:
    """Thin calls, in one place so that a test can put a table of processes behind them.

    Nothing here guesses: what can't be read raises OSError, and whoever asked does nothing.
    """

    def boot(self) -> str:
        """The id of this boot."""
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def own_pids(self) -> tuple[int, int]:
        """Of the agent and its parent."""
        return os.getpid(), os.getppid()

    def open(self, pid: int) -> int:
        """A pidfd for whoever has ``pid`` now (pidfd_open(2)); ProcessLookupError where nobody has."""
        return os.pidfd_open(pid)

    def start_of(self, pid: int) -> int | None:
        """When the process started that has ``pid`` now, clock ticks since boot; None: it has ended, or nobody has."""
        try:
            with Path(f"/proc/{pid}/stat").open("rb") as file:
                line = file.read(MAX_STAT_BYTES)
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = line[line.rindex(b")") + 2 :].split()  # the command may hold spaces and parentheses
        state, start = fields[0], int(fields[_START_FIELD - _FIRST_AFTER_COMMAND])
        return None if state in _ENDED else start

    def pid_behind(self, pidfd: int) -> int:
        """The pid that ``/proc`` gives to the process of a pidfd: -1 when it is gone, 0 when that ``/proc`` has it not.

        See proc_pid_fdinfo(5). ``/proc`` may belong to another PID namespace than the agent, where the same number is
        another process.
        """
        for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
            if line.startswith("Pid:"):
                return int(line.removeprefix("Pid:"))
        return 0

    def send(self, pidfd: int, number: int) -> None:
        """Signal the process of a pidfd (pidfd_send_signal(2))."""
        signal.pidfd_send_signal(pidfd, number)

    def close(self, pidfd: int) -> None:
        """Let go of a pidfd."""
        os.close(pidfd)
