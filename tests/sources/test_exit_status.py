"""How real processes ended, seen from beside them."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.conditions import eventually
from fakes.machine import node
from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.sources import exit_status
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.exit_status import PidfdExitStatuses

pytestmark = pytest.mark.anyio

KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
needs_exit_info = pytest.mark.skipif(KERNEL < (6, 15), reason="needs a kernel that tells exit statuses by pidfd (6.15)")

Started = tuple["subprocess.Popen[bytes]", Process]
Start = Callable[..., Started]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands that live until their stdin is closed or a signal comes; ends them at last."""
    with ExitStack() as stack:

        def started(*command: str) -> Started:
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            stack.enter_context(process)  # closes the pipes and waits
            stack.callback(process.kill)
            found = ProcfsDiscovery().identify(process.pid)
            assert found is not None
            return process, found

        yield started


def cat(start: Start) -> Started:
    """A process that does nothing."""
    return start("cat")


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@needs_exit_info
@pytest.mark.parametrize(
    ("script", "number", "status"),
    [
        pytest.param("process.exit(0)", None, ExitStatus(code=0), id="exit 0"),
        pytest.param("process.exit(3)", None, ExitStatus(code=3), id="exit 3"),
        pytest.param("process.abort()", None, ExitStatus(signal=signal.SIGABRT), id="abort"),
        pytest.param("null.x", None, ExitStatus(code=1), id="exception"),
        pytest.param("", signal.SIGKILL, ExitStatus(signal=signal.SIGKILL), id="SIGKILL"),
        pytest.param("", signal.SIGTERM, ExitStatus(signal=signal.SIGTERM), id="SIGTERM"),
    ],
)
async def test_the_end_and_the_status_of_a_node(
    start: Start, script: str, number: signal.Signals | None, status: ExitStatus
) -> None:
    """The end is told before anybody has waited for the process; the status is there once its parent has."""
    process, found = start(node(22), "-e", f"process.stdin.once('end', () => {{ {script} }}).resume()")
    ended: list[ProcessId] = []
    statuses = PidfdExitStatuses(ended.append)
    statuses.keep(found)
    assert statuses.status(found.id) is None, "it runs"
    assert process.stdin is not None
    if number is None:
        process.stdin.close()
    else:
        process.send_signal(number)
    await eventually(lambda: ended)
    process.wait()
    assert await eventually(lambda: statuses.status(found.id)) == status
    assert ended == [found.id]
    statuses.close()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to look into zombies, and to give it up")


@needs_root
@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param("read x; exit 0", ExitStatus(code=0), id="exit 0"),
        pytest.param("read x; exit 7", ExitStatus(code=7), id="exit 7"),
        pytest.param("read x; kill -9 $$", ExitStatus(signal=signal.SIGKILL), id="SIGKILL"),
    ],
)
async def test_a_zombie_has_its_status(
    start: Start, script: str, status: ExitStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the ioctl a status is known when the end was noticed before the parent reaped, and stays known."""
    monkeypatch.setattr(exit_status, "_reaped", lambda _descriptor: None)
    process, found = start("sh", "-c", script)
    ended: list[ProcessId] = []
    statuses = PidfdExitStatuses(ended.append)
    statuses.keep(found)
    assert process.stdin is not None
    process.stdin.close()
    await eventually(lambda: ended)
    process.wait()
    assert statuses.status(found.id) == status
    statuses.close()


LOOK = """
import asyncio, os, sys
from heapwarden.domain.identity import ProcessId
from heapwarden.sources.exit_status import PidfdExitStatuses
os.setgroups([]), os.setresgid(*[65534] * 3), os.setresuid(*[65534] * 3)
print(PidfdExitStatuses(lambda _: None)._zombie(ProcessId(int(sys.argv[1]), int(sys.argv[2]))))
"""


@needs_root
async def test_who_may_not_know_does_not_take_it_for_a_success(start: Start) -> None:
    """The kernel tells strangers 0, whatever the status is."""
    process, found = start("sh", "-c", "read x; exit 7")
    assert process.stdin is not None
    process.stdin.close()
    await eventually(lambda: b") Z " in Path(f"/proc/{process.pid}/stat").read_bytes())
    command = [sys.executable, "-c", LOOK, str(found.id.pid), str(found.id.start)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


async def test_what_the_parent_says_is_right(start: Start) -> None:
    """Told, it is known; of the oldest of many nothing is."""
    _, found = cat(start)
    statuses = PidfdExitStatuses(lambda _process: None)
    statuses.told(found.id, ExitStatus(code=7))
    assert statuses.status(found.id) == ExitStatus(code=7)
    for start_time in range(exit_status.MOST_TOLD):
        statuses.told(ProcessId(1, start_time), ExitStatus(code=0))
    assert statuses.status(found.id) is None


async def test_what_it_said_last_is_read_before_its_end_is_told(start: Start) -> None:
    """Both are there at once when the loop was busy: what came by its connection comes first, to the last byte."""
    process, found = start("sh", "-c", "read x; head -c 60000 /dev/zero")
    order: list[str] = []
    statuses = PidfdExitStatuses(lambda _process: order.append("ended"))
    statuses.keep(found)
    assert process.stdin is not None
    assert process.stdout is not None
    stdout = process.stdout.fileno()
    loop = asyncio.get_running_loop()

    def read() -> None:
        if os.read(stdout, 16_384):
            order.append("said")
        else:
            loop.remove_reader(stdout)

    process.stdin.close()
    process.wait()
    loop.add_reader(stdout, read)
    await eventually(lambda: "ended" in order and order.count("said") == 4)
    assert order == ["said"] * 4 + ["ended"]
    statuses.close()


async def test_a_pid_that_is_somebody_elses_now_is_not_held(start: Start) -> None:
    """Another start time is another process: neither its end nor its status is told."""
    process, found = cat(start)
    ended: list[ProcessId] = []
    statuses = PidfdExitStatuses(ended.append)
    before = descriptors()
    stranger = replace(found, id=ProcessId(found.id.pid, found.id.start + 1))
    hidden = replace(found, id=ProcessId(0, found.id.start, "pid:[1]/7@0"))
    for one in (stranger, hidden):
        statuses.keep(one)
    assert descriptors() == before
    statuses.keep(found)
    process.kill()
    process.wait()
    await eventually(lambda: ended)
    assert ended == [found.id]
    assert statuses.status(stranger.id) is None
    statuses.close()
    assert descriptors() == before


async def test_a_process_that_is_gone_already(start: Start) -> None:
    """No error; a zombie's end is told at once."""
    gone, found_gone = cat(start)
    gone.kill()
    gone.wait()
    zombie, found_zombie = cat(start)
    zombie.kill()
    await eventually(lambda: b") Z " in Path(f"/proc/{zombie.pid}/stat").read_bytes())
    ended: list[ProcessId] = []
    statuses = PidfdExitStatuses(ended.append)
    statuses.keep(found_gone)
    statuses.keep(found_zombie)
    await eventually(lambda: ended)
    assert ended == [found_zombie.id]
    statuses.close()


async def test_descriptors_are_bounded_and_given_back(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in eight is taken at most, that is said once, and those of the dead come back."""
    monkeypatch.setattr(exit_status, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (16, 16))
    before = descriptors()
    started = [cat(start) for _ in range(4)]
    pipes = descriptors() - before
    ended: list[ProcessId] = []
    statuses = PidfdExitStatuses(ended.append)
    for _, found in started:
        statuses.keep(found)
    assert descriptors() == before + pipes + 2
    for process, _ in started:
        process.kill()
    await eventually(lambda: len(ended) == 2 and descriptors() == before + pipes)
    statuses.close()


async def test_no_descriptor_is_no_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the agent has none left, the process is watched without."""
    _, found = cat(start)

    def none_left(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    statuses = PidfdExitStatuses(lambda _process: None)
    statuses.keep(found)
    assert statuses.status(found.id) is None
