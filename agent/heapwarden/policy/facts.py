"""What is known of how a process is set up, and what follows from it at once."""

from dataclasses import dataclass

from heapwarden.analysis.flags import HEAP, OLD_SPACE, PERCENTAGE, SEMI_SPACE, command_line_known, heap_flags, in_force
from heapwarden.analysis.flags import sets_limit as flag_of_limit
from heapwarden.analysis.sizing import (
    MIB,
    NON_HEAP_LEAST_BYTES,
    NON_HEAP_USUAL_BYTES,
    SEMI_SPACES,
    USUAL_SEMI_SPACE_BYTES,
    Footprint,
    Household,
)
from heapwarden.domain.checkup import HeapFlag, Launch, Origin
from heapwarden.domain.identity import Process
from heapwarden.domain.sample import Sample


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one process."""

    process: Process
    sample: Sample
    launch: Launch | None = None
    """None before it was looked at."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who looks, and when."""

    now: float
    """Monotonic, as the samples' times."""
    wall: float
    machine_bytes: int
    """The machine's memory."""
    agent_version: str | None = None
    """None: no agent looks, so nothing can be said about who reports to it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One case, with what follows from it."""

    case: Case
    standing: Standing
    flags: tuple[HeapFlag, ...]
    footprint: Footprint
    home: Household | None
    """None without a container limit."""

    @property
    def age_seconds(self) -> float:
        """Since its start."""
        return max(0.0, self.standing.wall - self.case.process.started_at)

    @property
    def limit_from(self) -> str | None:
        """What sets the heap limit; None where that is not known."""
        flag = flag_of_limit(self.flags)
        if flag is not None:
            return f"{flag.option}={flag.value} ({_place(flag.origin)})"
        launch = self.case.launch
        read = launch is not None and launch.node_options is not None and command_line_known(self.case.process.argv)
        return "V8's default" if read else None


def flags_of(case: Case) -> tuple[HeapFlag, ...]:
    """The options that size its heap."""
    return heap_flags(case.process.argv, case.launch.node_options if case.launch else None)


def footprint_of(case: Case, flags: tuple[HeapFlag, ...], standing: Standing) -> Footprint:
    """From the reporter's figures where there are any, else from the options."""
    kernel, heap = case.sample.kernel, case.sample.heap
    isolates = heap.isolates if heap is not None else ()
    resident = kernel.rss_bytes + kernel.swap_bytes if kernel is not None else 0
    of_files = kernel.file_bytes if kernel is not None else 0
    if isolates:
        resident = resident or isolates[0].process_rss_bytes or 0
        rest = resident - sum(one.heap_total_bytes for one in isolates)
        least, most = max(NON_HEAP_LEAST_BYTES, rest - of_files), max(NON_HEAP_USUAL_BYTES, rest)
        semi = max((one.heap_limit_bytes - one.effective_limit_bytes) // SEMI_SPACES for one in isolates)
        return Footprint(tuple(one.effective_limit_bytes for one in isolates), semi, resident, least, most)
    semi_flag, limit = in_force(flags, SEMI_SPACE), _limit_by_flags(case, flags, standing)
    semi = semi_flag.number * MIB if semi_flag else USUAL_SEMI_SPACE_BYTES
    most = max(NON_HEAP_USUAL_BYTES, resident)
    return Footprint(() if limit is None else (limit,), semi, resident, NON_HEAP_LEAST_BYTES, most)


def _limit_by_flags(case: Case, flags: tuple[HeapFlag, ...], standing: Standing) -> int | None:
    flag, container = flag_of_limit(flags), case.sample.container
    if flag is None:
        return None
    if flag.option == PERCENTAGE:
        whole = (container.limit_bytes if container is not None else None) or standing.machine_bytes
        return whole * min(flag.number, 100) // 100
    return flag.number * MIB if flag.option in (OLD_SPACE, HEAP) else None


def _place(origin: Origin) -> str:
    return f"the {origin}" if origin is Origin.COMMAND_LINE else origin
