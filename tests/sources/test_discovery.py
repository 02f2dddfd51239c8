"""Discovery, on real processes: every Node and nothing else, under any title, as any user, through exec and death."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from fakes.children import child
from fakes.conditions import wait_for
from fakes.machine import NODE_MAJORS, node
from fakes.planting import plant_text, stat_line
from heapwarden.domain.identity import Process, ProcessId, Role
from heapwarden.sources.discovery import MAX_ANCESTORS, RECHECK_SECONDS, YOUNG_SECONDS, ProcfsDiscovery

SERVER = "console.log('ready'); setInterval(() => {}, 1000)"
TITLED = "process.title = 'shop api v1'; " + SERVER


class Steps:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """At 100 s."""
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A script that says when it runs, and stays."""
    script = tmp_path / "server.js"
    script.write_text(SERVER)
    return script


def found(discovery: ProcfsDiscovery, pid: int) -> Process | None:
    """What a scan says of one pid."""
    return next((process for process in discovery.scan() if process.id.pid == pid), None)


@pytest.mark.node
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_real_node(major: int, server: Path) -> None:
    """A real Node of each major is found with everything that there is to know of it."""
    command = [node(major), "--max-old-space-size=64", str(server), "--port", "80"]
    with child(command) as app:
        assert app.hear() == "ready"
        process = found(ProcfsDiscovery(), app.pid)
    assert process is not None
    assert process.argv == tuple(command)
    assert (process.script, process.role, process.uid) == ("server", Role.APP, os.getuid())
    assert process.ancestors[0].pid == os.getpid()
    assert process.ancestors[0].command == " ".join(psutil.Process().cmdline())[: len(process.ancestors[0].command)]
    assert [ancestor.pid for ancestor in process.ancestors[1:]] == [one.pid for one in psutil.Process().parents()]


@pytest.mark.node
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_title_does_not_hide_node(major: int) -> None:
    """process.title overwrites both the command line and the name of the main thread; Node is found all the same."""
    with child([node(major), "-e", TITLED]) as app:
        assert app.hear() == "ready"
        assert Path(f"/proc/{app.pid}/comm").read_text() == "shop api v1\n"
        process = found(ProcfsDiscovery(), app.pid)
    assert process is not None
    assert process.script == "shop"


def test_started_at() -> None:
    """The start as Unix time, as psutil works it out from the kernel's own boot time."""
    with child([node(22), "-e", SERVER]) as app:
        process = ProcfsDiscovery().identify(app.pid)
        assert process is not None
        assert abs(process.started_at - psutil.Process(app.pid).create_time()) < 2.0


SCAN_AS_NOBODY = """
import os
from heapwarden.sources.discovery import ProcfsDiscovery
os.setgroups([]), os.setresgid(*[65534] * 3), os.setresuid(*[65534] * 3)
print(*(process.id.pid for process in ProcfsDiscovery().scan()))
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(SERVER, id="plain"),
        pytest.param(TITLED, id="titled"),
    ],
)
@pytest.mark.node
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_another_users_node(major: int, code: str) -> None:
    """An agent that may not read /proc/PID/exe knows Node by its command line, else by its threads' names."""
    with child([node(major), "-e", code]) as app, child(["sleep", "60"]) as other:
        assert app.hear() == "ready"
        assert_hidden(app.pid)
        done = subprocess.run([sys.executable, "-c", SCAN_AS_NOBODY], capture_output=True, check=True, timeout=60)
        pids = [int(pid) for pid in done.stdout.split()]
        assert app.pid in pids
        assert other.pid not in pids
        assert os.getpid() not in pids


def assert_hidden(pid: int) -> None:
    """Prove that user 65534 may not read what ``pid`` runs."""
    denied = subprocess.run(["readlink", f"/proc/{pid}/exe"], user=65534, group=65534, extra_groups=[], check=False)
    assert denied.returncode != 0


@pytest.mark.parametrize("name", ["sleep", "bun", "deno", "electron", "nodemon"])
def test_not_node(name: str, tmp_path: Path) -> None:
    """Another program is not Node, whatever its first argument says."""
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    with child(["node", "60"], executable=program) as other:
        wait_for(lambda: Path(f"/proc/{other.pid}/cmdline").read_bytes() == b"node\x0060\x00")
        assert found(ProcfsDiscovery(), other.pid) is None


def test_node_by_another_name(tmp_path: Path) -> None:
    """Node as distributions call it, also when its file was replaced by an upgrade while it ran."""
    executable = tmp_path / "node-20.1"
    shutil.copy("/bin/sleep", executable)
    with child([executable, "60"]) as app:
        wait_for(lambda: Path(f"/proc/{app.pid}/cmdline").read_bytes().endswith(b"\x0060\x00"))
        executable.unlink()
        assert str(Path(f"/proc/{app.pid}/exe").readlink()).endswith(" (deleted)")
        assert found(ProcfsDiscovery(), app.pid) is not None


def test_shell_that_becomes_node(server: Path) -> None:
    """`exec node` keeps pid and start time: found in the next scan while young, within a few seconds later."""
    for age in (1.0, YOUNG_SECONDS + 1):
        clock = Steps()
        discovery = ProcfsDiscovery(monotonic=clock)
        with child(["sh", "-c", f"echo in; read line; exec {node(22)} {server}"]) as shell:
            assert shell.hear() == "in"
            assert found(discovery, shell.pid) is None
            clock.now += age
            assert found(discovery, shell.pid) is None
            assert shell.ask("go") == "ready"
            if age > YOUNG_SECONDS:
                assert found(discovery, shell.pid) is None
                clock.now += RECHECK_SECONDS
            process = found(discovery, shell.pid)
            assert process is not None
            assert process.script == "server"


def test_identified_before_it_is_node(server: Path) -> None:
    """A shell identified by someone's word is looked at afresh when it has become Node."""
    discovery = ProcfsDiscovery()
    with child(["sh", "-c", f"echo in; read line; exec {node(22)} {server}"]) as shell:
        assert shell.hear() == "in"
        before = discovery.identify(shell.pid)
        assert before is not None
        assert before.argv[0] == "sh"
        assert found(discovery, shell.pid) is None
        assert shell.ask("go") == "ready"
        after = discovery.identify(shell.pid)
        assert after is not None
        assert (after.id, after.script) == (before.id, "server")


def test_forked_and_not_yet_executed(tmp_path: Path) -> None:
    """Between fork and exec a child is its parent's image: Node that starts another program is not two Nodes."""
    executable = tmp_path / "node"
    shutil.copy("/bin/dash", executable)
    script = "(read line; :) <&3 & echo $!; wait"
    with child([executable, "-c", f"exec 3<&0; {script}"]) as parent:
        forked = int(parent.hear())
        assert Path(f"/proc/{forked}/exe").readlink() == executable
        pids = {process.id.pid for process in ProcfsDiscovery().scan()}
        assert parent.pid in pids
        assert forked not in pids


def test_in_the_middle_of_exec(tmp_path: Path) -> None:
    """The kernel sets the executable first: Node is named once it has a command line, or has none for good."""
    status = "=== 50/status\nName:\tnode\nUid:\t0\t0\t0\t0\n"
    root = plant_text(f"=== 50/exe -> /usr/bin/node\n=== 50/stat\n{stat_line(50, 900)}\n{status}", tmp_path)
    (root / "50" / "cmdline").write_bytes(b"")
    discovery, silent = ProcfsDiscovery(root), ProcfsDiscovery(root)
    assert discovery.scan() == []
    assert silent.scan() == []
    assert [process.script for process in silent.scan()] == ["node"]
    (root / "50" / "cmdline").write_bytes(b"node\0server.js\0")
    assert [process.script for process in discovery.scan()] == ["server"]


def test_one_record_for_life() -> None:
    """The same record in each scan and for who identifies it, even after it has renamed itself."""
    discovery = ProcfsDiscovery()
    code = "process.stdin.once('data', () => { process.title = 'other'; console.log('renamed') }); console.log('ready')"
    with child([node(22), "-e", code]) as app:
        assert app.hear() == "ready"
        first = found(discovery, app.pid)
        assert app.ask("go") == "renamed"
        assert found(discovery, app.pid) is first
        assert discovery.identify(app.pid) is first


def test_death(server: Path) -> None:
    """A zombie is not alive, is not found and can't be identified; nor is one that is gone."""
    discovery = ProcfsDiscovery()
    app = subprocess.Popen([node(22), str(server)], stdout=subprocess.DEVNULL)
    try:
        process = wait_for(lambda: found(discovery, app.pid))
        assert process is not None
        assert discovery.alive(process.id)
        app.kill()
        wait_for(lambda: psutil.Process(app.pid).status() == psutil.STATUS_ZOMBIE)
        assert not discovery.alive(process.id)
        assert discovery.identify(app.pid) is None
        assert found(discovery, app.pid) is None
    finally:
        app.kill()
        app.wait()
    assert not discovery.alive(process.id)
    assert discovery.identify(app.pid) is None
    discovery.scan()
    assert app.pid not in discovery._others
    assert app.pid not in discovery._nodes


def test_lineage_outlives_the_parent(server: Path) -> None:
    """Ancestors are those at first sight: who is orphaned later is still below the command that started it."""
    discovery = ProcfsDiscovery()
    with child(["sh", "-c", f"{node(22)} {server} & read line"]) as shell:
        assert shell.hear() == "ready"
        (app,) = psutil.Process(shell.pid).children()
        first = found(discovery, app.pid)
        assert first is not None
        assert first.ancestors[0].pid == shell.pid
        shell.process.kill()
        try:
            wait_for(lambda: app.ppid() != shell.pid)
            assert found(discovery, app.pid) is first
        finally:
            app.kill()


def test_lineage_through_a_known_parent(server: Path) -> None:
    """A Node below a Node whose own parent has died meanwhile still has that parent above it."""
    code = (
        "console.log('up'); process.stdin.once('data', () => {"
        f"  require('child_process').spawn(process.execPath, [{str(server)!r}], {{stdio: 'inherit'}}) }})"
    )
    discovery = ProcfsDiscovery()
    with child(["sh", "-c", f'exec 3<&0; {node(22)} -e "{code}" <&3 & exec sleep 60']) as shell:
        assert shell.hear() == "up"
        (parent,) = psutil.Process(shell.pid).children()
        assert found(discovery, parent.pid) is not None
        shell.process.kill()
        try:
            wait_for(lambda: parent.ppid() != shell.pid)
            assert shell.ask("spawn") == "ready"
            (app,) = parent.children()
            process = found(discovery, app.pid)
            assert process is not None
            assert [ancestor.pid for ancestor in process.ancestors[:2]] == [parent.pid, shell.pid]
        finally:
            for one in (*parent.children(), parent):
                one.kill()


def test_deep_lineage(server: Path) -> None:
    """A lineage of any depth is cut at 32."""
    nested = [node(22), str(server)]
    for _ in range(MAX_ANCESTORS + 3):
        nested = ["sh", "-c", '"$@" & wait', "sh", *nested]
    with child(nested) as top:
        assert top.hear() == "ready"
        app = psutil.Process(top.pid).children(recursive=True)[-1]
        try:
            process = found(ProcfsDiscovery(), app.pid)
            assert process is not None
            assert len(process.ancestors) == MAX_ANCESTORS
        finally:
            app.kill()


def test_long_command_line(server: Path) -> None:
    """Of a command line of a megabyte, 4 KiB and 64 arguments are kept."""
    with child([node(22), str(server), *["x"] * 70, "y" * 100_000]) as app:
        assert app.hear() == "ready"
        process = found(ProcfsDiscovery(), app.pid)
    assert process is not None
    assert len(process.argv) == 64
    with child([node(22), str(server), "y" * 100_000]) as app:
        assert app.hear() == "ready"
        process = found(ProcfsDiscovery(), app.pid)
    assert process is not None
    assert sum(map(len, process.argv)) <= 4096


def test_folder_as_script(tmp_path: Path) -> None:
    """`node .` is called after the folder it was started in."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "index.js").write_text(SERVER)
    with child([node(22), "."], cwd=folder) as app:
        assert app.hear() == "ready"
        process = found(ProcfsDiscovery(), app.pid)
    assert process is not None
    assert process.script == "shop"


def test_alive_of_the_unseen() -> None:
    """Of a process in another PID namespace nothing can be seen, so it is not taken for dead."""
    discovery = ProcfsDiscovery()
    assert discovery.alive(ProcessId(0, 5, "pid:[1]/17"))
    assert not discovery.alive(ProcessId(os.getpid(), 5))
    assert not discovery.alive(ProcessId(2**22 + 1, 5))


def test_identify_nonsense() -> None:
    """Numbers that are no pid name nobody."""
    discovery = ProcfsDiscovery()
    assert [discovery.identify(pid) for pid in (0, -1, 2**40)] == [None, None, None]


def test_identify_from_another_thread(server: Path) -> None:
    """Scans in one thread and identities asked for in another don't disturb each other."""
    discovery = ProcfsDiscovery()
    errors: list[BaseException] = []
    stop = threading.Event()

    def scan() -> None:
        try:
            while not stop.is_set():
                discovery.scan()
        except BaseException as error:  # noqa: BLE001  told to the test
            errors.append(error)

    thread = threading.Thread(target=scan)
    thread.start()
    try:
        for _ in range(30):
            with child(["sleep", "60"]) as other:
                process = discovery.identify(other.pid)
                assert process is not None
                assert process.id.pid == other.pid
        with child([node(22), str(server)]) as app:
            assert app.hear() == "ready"
            assert {discovery.identify(app.pid) for _ in range(300)} == {discovery.identify(app.pid)}
    finally:
        stop.set()
        thread.join()
    assert errors == []


NODE_MODULES = Path(__file__).parents[1] / "nodes" / "node_modules"
NPM = shutil.which("npm")


def manager(name: str) -> list[str]:
    """How to start a package manager's script ``start``; skips where it is not installed."""
    if name in ("npm", "npx", "node --run"):
        if name != "node --run" and NPM is None:
            pytest.skip("npm is not on the PATH")
        return {
            "npm": ["npm", "start"],
            "npx": ["npx", "--no-install", "node", "server.js"],
            "node --run": [node(22), "--run", "start"],
        }[name]
    script = {"yarn": "yarn/bin/yarn.js", "pnpm": "pnpm/bin/pnpm.cjs"}[name]
    if not (NODE_MODULES / script).exists():
        pytest.skip(f"{name} is not installed in tests/nodes")
    return [node(22), str(NODE_MODULES / script), "start"]


@pytest.mark.parametrize("name", ["npm", "npx", "yarn", "pnpm", "node --run"])
def test_real_package_manager(name: str, tmp_path: Path) -> None:
    """The manager is a wrapper, at first and after it has renamed itself; the app below it is not, and knows of it."""
    (tmp_path / "package.json").write_text(json.dumps({"name": "shop", "scripts": {"start": "node server.js"}}))
    (tmp_path / "server.js").write_text("setInterval(() => {}, 1000)")
    discovery = ProcfsDiscovery()

    def below(top: int) -> dict[Role, Process]:
        return {
            process.role: process
            for process in discovery.scan()
            if process.id.pid == top or any(ancestor.pid == top for ancestor in process.ancestors)
        }

    environment = {**os.environ, "npm_config_update_notifier": "false", "HOME": str(tmp_path)}
    with child(manager(name), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as top:
        roles = wait_for(lambda: roles if len(roles := below(top.pid)) == 2 else None)
        assert roles is not None
        app = psutil.Process(roles[Role.APP].id.pid)
        try:
            assert roles[Role.WRAPPER].id.pid == top.pid
            assert roles[Role.APP].script == "server"
            fresh = found(ProcfsDiscovery(), top.pid)  # npm has renamed itself meanwhile
            assert fresh is not None
            assert fresh.role is Role.WRAPPER
        finally:
            app.kill()
