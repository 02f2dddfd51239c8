"""Signals to real processes: the judged one, and never another."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.judged import AS_ROOT, NOBODY, ended, identity, restart_of
from fakes.machine import ROOT
from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.signals import SignalActuator, send
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.identity import ProcessId

pytestmark = pytest.mark.anyio


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that a signal ends."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


@pytest.fixture
def stubborn() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ignores SIGTERM."""
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 300"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process
        process.kill()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR2"])
async def test_the_planned_signal_arrives(sleeper: "subprocess.Popen[bytes]", name: str) -> None:
    """Once, and as the plan names it."""
    await SignalActuator().terminate(restart_of(sleeper.pid, signal=name))
    assert sleeper.wait(30) == -signal.Signals[name]


async def test_kill_ends_what_ignores_the_signal(stubborn: "subprocess.Popen[bytes]") -> None:
    """SIGKILL, whatever the plan's signal is."""
    actuator, restart = SignalActuator(), restart_of(stubborn.pid)
    await actuator.terminate(restart)
    assert not ended(stubborn.pid)
    await actuator.kill(restart)
    assert stubborn.wait(30) == -signal.SIGKILL


async def refused(process: ProcessId | int, match: str, boot: str | None = None) -> None:
    """Both ways of ending it are."""
    for way in (SignalActuator().terminate, SignalActuator().kill):
        with pytest.raises(ActuationError, match=match):
            await way(restart_of(process, boot=boot))


async def test_a_reused_pid_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    """The same pid with another start time is another process."""
    judged = identity(sleeper.pid)
    await refused(replace(judged, start=judged.start - 1), "another process by now")
    assert sleeper.poll() is None


async def test_nothing_is_sent_after_another_boot(sleeper: "subprocess.Popen[bytes]") -> None:
    """Pids and start times begin anew with a boot, and may be the same by chance."""
    await refused(sleeper.pid, "booted since", boot="00000000-0000-0000-0000-000000000000")
    assert sleeper.poll() is None


async def test_what_has_ended_is_said_to_have_ended() -> None:
    """As a zombie, and after it was reaped."""
    with subprocess.Popen(["true"]) as process:  # noqa: ASYNC220  it returns at once
        judged = identity(process.pid)
        await eventually(lambda: ended(process.pid), 30)
        await refused(judged, "has ended already; nothing was done")
        process.wait(30)
        await refused(judged, "has ended already; nothing was done")


@pytest.mark.parametrize(
    ("process", "match"),
    [
        pytest.param(ProcessId(0, 7, "pid:[4026532000]"), "method: reporter", id="in another namespace"),
        pytest.param(ProcessId(0, 7), "pid 0 is not to be signalled", id="a process group"),
        pytest.param(ProcessId(-5, 7), "pid -5 is not to be signalled", id="another group"),
        pytest.param(1, "pid 1 is not to be signalled", id="init"),
        pytest.param(os.getpid(), "the agent itself", id="the agent"),
        pytest.param(os.getppid(), "the agent itself or its parent", id="its parent"),
    ],
)
async def test_some_are_never_signalled(process: ProcessId | int, match: str) -> None:
    """Groups, init, the agent itself, and what can't be seen."""
    await refused(process, match)


async def test_a_signal_that_does_not_exist_is_refused(sleeper: "subprocess.Popen[bytes]") -> None:
    """With an example of one that does."""
    with pytest.raises(ActuationError, match=r"SIGNOPE is no signal here.*SIGTERM"):
        await SignalActuator().terminate(restart_of(sleeper.pid, signal="SIGNOPE"))


@pytest.mark.skipif(not AS_ROOT, reason="becoming another user takes root")
def test_another_users_process_needs_the_capability(sleeper: "subprocess.Popen[bytes]") -> None:
    """The error names the two ways out."""
    restart = restart_of(sleeper.pid)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # a test process of another user: no exec, for it might not reach the interpreter
        text = "sent"
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            send(Kernel(), restart, signal.SIGTERM)
        except ActuationError as error:
            text = str(error)
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    assert text == (
        f"pid {sleeper.pid}: not permitted to send SIGTERM; run the agent as the same user, or give it CAP_KILL"
    )
    assert sleeper.poll() is None


SKEWED = """
import asyncio, subprocess, sys
sys.path[:0] = sys.argv[1:]
from fakes.judged import identity, restart_of
from heapwarden.actuators.signals import SignalActuator
child = subprocess.Popen(["sleep", "300"])
try:
    asyncio.run(SignalActuator().kill(restart_of(identity(child.pid))))
except Exception as error:
    print(error)
print(child.poll())
child.kill()
child.wait()
"""


@pytest.mark.skipif(not AS_ROOT or not Path("/proc/2").exists(), reason="another PID namespace takes root")
def test_the_proc_of_another_namespace_is_noticed() -> None:
    """There the number of the judged process is another's: here that of the test's own child."""
    done = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", SKEWED, ROOT / "tests", ROOT / "agent"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said, exit_code = done.stdout.splitlines()
    assert said.startswith("pid 2: /proc belongs to another PID namespace than the agent; nothing was sent")
    assert exit_code == "None"


class Broken(Kernel):
    """The real kernel with one fault."""

    def __init__(self, **answers: object) -> None:
        """``answers``: by the call's name, what it returns, or raises."""
        self._answers = answers

    def _or(self, name: str, real: object) -> object:
        answer = self._answers.get(name, real)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def open(self, pid: int) -> int:
        """See Kernel."""
        self._or("open", None)
        return super().open(pid)

    def start_of(self, pid: int) -> int | None:
        """See Kernel."""
        return self._or("start_of", super().start_of(pid))  # type: ignore[return-value]

    def pid_behind(self, pidfd: int) -> int:
        """See Kernel."""
        return self._or("pid_behind", super().pid_behind(pidfd))  # type: ignore[return-value]

    def boot(self) -> str:
        """See Kernel."""
        return str(self._or("boot", super().boot()))


@pytest.mark.parametrize(
    ("faults", "match"),
    [
        pytest.param({"open": OSError(38, "Function not implemented")}, r"Linux 5\.3", id="no pidfds here"),
        pytest.param({"open": OSError(24, "Too many open files")}, "no pidfd: Too many", id="out of descriptors"),
        pytest.param({"start_of": OSError(24, "Too many open files")}, "does not say whose", id="stat unreadable"),
        pytest.param({"start_of": ValueError("no number")}, "does not say whose", id="stat garbled"),
        pytest.param({"pid_behind": 0}, "another PID namespace", id="not in this /proc"),
        pytest.param({"pid_behind": 4242}, "another PID namespace", id="another number in this /proc"),
        pytest.param({"pid_behind": -1}, "has ended already", id="reaped in between"),
        pytest.param({"boot": OSError(13, "Permission denied")}, "boot's id can't be read", id="boot unknown"),
    ],
)
async def test_in_doubt_nothing_is_sent(
    sleeper: "subprocess.Popen[bytes]", faults: dict[str, object], match: str
) -> None:
    """And the error says what is in doubt; no descriptor is left behind."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208  a list of names is all that is needed
    with pytest.raises(ActuationError, match=match):
        await SignalActuator(Broken(**faults)).terminate(restart_of(sleeper.pid))
    assert sleeper.poll() is None
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208
