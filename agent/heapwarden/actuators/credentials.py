"""Starts a program as another user, where the agent is root."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from heapwarden.domain.errors import ActuationError

_BECOME = """
import ctypes, json, os, sys
what = json.loads(sys.argv[1])
os.chdir("/")
if os.geteuid() != what["uid"]:
    os.setgroups(what["groups"])
    os.setresgid(*[what["gid"]] * 3)
    os.setresuid(*[what["uid"]] * 3)
if ctypes.CDLL(None).prctl(47, 4, 0, 0, 0) != 0:  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
    sys.exit("capabilities can't be dropped")
try:
    os.execve(what["command"][0], what["command"], what["environment"])
except OSError as error:
    sys.exit(f"{what['command'][0]}: {error.strerror}")
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose rights a process has."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def as_user(
    user: Credentials, command: Sequence[str], environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run ``command`` (its first word a path) as ``user``. Raises ActuationError.

    No ambient capability of the agent's comes with it (capabilities(7)), also where both are the same user.

    The other user's environment comes into force together with the other user, and not before: what is in it
    (``LD_PRELOAD``, for one) must not act with the agent's rights. It is seen in the process list for a moment.
    """
    if os.geteuid() == user.uid and not _hands_on_capabilities():
        return list(command), dict(environment)
    if os.geteuid() not in (0, user.uid):
        raise ActuationError(
            f"{command[0]} would have to run as uid {user.uid}, and the agent is uid {os.geteuid()}; "
            "run the agent as the same user, or as root"
        )
    what = {
        "uid": user.uid,
        "gid": user.gid,
        "groups": user.groups,
        "command": list(command),
        "environment": dict(environment),
    }
    return [sys.executable, "-I", "-S", "-c", _BECOME, json.dumps(what)], {}


def _hands_on_capabilities() -> bool:
    """Whether programs inherit some from the agent, as of a unit with ``AmbientCapabilities=`` (capabilities(7))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return any(int(line.split()[1], 16) for line in lines if line.startswith("CapAmb:"))
