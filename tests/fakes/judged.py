"""Restarts of real processes, for those who carry them out."""

import os
from pathlib import Path
from typing import Any

from heapwarden.domain.findings import Limit, PressureLevel
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Plan, Restart, RestartReason, Stage, Trigger

NOBODY = 65_534
AS_ROOT = os.geteuid() == 0


def this_boot() -> str:
    """The id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identity(pid: int) -> ProcessId:
    """The process that has ``pid`` now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return ProcessId(pid, int(fields[19]))


def restart_of(process: ProcessId | int, *, boot: str | None = None, **plan: Any) -> Restart:
    """A restart of a process that a memory rule wants; ``plan`` are fields of its Plan."""
    return Restart(
        id="r-1",
        process=identity(process) if isinstance(process, int) else process,
        name=Name("api", "0"),
        boot=this_boot() if boot is None else boot,
        trigger=Trigger(RestartReason.MAX_MEMORY, "RSS is 1.2 GiB, max_memory 1 GiB"),
        plan=Plan(**plan),
        wall=1_700_000_000.0,
        stage=Stage.TERMINATE,
        stage_since=100.0,
        figures={"rss_bytes": 1_288_490_188, "limit_bytes": 1_073_741_824},
    )


def ended(pid: int) -> bool:
    """Whether only a zombie, or nothing, is left of ``pid``."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class AskedReporters:
    """Reporters that keep what they are asked; ``answer`` says whether any is connected."""

    def __init__(self, *, answer: bool = True) -> None:
        """Nothing was asked yet."""
        self.answer = answer
        self.asked: list[tuple[object, ...]] = []

    def _ask(self, *what: object) -> bool:
        self.asked.append(what)
        return self.answer

    def pressure(self, process: ProcessId, level: PressureLevel, ratio: float, nearer: Limit) -> bool:
        """See Reporters."""
        return self._ask("pressure", process, level, ratio, nearer)

    def drain(self, process: ProcessId, within_seconds: float) -> bool:
        """See Reporters."""
        return self._ask("drain", process, within_seconds)

    def collect(self, process: ProcessId) -> bool:
        """See Reporters."""
        return self._ask("collect", process)

    def raise_signal(self, process: ProcessId, name: str) -> bool:
        """See Reporters."""
        return self._ask("raise_signal", process, name)
