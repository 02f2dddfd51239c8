"""What is wrong with the way a process is set up, before its memory is: found by ``doctor`` and by the agent alike."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """The process will be killed, or can't be watched as it was meant to be."""
    WARNING = "warning"
    """Memory or time is wasted, or something is not known that could be."""


class ProblemCode(StrEnum):
    """Every problem that can be found. A label and part of the JSON: stable, and explained in ``docs/doctor.md``."""

    HEAP_LIMIT_ABOVE_CONTAINER = "heap_limit_above_container"
    HEAP_LIMIT_BELOW_CONTAINER = "heap_limit_below_container"
    HEAP_LIMIT_ABOVE_MACHINE = "heap_limit_above_machine"
    HEAP_OPTION_INEFFECTIVE = "heap_option_ineffective"
    HEAP_OPTION_CONTRADICTED = "heap_option_contradicted"
    SEMI_SPACE_SMALL = "semi_space_small"
    SWAP_IN_USE = "swap_in_use"
    REPORTER_ABSENT = "reporter_absent"
    REPORTER_SILENT = "reporter_silent"
    REPORTER_OLD = "reporter_old"
    PROCESS_HIDDEN = "process_hidden"
    ENVIRON_UNREADABLE = "environ_unreadable"
    CONTAINER_UNREADABLE = "container_unreadable"
    SIGNAL_NOT_PERMITTED = "signal_not_permitted"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding."""

    code: ProblemCode
    severity: Severity
    text: str
    """What is wrong, with the figures that say so."""
    remedy: str
    """The next step."""


class Origin(StrEnum):
    """Where an option stands."""

    COMMAND_LINE = "command line"
    NODE_OPTIONS = "NODE_OPTIONS"
    SCRIPT_ARGUMENTS = "script arguments"
    """After the script's name: Node hands it to the script and does nothing with it."""


@dataclass(frozen=True, slots=True)
class HeapFlag:
    """An option that sizes V8's heap, as it was given."""

    option: str
    """With dashes, whatever it was written with: ``--max-old-space-size``."""
    value: str
    """Cut to 32 characters."""
    origin: Origin

    @property
    def number(self) -> int:
        """Its value; 0 where that is none, which V8 takes for no option at all."""
        return int(self.value) if self.value.isascii() and self.value.isdigit() else 0


class SocketTrouble(StrEnum):
    """Why a reporter can't reach its socket."""

    MISSING = "is not there"
    NO_SOCKET = "is no socket"
    FORBIDDEN = "may not be written"


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process was started and what may be read of it: looked at once, for nothing in it changes."""

    uid: int | None = None
    gid: int | None = None
    node_options: str | None = None
    """None where the environment can't be read; empty where it has none."""
    socket: str | None = None
    """HEAPWARDEN_SOCKET in its environment."""
    socket_trouble: SocketTrouble | None = None
    """None: none that can be seen."""
    cgroup_hidden: bool = False
    """Whether it is in a memory cgroup to which no way leads: not by own mounts, nor through its file system."""
    may_signal: bool = True
    swappiness: int | None = None
    """Of its cgroup (version 1), else of the machine."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a look at one process has found."""

    problems: tuple[Problem, ...] = ()
    flags: tuple[HeapFlag, ...] | None = None
    """Options that size the heap, in the order in which V8 takes them; None before the first look."""
    options: tuple[str, ...] | None = None
    """Names of all options in NODE_OPTIONS, without their values; None where they can't be read."""
    heap_known: bool = False
    """Whether V8's own figures were there to be looked at."""
    limit_from: str | None = None
    """What sets the heap limit: ``--max-old-space-size=512 (NODE_OPTIONS)``, ``V8's default``; None: not known."""


NOT_LOOKED_AT = Checkup()
