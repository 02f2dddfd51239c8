"""Restarts as records, for whoever shows them."""

from typing import Any

from fakes.snapshots import NOW
from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.restart import Plan, Restart, RestartReason, Stage, Trigger

DECIDED_AT = 1_700_000_490.0


def restart(name: str = "api", worker: str = "0", *, pid: int = 4711, **fields: Any) -> Restart:
    """One that drains, of the process that ``fakes.snapshots.watched`` makes of the same name and pid."""
    known = {
        "id": f"r-{name}-{worker}",
        "process": ProcessId(pid, pid * 10),
        "name": Name(name, worker),
        "boot": "a-boot",
        "trigger": Trigger(RestartReason.MAX_MEMORY, "RSS is 210 MiB, max_memory 200 MiB"),
        "plan": Plan(),
        "wall": DECIDED_AT,
        "began": NOW - 2,
        "stage": Stage.DRAIN,
        "stage_since": NOW - 2,
    }
    return Restart(**{**known, **fields})
