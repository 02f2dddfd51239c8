"""Who a process is, and what it is called."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class ProcessId:
    """One process: never a bare pid, because the kernel hands a pid out again.

    ``start`` is the start time in clock ticks since boot (field 22 of ``/proc/PID/stat``, proc(5)). ``pid`` is 0 and
    ``namespace`` is set when the process lives in a PID namespace that the agent can't see into: SO_PEERCRED reads 0
    there, and the identity is what the process says of itself within its own namespace.
    """

    pid: int
    start: int
    namespace: str = ""

    @property
    def visible(self) -> bool:
        """Whether the agent can see this process under ``/proc``."""
        return not self.namespace


class Role(StrEnum):
    """What part a Node process plays."""

    APP = "app"
    WRAPPER = "wrapper"
    """npm, npx, yarn, pnpm or corepack standing in front of the app: shown, never judged."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A process above a watched one, as it stood when the watched one was first seen."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Process:
    """A Node process as it was found; nothing in it changes while the process lives."""

    id: ProcessId
    argv: tuple[str, ...]
    started_at: float
    """Unix time of its start, seconds."""
    script: str
    """Its script's name without directory and ending; ``[eval]``, ``[repl]`` or ``node`` where it runs none."""
    role: Role = Role.APP
    uid: int | None = None
    ancestors: tuple[Ancestor, ...] = ()
    """From the parent upwards."""

    @property
    def command(self) -> str:
        """The command line, joined by single spaces."""
        return " ".join(self.argv)


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """The two labels under which a process is published.

    ``worker`` is the smallest slot that was free within ``process``, so that a restart goes on with the same series.
    """

    process: str
    worker: str
