"""Where a process's memory cgroup lies in the file system.

``/proc/PID/cgroup`` names the cgroup, and a mount's root in ``mountinfo`` names the cgroup that the mount shows. The
kernel writes both relative to the cgroup namespace of whoever reads them (cgroup_namespaces(7)), so for one reader
they can be compared: a mount shows a cgroup when the mount's root is a beginning of the cgroup's path. Parts ``..``
stand for cgroups above the reader's own namespace, whose names it can't know; after the root none may be left over.

That rule is what keeps containers apart. A sidecar in a cgroup namespace of its own sees its own cgroup, and only that,
at ``/sys/fs/cgroup``: root ``/``. Its neighbour is in ``/../neighbour``, which is not below ``/``, so the sidecar's
limit is never taken for the neighbour's. The neighbour's own mount table says ``/../neighbour`` for its
``/sys/fs/cgroup``, which matches, and leads there through ``/proc/PID/root``.
"""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """The cgroup that accounts a process's memory."""

    version: int
    """1 or 2: the hierarchy that has the memory controller."""
    path: str
    """As in ``/proc/PID/cgroup``."""


@dataclass(frozen=True, slots=True)
class CgroupMount:
    """One line of ``mountinfo`` that shows cgroups with a memory controller, or may."""

    version: int
    root: tuple[str, ...]
    point: str
    device: str
    """major:minor of the file system."""


@dataclass(frozen=True, slots=True)
class Folders:
    """A cgroup's folder and those above it, as far up as they can be seen and below the root cgroup."""

    version: int
    upwards: tuple[str, ...]
    """Empty for the root cgroup, which is no container."""


def memory_cgroup(data: bytes) -> MemoryCgroup | None:
    """The memory cgroup in the text of ``/proc/PID/cgroup``; None when it names none.

    A controller is in one hierarchy only: where version 1 has ``memory`` (hybrid), version 2 has not.
    """
    unified = None
    for line in data.decode(errors="surrogateescape").split("\n"):
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        if "memory" in controllers.split(","):
            return MemoryCgroup(1, path)
        if number == "0" and not controllers:
            unified = MemoryCgroup(2, path)
    return unified


def cgroup_mounts(mountinfo: bytes) -> tuple[CgroupMount, ...]:
    """The mounts of the memory hierarchy, those that show most first (proc_pid_mountinfo(5))."""
    mounts = []
    for line in mountinfo.decode(errors="surrogateescape").split("\n"):
        mount, _, system = line.partition(" - ")
        fields, kind = mount.split(" "), system.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):  # noqa: PLR2004  fields of one line
            continue
        if kind[0] == "cgroup" and "memory" not in kind[2].split(","):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        mounts.append(CgroupMount(version, _parts(_plain(fields[3])), _plain(fields[4]), fields[2]))
    return tuple(sorted(mounts, key=lambda one: len(one.root)))


def below(cgroup: MemoryCgroup, mount: CgroupMount) -> tuple[str, ...] | None:
    """The folders from the mount down to the cgroup; None when the mount doesn't show it."""
    parts = _parts(cgroup.path)
    depth = len(mount.root)
    rest = parts[depth:]
    shown = cgroup.version == mount.version and parts[:depth] == mount.root and ".." not in rest
    return rest if shown else None


def find_folders(
    cgroup: MemoryCgroup, mounts: Iterable[CgroupMount], file_root: str, *, check_device: bool = False
) -> Folders | None:
    """Where the cgroup lies below ``file_root``; None when no mount leads there.

    ``check_device`` for a file system that a stranger arranged: he may have mounted something else on top.
    """
    for mount in mounts:
        rest = below(cgroup, mount)
        if rest is None:
            continue
        top = file_root + mount.point.rstrip("/")
        upwards = tuple("/".join((top, *rest[:depth])) for depth in range(len(rest), -1, -1))
        if _is_folder(upwards[0], mount.device if check_device else None):
            return Folders(cgroup.version, upwards[:-1] if _is_root(top, cgroup.version) else upwards)
    return None


def _is_folder(path: str, device: str | None) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116  a Path would add nothing here
    except (OSError, ValueError):  # ValueError: a zero byte, which no kernel writes
        return False
    here = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
    return stat.S_ISDIR(found.st_mode) and device in (None, here)


def _is_root(top: str, version: int) -> bool:
    """Whether this is the machine's root cgroup, rather than one that a container sees as its root.

    ``release_agent`` is in the root of a version 1 hierarchy alone (cgroups(7)), ``memory.current`` of version 2
    everywhere else (cgroup-v2.rst).
    """
    if version == 1:
        return os.path.exists(f"{top}/release_agent")  # noqa: PTH110  as above
    return not os.path.exists(f"{top}/memory.current")  # noqa: PTH110


def _plain(field: str) -> str:
    """Without the octal escapes that mountinfo uses for blanks."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)
