"""What is known of how a process is set up, and what follows from it at once."""

from dataclasses import dataclass

from heapwarden.analysis.flags import HEAP, OLD_SPACE, PERCENTAGE, SEMI_SPACE, command_line_known, in_force
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
    sample_interval_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One case with what it says for itself."""

    case: Case
    flags: tuple[HeapFlag, ...]
    footprint: Footprint


@dataclass(frozen=True, slots=True)
class Facts(Measured):
    """The same among others."""

    standing: Standing
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


def footprint(case: Case, flags: tuple[HeapFlag, ...], machine_bytes: int) -> Footprint:
    """What it can take: from the reporter's figures where there are any, else from the options."""
    kernel, heap = case.sample.kernel, case.sample.heap
    isolates = heap.isolates if heap is not None else ()
    resident = kernel.rss_bytes + kernel.swap_bytes if kernel is not None else 0
    if not isolates:
        return _by_flags(case, flags, machine_bytes, resident)
    resident = resident or isolates[0].process_rss_bytes or 0
    rest = resident - sum(one.heap_total_bytes for one in isolates)
    return Footprint(
        effective_limits=tuple(one.effective_limit_bytes for one in isolates),
        semi_space_bytes=max((one.heap_limit_bytes - one.effective_limit_bytes) // SEMI_SPACES for one in isolates),
        rss_bytes=resident,
        non_heap_least_bytes=max(NON_HEAP_LEAST_BYTES, rest - (kernel.file_bytes if kernel is not None else 0)),
        non_heap_most_bytes=max(NON_HEAP_USUAL_BYTES, rest),
    )


def _by_flags(case: Case, flags: tuple[HeapFlag, ...], machine_bytes: int, resident: int) -> Footprint:
    semi, limit = in_force(flags, SEMI_SPACE), _limit_by_flags(case, flags, machine_bytes)
    return Footprint(
        effective_limits=() if limit is None else (limit,),
        semi_space_bytes=semi.number * MIB if semi is not None else USUAL_SEMI_SPACE_BYTES,
        rss_bytes=resident,
        non_heap_least_bytes=NON_HEAP_LEAST_BYTES,
        non_heap_most_bytes=max(NON_HEAP_USUAL_BYTES, resident),
    )


def _limit_by_flags(case: Case, flags: tuple[HeapFlag, ...], machine_bytes: int) -> int | None:
    flag, container = flag_of_limit(flags), case.sample.container
    if flag is None:
        return None
    if flag.option == PERCENTAGE:
        whole = (container.limit_bytes if container is not None else None) or machine_bytes
        return whole * min(flag.number, 100) // 100
    return flag.number * MIB if flag.option in (OLD_SPACE, HEAP) else None


def _place(origin: Origin) -> str:
    return f"the {origin}" if origin is Origin.COMMAND_LINE else origin
