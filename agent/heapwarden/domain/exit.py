"""Ends of processes, and the names that they are given."""

from dataclasses import dataclass
from enum import StrEnum


class ExitReason(StrEnum):
    """Why a process ended: the label ``reason`` of ``heapwarden_exits_total``."""

    MEMORY_RESTART = "memory_restart"
    """Heapwarden ended it for its memory."""
    HEAP_OOM = "heap_oom"
    """V8 aborted at its heap limit."""
    CGROUP_OOM = "cgroup_oom"
    """The kernel killed it at the container's limit."""
    CRASH = "crash"
    """An exit code other than 0, or a signal that nobody sent to stop it."""
    CLEAN = "clean"
    """Exit code 0, or stopped by SIGTERM, SIGINT or SIGHUP."""
    UNKNOWN = "unknown"

    @property
    def out_of_memory(self) -> bool:
        """Whether this is what Heapwarden is there to prevent."""
        return self in (ExitReason.HEAP_OOM, ExitReason.CGROUP_OOM)


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How the kernel says that a process ended; of ``code`` and ``signal`` one is None."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Termination:
    """How the kubelet says that a whole container ended. Its first process may be a shell or npm in front of Node."""

    reason: str
    """``OOMKilled``, ``Error`` or ``Completed``, as a rule."""
    code: int
    """128 and the signal's number where a signal ended it."""


@dataclass(frozen=True, slots=True)
class ExitName:
    """The name of one end."""

    reason: ExitReason
    evidence: tuple[str, ...]
    """What led to it, strongest first, for people."""
