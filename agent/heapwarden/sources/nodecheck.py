"""Whether a pid runs Node, asked of the kernel rather than of the process."""

import os
from enum import Enum, auto
from posixpath import basename

from heapwarden.domain.naming import is_node_name, names_node
from heapwarden.sources.procfile import list_folder, raise_own_trouble, read_file, read_stat

MAX_COMMAND_BYTES = 4_096
MAX_ARGUMENTS = 64
MAX_THREADS_LOOKED_AT = 16

PF_FORKNOEXEC = 0x40
"""Forked and not yet exec'd (linux/sched.h): until then a child is its parent's image, be the parent Node or not."""

_MAIN_THREADS = frozenset({"node-MainThread"})  # Node 26; 18 to 22 are called node, 24 just MainThread
_HELPER_THREADS = frozenset({"node", "node-V8Worker", "DelayedTaskSche", "SignalInspector"})
"""Node 18 to 26 have at least one of these besides the main thread, whatever ``process.title`` has made of that one."""


def read_argv(root: str, pid: int) -> tuple[str, ...]:
    """The command line, cut to 4 KiB and 64 arguments; empty when there is none."""
    data = read_file(f"{root}/{pid}/cmdline", MAX_COMMAND_BYTES) or b""
    arguments = data.rstrip(b"\0").split(b"\0", MAX_ARGUMENTS)[:MAX_ARGUMENTS]
    return tuple(argument.decode(errors="replace") for argument in arguments) if data.strip(b"\0") else ()


def read_comm(root: str, pid: int) -> str:
    """The name of the main thread; empty when the process is gone."""
    return (read_file(f"{root}/{pid}/comm") or b"").removesuffix(b"\n").decode(errors="replace")


class Look(Enum):
    """What a pid runs, as far as one look tells."""

    NODE = auto()
    OTHER = auto()
    FORKED = auto()
    """It will call exec at any moment, and show until then what its parent runs."""
    HIDDEN_OTHER = auto()
    """Its executable may not be read, and nothing else speaks of Node. Exec always sets a new ``comm``."""


def look_at(root: str, pid: int) -> Look:
    """What ``pid`` runs now.

    The link ``exe`` decides, which no ``process.title`` changes. It may be read only as the same user or with
    CAP_SYS_PTRACE (ptrace(2)); without, the command line decides, then the names of the threads.
    """
    try:
        executable = os.readlink(f"{root}/{pid}/exe")  # noqa: PTH115  a Path costs more than the call
    except PermissionError:
        if not _looks_like_node(root, pid):
            return Look.HIDDEN_OTHER
    except OSError as error:
        raise_own_trouble(error)
        return Look.OTHER  # gone, a zombie, or a thread of the kernel
    else:
        if not is_node_name(basename(executable.removesuffix(" (deleted)"))):
            return Look.OTHER
    stat = read_stat(root, pid)
    return Look.FORKED if stat is None or stat.flags & PF_FORKNOEXEC else Look.NODE


def _looks_like_node(root: str, pid: int) -> bool:
    if names_node(read_argv(root, pid)):
        return True
    comm = read_comm(root, pid)
    return is_node_name(comm) or comm in _MAIN_THREADS or _has_nodes_threads(root, pid)


def _has_nodes_threads(root: str, pid: int) -> bool:
    tasks = f"{root}/{pid}/task"
    others = [int(thread) for thread in list_folder(tasks) if thread.isdigit() and thread != str(pid)]
    return any(read_comm(tasks, thread) in _HELPER_THREADS for thread in others[:MAX_THREADS_LOOKED_AT])
