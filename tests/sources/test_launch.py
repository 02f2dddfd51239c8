"""How processes were started, of real ones and of planted trees."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.children import child
from fakes.conditions import wait_for
from fakes.planting import plant_text, stat_line
from heapwarden.domain.checkup import Launch, SocketTrouble
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.sources import launch as launch_module
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.launch import ProcLaunches
from heapwarden.sources.socket_place import trouble

NOBODY = 65_534
WAIT = (sys.executable, "-c", "print('up', flush=True); input()")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


def process(pid: int, start: int = 5_000, *, namespace: str = "", age: float = 60.0) -> Process:
    """A process of which only identity and age matter."""
    return Process(ProcessId(pid, start, namespace), ("node", "a.js"), time.time() - age, "a")


def real(pid: int) -> Process:
    """The process that runs under this pid."""
    found = ProcfsDiscovery().identify(pid)
    assert found is not None
    return found


def planted(
    root: Path, environ: str = "A=b\0NODE_OPTIONS=--require x\0NODE_OPTIONS=later\0", cgroup: str = "/app"
) -> Path:
    """A ``/proc`` with one process."""
    text = (
        f"=== 100/stat\n{stat_line(100, 5_000)}=== 100/status\nName:\tnode\nUid:\t1000\t1000\t1000\t1000\n"
        f"Gid:\t1001\t1001\t1001\t1001\n=== 100/cgroup\n4:memory:{cgroup}\n=== sys/vm/swappiness\n60\n"
    )
    plant_text(text, root)
    (root / "100/environ").write_text(environ)
    (root / "100/root").symlink_to("/")
    return root


def test_a_planted_process(tmp_path: Path) -> None:
    """The first of two variables of one name counts, as for getenv(3)."""
    launch = ProcLaunches(planted(tmp_path)).read(process(100))
    assert launch is not None
    assert replace(launch, may_signal=True) == Launch(1000, 1001, "--require x", swappiness=60)


def test_the_swappiness_of_its_own_cgroup_comes_first(tmp_path: Path) -> None:
    """Version 1 has one; without, it is the machine's."""
    plant_text("=== own/memory.swappiness\n0\n", tmp_path)
    launches = ProcLaunches(planted(tmp_path))
    for cgroup, expected in ((f"{tmp_path}/own", 0), (f"{tmp_path}/other", 60)):
        launch = launches.read(process(100), cgroup)
        assert launch is not None
        assert launch.swappiness == expected


@pytest.mark.parametrize(
    ("age", "known"), [pytest.param(1.0, False, id="in the middle of exec"), pytest.param(60.0, True, id="none at all")]
)
def test_an_empty_environment(tmp_path: Path, age: float, known: bool) -> None:
    """Exec puts it in place after the program's name."""
    launch = ProcLaunches(planted(tmp_path, environ="")).read(process(100, age=age))
    assert (launch is not None) is known
    assert launch is None or launch.node_options == ""


def test_another_life_of_the_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    """Nor one that is gone."""
    launches = ProcLaunches(planted(tmp_path))
    assert launches.read(process(100, start=4_999)) is None
    assert launches.read(process(101)) is None


@pytest.mark.parametrize(
    ("cgroup", "mounted", "hidden"),
    [
        pytest.param("/app", "/other", True, id="another container's"),
        pytest.param("/app", "/", False, id="by own mounts"),
        pytest.param("/", "/other", False, id="the root cgroup is no container"),
    ],
)
def test_a_cgroup_that_can_not_be_seen(tmp_path: Path, cgroup: str, mounted: str, hidden: bool) -> None:
    """Without a look through the process's own root, which needs its user and its group."""
    (tmp_path / "proc").mkdir()
    planted(tmp_path / "proc", cgroup=cgroup)
    mount = f"30 20 {{device}} {mounted} /cgroup rw - cgroup cgroup rw,memory"
    plant_text(f"=== proc/self/mountinfo\n{mount}\n=== cgroup/app/memory.limit_in_bytes\n1\n", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch_module, "_may_see", lambda _link: False)
        launch = ProcLaunches(tmp_path / "proc", file_root=tmp_path).read(process(100))
    assert launch is not None
    assert launch.cgroup_hidden is hidden


def test_a_process_that_can_not_be_seen() -> None:
    """Nothing is read of whoever has this pid here."""
    assert ProcLaunches().read(process(os.getpid(), namespace="pid:[1]/7@0")) == Launch()


def test_a_real_process() -> None:
    """Own user, own environment, a socket that is there."""
    with child(WAIT, env={**os.environ, "NODE_OPTIONS": "--max-old-space-size=64"}) as started:
        started.hear()
        launch = ProcLaunches().read(real(started.pid))
    assert launch is not None
    assert (launch.uid, launch.gid) == (os.getuid(), os.getgid())
    assert launch.node_options == "--max-old-space-size=64"
    assert not launch.cgroup_hidden
    assert launch.may_signal


@needs_root
def test_another_user_may_read_and_do_nothing() -> None:
    """A look at a process of root by nobody, in a child that gives its rights up."""
    with child(WAIT) as started:
        started.hear()
        target = real(started.pid)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            launch = ProcLaunches().read(target)
            seen = launch and (launch.node_options, launch.may_signal, launch.uid)
            os.write(writing, repr(seen).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert pipe.read() == repr((None, False, 0))


def status_of(uid: int, *groups: int, capabilities: int = 0) -> bytes:
    """``/proc/PID/status`` of a user."""
    listed = " ".join(map(str, groups))
    ids = f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\nGroups:\t{listed}\n"
    return f"Name:\tnode\n{ids}CapEff:\t{capabilities:016x}\n".encode()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A folder open to all, and a socket in it that owner and group may write."""
    folder = tmp_path / "run"
    folder.mkdir()
    for place in (tmp_path, folder):
        place.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "agent.sock"))
        (folder / "agent.sock").chmod(0o660)
        yield tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/run/agent.sock", None, id="well"),
        pytest.param("/run/other.sock", SocketTrouble.MISSING, id="no such file"),
        pytest.param("/nowhere/agent.sock", SocketTrouble.MISSING, id="no such folder"),
        pytest.param("/run", SocketTrouble.NO_SOCKET, id="a folder"),
        pytest.param("run/agent.sock", None, id="relative: not known"),
        pytest.param("/link/agent.sock", None, id="a link on the way: not known"),
        pytest.param("/", SocketTrouble.NO_SOCKET, id="the root"),
    ],
)
def test_where_a_socket_should_be(listening: Path, path: str, expected: SocketTrouble | None) -> None:
    """As the process's own file system has it."""
    (listening / "link").symlink_to("/run")
    assert trouble(str(listening), path, status_of(os.getuid())) is expected


def test_who_may_connect_to_it(listening: Path) -> None:
    """Its owner, its group, and whoever stands above permissions; not the rest, and nobody through a closed folder."""
    owner, stranger, group = os.getuid(), 4_711, (listening / "run/agent.sock").stat().st_gid
    cases = [
        (status_of(owner), None),
        (status_of(stranger), SocketTrouble.FORBIDDEN),
        (status_of(stranger, group), None),
        (status_of(stranger, capabilities=2), None),
        (b"", None),
    ]
    for status, expected in cases:
        assert trouble(str(listening), "/run/agent.sock", status) is expected
    (listening / "run").chmod(0o750)
    assert trouble(str(listening), "/run/agent.sock", status_of(stranger)) is SocketTrouble.FORBIDDEN


def test_a_process_becomes_known_once_it_runs() -> None:
    """Whenever it is looked at from the fork on, an answer is right or there is none."""
    with child(WAIT, env={"PATH": os.environ["PATH"], "NODE_OPTIONS": "--title=x"}) as started:
        launch = wait_for(lambda: ProcLaunches().read(real(started.pid)))
        started.hear()
        assert launch.node_options == "--title=x"
