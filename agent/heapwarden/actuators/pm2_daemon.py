"""Finds the PM2 that manages a process: its home, its user, and under which number it knows the process.

PM2 (7) gives this to what it starts: ``pm_id`` and ``exec_mode`` in the environment of a fork, or as JSON in
``pm2_env`` in that of a cluster worker; its daemon is the parent of both, and wrote its own pid to ``pm2.pid``.

All this is the word of processes that may belong to others, and an agent that is root runs their PM2's command. So it
runs as a user only where that is whose word it took: the daemon's ids are all alike, its environment is theirs (that of
a program with the setuid bit is root's, proc_pid_environ(5)), and with them it began to listen at ``rpc.sock``.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heapwarden.actuators import foreign
from heapwarden.actuators.credentials import Credentials
from heapwarden.actuators.kernel import Kernel
from heapwarden.domain.errors import ActuationError

MAX_BYTES = 1 << 20
"""Of an environment: a cluster worker's holds that of the daemon twice."""
MAX_ANCESTORS = 32
HANDED_ON = ("HOME", "PATH", "PM2_HOME", "LANG", "LD_LIBRARY_PATH")
"""All that PM2's command needs of the environment that its daemon was started in."""


@dataclass(frozen=True, slots=True)
class Managed:
    """A process as its PM2 knows it."""

    id: int
    cluster: bool
    """Whether PM2 starts the next before it ends this one."""
    home: str
    user: Credentials
    environment: Mapping[str, str]
    node: str
    """The executable that the daemon runs on."""
    daemon: int
    started: int | None
    """When the daemon did, clock ticks since boot."""


def managed(pid: int) -> Managed:
    """The PM2 above ``pid``. Blocks. Raises ActuationError where there is none, or none that can be reached."""
    app = pid
    for above in _ancestors(pid):
        home = _home(above)
        if home is not None:
            return _describe(app, above, home)
        app = above
    if _elsewhere(pid):
        raise ActuationError(
            f"pid {pid} lives in another container, whose PM2 can't be commanded from here; "
            "use `method: signal`: PM2 starts again what has ended"
        )
    raise ActuationError(
        f"pid {pid}: no PM2 daemon is above it that the agent may look into; run the agent as PM2's user or as root, "
        "or use `method: signal`: PM2 starts again what has ended"
    )


def check_unchanged(found: Managed) -> None:
    """Raises ActuationError when the daemon is no more what it was: asked for right before something is run as it."""
    try:
        same = (_user(found.daemon), _node(found.daemon), Kernel().start_of(found.daemon)) == (
            found.user,
            found.node,
            found.started,
        )
    except (OSError, ValueError, LookupError):
        same = False
    if not same:
        raise ActuationError(f"PM2's daemon, pid {found.daemon}, has become another process; nothing was done")


def _describe(app: int, daemon: int, home: str) -> Managed:
    started, node, user = Kernel().start_of(daemon), _node(daemon), _user(daemon)
    known = _as_pm2_says(app)
    _check_pid_file(app, known, user.uid)
    _check_answers(home, daemon, user)
    environment = _own_environment(daemon, user)
    return Managed(
        id=int(known["pm_id"]),
        cluster=known.get("exec_mode") == "cluster_mode",
        home=home,
        user=user,
        environment={name: environment[name] for name in HANDED_ON if name in environment} | {"PM2_HOME": home},
        node=node,
        daemon=daemon,
        started=started,
    )


def _ancestors(pid: int) -> Iterator[int]:
    """Pids above ``pid``, the parent first."""
    for _ in range(MAX_ANCESTORS):
        try:
            line = Path(f"/proc/{pid}/stat").read_bytes()
            pid = int(line.rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        if pid <= 0:
            return
        yield pid


def _home(pid: int) -> str | None:
    """PM2's home, if ``pid`` is its daemon; None also where that can't be known."""
    environment = _environment(pid)
    for home in (environment.get("PM2_HOME"), os.path.join(environment.get("HOME", ""), ".pm2")):  # noqa: PTH118  a text
        try:
            if home and home.startswith("/") and foreign.number_in(f"{home}/pm2.pid") == pid and not _elsewhere(pid):
                return home
        except (OSError, ValueError):
            continue
    return None


def _as_pm2_says(app: int) -> Mapping[str, Any]:
    """What PM2 gave to the process that it started: ``pm_id`` is a number in it. Raises ActuationError."""
    environment: Mapping[str, Any] = _environment(app)
    if "pm_id" not in environment:
        try:
            environment = json.loads(environment.get("pm2_env", "{}"))
        except ValueError:
            environment = {}
    if not isinstance(environment, dict) or not re.fullmatch("[0-9]{1,9}", str(environment.get("pm_id"))):
        raise ActuationError(f"pid {app} is a child of PM2's daemon, and does not say under which number")
    return environment


def _check_pid_file(app: int, known: Mapping[str, Any], uid: int) -> None:
    """Raises ActuationError when PM2, which is ``uid``, knows another process under this number."""
    path = known.get("pm_pid_path")
    try:
        written = foreign.number_in(path, uid) if isinstance(path, str) else app
    except (OSError, ValueError):
        return
    if written != app:
        raise ActuationError(f"PM2's app {known['pm_id']} is pid {written} by now, and not {app}; nothing was done")


def _check_answers(home: str, daemon: int, user: Credentials) -> None:
    """Raises ActuationError when another than the daemon takes connections, or none: PM2's command would start one."""
    try:
        found = foreign.listener(f"{home}/rpc.sock")
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "no answer"
        raise ActuationError(f"PM2's daemon can't be reached at {home}/rpc.sock: {why}; nothing was done") from error
    if found != foreign.Peer(daemon, user.uid, user.gid):
        raise ActuationError(
            f"{home}/rpc.sock is that of pid {found.pid} (uid {found.uid}, gid {found.gid}), and not of PM2's daemon, "
            f"pid {daemon} (uid {user.uid}, gid {user.gid}); nothing was done"
        )


def _user(pid: int) -> Credentials:
    """Its user and groups (proc_pid_status(5)). Raises ActuationError when it has those of more than one."""
    status = {
        line.partition(":")[0]: line.partition(":")[2].split() for line in _read(f"/proc/{pid}/status").splitlines()
    }
    if len(set(status["Uid"])) > 1 or len(set(status["Gid"])) > 1:
        raise ActuationError(
            f"PM2's daemon, pid {pid}, has the ids of more than one user (uid {' '.join(status['Uid'])}, "
            f"gid {' '.join(status['Gid'])}); nothing was done"
        )
    groups = tuple(int(group) for group in status.get("Groups", []))
    return Credentials(uid=int(status["Uid"][0]), gid=int(status["Gid"][0]), groups=groups)


def _node(pid: int) -> str:
    return str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")


def _own_environment(pid: int, user: Credentials) -> dict[str, str]:
    """With which ``user`` started ``pid``. Raises ActuationError where it may have been another."""
    with Path(f"/proc/{pid}/environ").open("rb") as file:  # what is read now is what was there at its opening
        owner = os.fstat(file.fileno())
        environment = _parsed(file.read(MAX_BYTES))
    if (owner.st_uid, owner.st_gid) != (user.uid, user.gid):
        raise ActuationError(
            f"PM2's daemon, pid {pid}, has changed its user, so that its environment may be another's; nothing was done"
        )
    return environment


def _environment(pid: int) -> dict[str, str]:
    """With which ``pid`` was started; empty where it may not be read."""
    try:
        with Path(f"/proc/{pid}/environ").open("rb") as file:
            return _parsed(file.read(MAX_BYTES))
    except OSError:
        return {}


def _parsed(environment: bytes) -> dict[str, str]:
    pairs = os.fsdecode(environment).split("\0")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _elsewhere(pid: int) -> bool:
    """Whether ``pid`` sees other files than the agent; False where that may not be known."""
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return False


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        return os.fsdecode(file.read(MAX_BYTES))
