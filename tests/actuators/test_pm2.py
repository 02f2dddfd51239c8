"""Restarts through a real PM2 7."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from fakes.conditions import wait_for
from fakes.judged import AS_ROOT, NOBODY, ended, identity, restart_of
from fakes.machine import APPS, node, program
from fakes.pm2 import Pm2, pm2
from heapwarden.actuators.credentials import Credentials, as_user
from heapwarden.actuators.pm2 import Pm2Actuator
from heapwarden.actuators.pm2_daemon import managed
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method

pytestmark = pytest.mark.anyio

LONG = 60.0
APP = APPS / "served.cjs"


async def restart(pid: int, **plan: object) -> None:
    """By PM2; its command is waited for to the end."""
    await Pm2Actuator(soon_seconds=LONG).terminate(restart_of(pid, method=Method.PM2, **plan))


def environment(pid: int) -> dict[str, str]:
    """What a process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def gone(pid: int) -> None:
    """Wait for its end."""
    wait_for(lambda: ended(pid), LONG)


async def test_a_fork_is_restarted() -> None:
    """By its number, with the environment that it had, and nothing of the agent's."""
    with pm2([APP, "--name", "solo"]) as manager:
        old = manager.pid()
        await restart(old)
        new = manager.pid(other_than=old)
        gone(old)
        [app] = manager.apps()
        assert (app["pid"], app["pm2_env"]["restart_time"]) == (new, 1)
        assert environment(new)["KEPT"] == "from the start"
        assert not [name for name in environment(new) if name.startswith("HEAPWARDEN")]


async def test_a_cluster_worker_is_reloaded() -> None:
    """The next one is there before it ends, and its siblings are left alone."""
    with pm2([APP, "-i", "2", "--name", "crew"]) as manager:
        old, sibling = manager.pid(0), manager.pid(1)
        assert managed(old).cluster
        await restart(old)
        new = manager.pid(0, other_than=old)
        gone(old)
        assert manager.pid(1) == sibling
        assert {app["pid"] for app in manager.apps()} == {new, sibling}
        log = (manager.home / "pm2.log").read_text()
        assert log.rindex("App [crew:0] online") < log.index("App [crew:_old_0] exited")


async def test_a_process_below_the_app_restarts_the_app(tmp_path: Path) -> None:
    """As where npm stands between PM2 and the server."""
    below = tmp_path / "child"
    with pm2([APP, "--name", "outer", "--", below]) as manager:
        old = manager.pid()
        wait_for(lambda: below.exists() and below.read_text().endswith("\n"), LONG)
        child = int(below.read_text())
        assert managed(child) == managed(old)
        await restart(child)
        manager.pid(other_than=old)
        gone(old)
        gone(child)


async def test_only_what_pm2_manages_is_restarted() -> None:
    """Others are refused, also where they have inherited PM2's variables; and so is what has ended."""
    with pm2([APP, "--name", "solo"]) as manager:
        app = manager.pid()
        with program([node(22), APP], {**environment(app), "NODE_CHANNEL_FD": ""}) as stranger:
            with pytest.raises(ActuationError, match=r"no PM2 daemon is above it.*`method: signal`"):
                await restart(stranger.pid)
            judged = identity(stranger.pid)
        with pytest.raises(ActuationError, match="has ended already"):
            await Pm2Actuator().terminate(restart_of(judged))
        (manager.home / "pids" / "solo-0.pid").write_text(str(os.getpid()))
        with pytest.raises(ActuationError, match=f"PM2's app 0 is pid {os.getpid()} by now, and not {app}"):
            await restart(app)
        assert not ended(app)


async def test_what_pm2_refuses_is_said() -> None:
    """In its own words, without its colours."""
    with pm2([APP, "-i", "1", "--name", "crew"]) as manager:
        app = manager.pid()
        (manager.home / "reload.lock").write_text(str(int(time.time() * 1_000)))
        with pytest.raises(ActuationError, match=r"^pm2 reload 0: exit code 1: \[PM2\]\[ERROR\] Reload already"):
            await restart(app)
        assert not ended(app)


async def test_no_daemon_is_ever_started() -> None:
    """PM2's command would start one where there is none: it would know nothing of the app, and stay."""
    with pm2([APP, "--name", "solo"]) as manager:
        daemon, app = manager.daemon, manager.pid()
        wait_for(lambda: psutil.Process(app).net_connections("tcp"), LONG)  # while it loads, it would follow the daemon
        (manager.home / "rpc.sock").unlink()
        with pytest.raises(ActuationError, match=r"can't be reached at .*/rpc\.sock: No such file"):
            await restart(app)
        os.kill(daemon, signal.SIGKILL)
        gone(daemon)
        try:
            with pytest.raises(ActuationError, match="no PM2 daemon is above it"):
                await restart(app)
            assert manager.daemon == daemon
            assert not ended(app)
        finally:
            os.kill(app, signal.SIGKILL)
            gone(app)
        assert not _daemons(manager)


def _daemons(manager: Pm2) -> list[int]:
    """Processes that were started with its home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PM2_HOME") == str(manager.home):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _reachable_by_others(path: Path) -> bool:
    command = ["test", "-r", str(path)]
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], check=False).returncode == 0


@pytest.mark.skipif(not AS_ROOT, reason="becoming another user takes root")
@pytest.mark.skipif(AS_ROOT and not _reachable_by_others(APP), reason="another user can't read the checkout")
async def test_another_users_pm2_is_asked_as_that_user() -> None:
    """Files of root's would lock its owner out."""
    with pm2([APP, "--name", "solo"], uid=NOBODY) as manager:
        old = manager.pid()
        assert managed(old).user == Credentials(NOBODY, NOBODY)
        await restart(old)
        new = manager.pid(other_than=old)
        assert psutil.Process(new).uids().effective == NOBODY
        owners = {path.lstat().st_uid for path in manager.home.rglob("*")}
        assert owners == {NOBODY}


async def test_another_user_can_not_be_become_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error says what would help."""
    monkeypatch.setattr("os.geteuid", lambda: 1_234)
    with pytest.raises(
        ActuationError, match=r"/pm2 would have to run as uid 5, and the agent is uid 1234; run the agent"
    ):
        as_user(Credentials(5, 5), ["/pm2", "restart", "0"], {})


async def test_a_missing_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """PM2 may be installed where nobody's PATH has it."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with (
        pm2([APP, "--name", "solo"]) as manager,
        pytest.raises(ActuationError, match="put it into the agent's PATH"),
    ):
        await restart(manager.pid())


async def test_it_does_not_kill() -> None:
    """PM2 does, after its own `kill_timeout`."""
    with pytest.raises(ActuationError, match="PM2 kills by itself"):
        await Pm2Actuator().kill(restart_of(os.getpid()))
