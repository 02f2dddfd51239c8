"""Whose rights PM2's command is run with, where what looks like a PM2 daemon is up to something."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fakes.children import Child, child
from fakes.conditions import wait_for
from fakes.judged import AS_ROOT, NOBODY, ended, restart_of
from fakes.machine import ROOT
from heapwarden.actuators.credentials import Credentials, as_user
from heapwarden.actuators.pm2 import Pm2Actuator
from heapwarden.actuators.pm2_daemon import check_unchanged, managed
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method

pytestmark = pytest.mark.anyio
needs_root = pytest.mark.skipif(not AS_ROOT, reason="becoming another user takes root")

CAP_KILL = 1 << 5
SETPRIV = shutil.which("setpriv") or ""
DAEMON = """
import os, socket, sys
home, before, after = sys.argv[1:]
exec(before)
listening = socket.socket(socket.AF_UNIX)
listening.bind(f"{home}/rpc.sock")
listening.listen()
app = os.fork()
if app == 0:
    os.execve("/bin/sleep", ["sleep", "300"], {"pm_id": "7"})
with open(f"{home}/pm2.pid", "w") as file:
    file.write(str(os.getpid()))
exec(after)
print(app, flush=True)
exec(input())
"""
LISTEN_AS_NOBODY = f"os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, 0); os.setresuid({NOBODY}, {NOBODY}, 0)"


@contextmanager
def daemon(before: str = "", after: str = "") -> Iterator[tuple[Child, int, Path]]:
    """What looks like a PM2 daemon, its app, and its home; ``before`` and ``after`` it listens it does this."""
    home = Path(tempfile.mkdtemp(prefix="pm2-"))
    command = home / "bin" / "pm2"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n/usr/bin/id > {home}/ran\n")
    command.chmod(0o755)
    if AS_ROOT:
        os.chown(home, NOBODY, NOBODY)
    environment = {"PM2_HOME": str(home), "PATH": f"{home}/bin"}
    app = 0
    try:
        with child([sys.executable, "-I", "-S", "-c", DAEMON, str(home), before, after], env=environment) as started:
            app = int(started.hear())
            # The kernel gives a program its name before its environment.
            wait_for(lambda: psutil.Process(app).environ().get("pm_id"))
            yield started, app, home
    finally:
        if app:
            os.kill(app, signal.SIGKILL)
        shutil.rmtree(home)


async def refused(app: int, home: Path, why: str) -> None:
    """The restart is, and nothing was run."""
    with pytest.raises(ActuationError, match=why):
        await Pm2Actuator(soon_seconds=60.0).terminate(restart_of(app, method=Method.PM2))
    assert not (home / "ran").exists()


async def test_a_daemon_of_ones_own_is_believed() -> None:
    """Else the tests below would prove nothing."""
    with daemon() as (started, app, home):
        assert managed(app).user.uid == os.geteuid()
        assert managed(app).daemon == started.pid
        await Pm2Actuator(soon_seconds=60.0).terminate(restart_of(app, method=Method.PM2))
        assert (home / "ran").read_text().startswith(f"uid={os.geteuid()}")


@needs_root
@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        pytest.param(
            LISTEN_AS_NOBODY,
            f"os.setresuid({NOBODY}, 0, 0)",
            f"has the ids of more than one user .uid {NOBODY} 0 0 0,",
            id="half of it is root",
        ),
        pytest.param(
            "", f"os.setresgid(0, {NOBODY}, 0)", f"ids of more than one user .*gid 0 {NOBODY} 0 {NOBODY}", id="groups"
        ),
        pytest.param(
            LISTEN_AS_NOBODY,
            "os.setresuid(0, 0, 0); os.setresgid(0, 0, 0)",
            rf"rpc.sock is that of pid \d+ .uid {NOBODY}, gid {NOBODY}., and not of PM2's daemon, pid \d+ .uid 0",
            id="root by now",
        ),
        pytest.param(
            f"os.setresgid(*[{NOBODY}] * 3); os.setresuid(*[{NOBODY}] * 3)",
            "",
            "has changed its user, so that its environment may be another's",
            id="root before",
        ),
    ],
)
async def test_nobody_becomes_another_by_looking_like_pm2(before: str, after: str, why: str) -> None:
    """An agent that is root takes home, PATH and command from the daemon: all must be the word of whom it becomes."""
    with daemon(before, after) as (_, app, home):
        await refused(app, home, why)


@needs_root
async def test_a_program_with_the_setuid_bit_is_no_daemon() -> None:
    """It has root's rights, and the environment of whoever started it."""
    with daemon(LISTEN_AS_NOBODY) as (started, app, home):
        raised = home / "bin" / "sleep"
        shutil.copy("/bin/sleep", raised)
        raised.chmod(0o4755)
        assert started.process.stdin is not None
        started.process.stdin.write(f"os.setresuid(*[{NOBODY}] * 3); os.execv('{raised}', ['sleep', '300'])\n")
        started.process.stdin.flush()
        wait_for(lambda: psutil.Process(started.pid).cmdline()[:1] == ["sleep"])
        if psutil.Process(started.pid).uids().effective != 0:
            pytest.skip("the bit counts for nothing on this file system")
        await refused(app, home, "ids of more than one user")


async def test_another_process_that_listens_is_no_daemon() -> None:
    """PM2's command would talk to it."""
    handed_on = "\nif os.fork():\n    os.wait()\nelse:\n    listening.listen(5)\n    os._exit(0)"
    with daemon(after=handed_on) as (started, app, home):
        await refused(app, home, rf"rpc.sock is that of pid \d+ .*, and not of PM2's daemon, pid {started.pid} ")


async def test_a_daemon_that_has_become_another_program_is_not_obeyed() -> None:
    """Between the look and the run: pid and start time stay what they were."""
    with daemon() as (started, app, _):
        found = managed(app)
        check_unchanged(found)
        assert started.process.stdin is not None
        started.process.stdin.write("os.execv('/bin/sleep', ['sleep', '300'])\n")
        started.process.stdin.flush()
        wait_for(lambda: psutil.Process(started.pid).cmdline()[:1] == ["sleep"])
        with pytest.raises(ActuationError, match=rf"pid {started.pid}, has become another process; nothing was done"):
            check_unchanged(found)


async def test_a_daemon_that_has_ended_is_not_obeyed() -> None:
    """Its pid may be anybody's by now."""
    with daemon() as (started, app, _):
        found = managed(app)
        os.kill(started.pid, signal.SIGKILL)
        wait_for(lambda: ended(started.pid))
        with pytest.raises(ActuationError, match="has become another process"):
            check_unchanged(found)


@needs_root
def test_none_of_the_agents_groups_come_along() -> None:
    """Those of the daemon do."""
    command, environment = as_user(Credentials(NOBODY, NOBODY, (4_711,)), ["/usr/bin/id"], {})
    done = subprocess.run(
        command, env=environment, extra_groups=[0, 10], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split()[2].partition("groups=")[2].replace("(nogroup)", "") == f"{NOBODY},4711"


@needs_root
@pytest.mark.skipif(not SETPRIV, reason="there is no setpriv here")
def test_no_capability_comes_along_to_the_same_user() -> None:
    """An agent with ambient ones would hand them to whatever the daemon's PATH holds."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'agent')!r})\n"
        "import os, subprocess\n"
        "from heapwarden.actuators.credentials import Credentials, as_user\n"
        "user = Credentials(os.geteuid(), os.getegid())\n"
        "subprocess.run(['/bin/cat', '/proc/self/status'], check=True)\n"
        "command, environment = as_user(user, ['/bin/cat', '/proc/self/status'], {})\n"
        "subprocess.run(command, env=environment, check=True)\n"
    )
    as_if_not_root = ["--securebits=+noroot", "--inh-caps=+kill", "--ambient-caps=+kill"]
    done = subprocess.run(
        [SETPRIV, *as_if_not_root, sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    effective = [int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith("CapEff:")]
    assert effective == [CAP_KILL, 0]
