"""How large V8's heap may be in a container: what there is of memory, what else takes it, and the value to set.

A process can take its heap up to the effective limit of each isolate, its semi-spaces on top, and what is no heap:
code, stacks, buffers. Measured on Node 20 to 26 (limit 300 MiB, a leak of 100 MB/s), a container held 20 MiB more than
the effective limit when V8 gave up, whatever the semi-spaces were: what dies has long been promoted. So semi-spaces say
nothing about who kills first. A busy server does fill them, so the value to set leaves room for them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

MIB = 2**20
NON_HEAP_LEAST_BYTES = 16 * MIB
"""Of any Node that fills its heap, without pages of files: up to 20 MiB measured, by the kernel's count."""
NON_HEAP_USUAL_BYTES = 48 * MIB
"""The same with them: measured 44 to 56 MiB."""
HEADROOM = 0.1
"""Share of the container that the value to set leaves free: page cache, fragmentation, a burst of buffers."""
UNUSED = 1 / 3
"""From this share on that nothing in the container can ever use, the heap limit is too low."""
LEAST_OLD_SPACE_BYTES = 32 * MIB
SEMI_SPACES = 3
USUAL_SEMI_SPACE_BYTES = 16 * MIB
"""Of a Node that has not told its own. V8 takes it from the memory it sees, whatever the limit of the old space is."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one process can take at most. Bytes."""

    effective_limits: tuple[int, ...]
    """Of each isolate; empty where they are not known."""
    semi_space_bytes: int
    """The largest of each isolate's semi-spaces."""
    rss_bytes: int
    non_heap_least_bytes: int
    """What can't be taken from it: without pages of files, which the kernel drops before it kills."""
    non_heap_most_bytes: int
    """What it is well off with; as much as it has now where the heap is not known."""

    @property
    def known(self) -> bool:
        """Whether its heap limit is."""
        return bool(self.effective_limits)

    @property
    def least_bytes(self) -> int:
        """What it takes when V8 gives up, at least; what it takes now where the limit is not known."""
        return sum(self.effective_limits) + self.non_heap_least_bytes if self.known else self.rss_bytes

    @property
    def most_bytes(self) -> int:
        """What it can take at most."""
        young = SEMI_SPACES * self.semi_space_bytes * len(self.effective_limits)
        return sum(self.effective_limits) + young + self.non_heap_most_bytes if self.known else self.rss_bytes


@dataclass(frozen=True, slots=True)
class Household:
    """All that share one memory limit."""

    limit_bytes: int
    processes: int
    isolates: int
    largest_bytes: int
    """The highest effective limit of any isolate."""
    least_bytes: int
    most_bytes: int
    fixed_bytes: int
    """What is no heap of Node's: the processes' own, and whatever else is in there."""
    all_known: bool
    """Whether every Node process's heap limit is."""
    one_tenant: bool
    """Whether the limit is that of a container or a service, not of all containers of a machine."""


def household(
    limit_bytes: int, memory_bytes: int, members: Iterable[Footprint], *, one_tenant: bool = True
) -> Household:
    """Of a cgroup that uses ``memory_bytes``, with all Node processes in it."""
    inside = list(members)
    others = max(0, memory_bytes - sum(one.rss_bytes for one in inside))
    return Household(
        limit_bytes=limit_bytes,
        processes=len(inside),
        isolates=sum(max(1, len(one.effective_limits)) for one in inside),
        largest_bytes=max((limit for one in inside for limit in one.effective_limits), default=0),
        least_bytes=others + sum(one.least_bytes for one in inside),
        most_bytes=others + sum(one.most_bytes for one in inside),
        fixed_bytes=others + sum(one.non_heap_most_bytes for one in inside),
        all_known=all(one.known for one in inside),
        one_tenant=one_tenant,
    )


@dataclass(frozen=True, slots=True)
class Advice:
    """What to set, in MiB."""

    old_space: int
    semi_space: int | None
    """None: V8's own, or what is set already, is well."""

    @property
    def options(self) -> str:
        """As they stand in NODE_OPTIONS."""
        semi = "" if self.semi_space is None else f" --max-semi-space-size={self.semi_space}"
        return f"--max-old-space-size={self.old_space}{semi}"


def advise(home: Household, semi_space_bytes: int) -> Advice | None:
    """The same for each isolate in there; None where the container is too small for any.

    ``semi_space_bytes`` is the largest that each has, and keeps when the old space is given.
    """
    share = (home.limit_bytes * (1 - HEADROOM) - home.fixed_bytes) / home.isolates
    semi = semi_space_bytes
    if SEMI_SPACES * semi > share / 4:
        semi = _power_of_two_below(share / 8 / SEMI_SPACES)
    old = share - SEMI_SPACES * semi
    if old < LEAST_OLD_SPACE_BYTES:
        return None
    return Advice(_rounded_down(int(old // MIB)), None if semi == semi_space_bytes else semi // MIB)


def limit_for(size_bytes: int) -> int:
    """MiB of a container in which so much has its headroom."""
    return math.ceil(size_bytes / (1 - HEADROOM) / MIB)


def least_limit(home: Household) -> int:
    """MiB that a container needs for what is in there, with 64 MiB of heap for each isolate."""
    return limit_for(home.fixed_bytes + home.isolates * 2 * LEAST_OLD_SPACE_BYTES)


def _power_of_two_below(size: float) -> int:
    """In whole MiB, at least one."""
    mib = 1
    while mib * 2 * MIB <= size:
        mib *= 2
    return mib * MIB


def _rounded_down(mib: int) -> int:
    step = 4 if mib < 256 else 16  # noqa: PLR2004  a value that people can remember
    return mib // step * step
