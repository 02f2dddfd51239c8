"""Starts a program as another user, where the agent is root."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heapwarden.domain.errors import ActuationError

_BECOME = """
import json, os, sys
what = json.loads(sys.argv[1])
os.chdir("/")
os.setgroups(what["groups"])
os.setresgid(*[what["gid"]] * 3)
os.setresuid(*[what["uid"]] * 3)
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

    The other user's environment comes into force together with the other user, and not before: what is in it
    (``LD_PRELOAD``, for one) must not act with the agent's rights. It is seen in the process list for a moment.
    """
    if os.geteuid() == user.uid:
        return list(command), dict(environment)
    if os.geteuid() != 0:
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
