"""Listening ports, of real Node servers and of planted trees."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.children import Child, child
from fakes.conditions import wait_for
from fakes.machine import NODE_MAJORS, node
from fakes.planting import plant, stat_line
from heapwarden.domain.identity import ProcessId
from heapwarden.sources import listening
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.listening import ListeningPorts

STARTED = 5_000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making a namespace, or giving rights up, needs root")

SERVER = """
const http = require('http');
const servers = {};
require('readline').createInterface({input: process.stdin}).on('line', line => {
    const [verb, argument] = line.split(' ');
    if (verb === 'listen') {
        const server = http.createServer((request, response) => response.end('here'));
        server.listen(0, argument, () => {
            const { port } = server.address();
            servers[port] = server;
            console.log(port);
        });
    }
    if (verb === 'close') servers[argument].close(() => console.log('closed'));
    if (verb === 'connect') {
        let left = 300;
        for (let i = 0; i < 300; i += 1) {
            require('net').connect(Number(argument), '127.0.0.1', () => {
                left -= 1;
                if (left === 0) console.log('connected');
            });
        }
    }
});
console.log('ready');
"""

CLUSTER = """
const cluster = require('cluster');
if (cluster.isPrimary) {
    const worker = cluster.fork();
    cluster.on('listening', (_, address) => console.log(`${worker.process.pid} ${address.port}`));
    process.stdin.on('end', () => worker.kill()).resume();
} else {
    require('http').createServer().listen(0, '127.0.0.1');
}
"""


def identified(pid: int) -> ProcessId:
    """A live Node, with its real start time."""
    found = ProcfsDiscovery().identify(pid)
    assert found is not None
    return found.id


def known(found: frozenset[int] | None) -> set[int] | None:
    """As a set, which is shorter to write."""
    return None if found is None else set(found)


def ports(app: Child) -> set[int] | None:
    """Those of a child."""
    return known(ListeningPorts().ports(identified(app.pid)))


@pytest.mark.node
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_a_real_server(major: int) -> None:
    """None before it listens, then each port of IPv4 and IPv6, and no more what it has closed."""
    with child([node(major), "-e", SERVER]) as app:
        assert app.hear() == "ready"
        assert ports(app) == set()
        first, second, third = (int(app.ask(f"listen {address}")) for address in ("127.0.0.1", "0.0.0.0", "::"))  # noqa: S104  all interfaces are the point
        assert ports(app) == {first, second, third}
        app.ask(f"close {second}")
        assert ports(app) == {first, third}


def test_more_ports_than_the_kernel_tells_at_once() -> None:
    """A page holds some 25 lines."""
    with child([node(22), "-e", SERVER]) as app:
        assert app.hear() == "ready"
        expected = {int(app.ask("listen 127.0.0.1")) for _ in range(100)}
        assert ports(app) == expected


def test_connections_are_no_listeners() -> None:
    """Three hundred of its own, to its own port, change nothing."""
    with child([node(22), "-e", SERVER]) as app, child([node(22), "-e", SERVER]) as other:
        assert app.hear() == other.hear() == "ready"
        port, elsewhere = int(app.ask("listen ::")), int(other.ask("listen ::"))
        app.ask(f"connect {port}")
        app.ask(f"connect {elsewhere}")
        assert ports(app) == {port}


def test_the_primary_of_a_cluster_holds_the_port(tmp_path: Path) -> None:
    """Its worker serves requests, and listens on nothing."""
    script = tmp_path / "cluster.js"
    script.write_text(CLUSTER)
    with child([node(22), script]) as primary:
        worker, port = map(int, primary.hear().split())
        assert ports(primary) == {port}
        assert ListeningPorts().ports(identified(worker)) == frozenset()
        assert primary.process.stdin is not None
        primary.process.stdin.close()
        wait_for(lambda: not psutil.pid_exists(worker))


@needs_root
def test_another_network_namespace() -> None:
    """The table is that of the process, not that of the agent."""
    with child(["unshare", "--net", node(22), "-e", SERVER]) as app:
        assert app.hear() == "ready"
        port = int(app.ask("listen 0.0.0.0"))
        assert ports(app) == {port}


ASK = """
import os, sys
from heapwarden.domain.identity import ProcessId
from heapwarden.sources.listening import ListeningPorts
os.setgroups([]), os.setresgid(*[65534] * 3), os.setresuid(*[65534] * 3)
print(ListeningPorts().ports(ProcessId(int(sys.argv[1]), int(sys.argv[2]))))
"""


@needs_root
def test_who_may_not_know() -> None:
    """Another user's process: not known, and never taken for one that does not listen."""
    with child([node(22), "-e", SERVER]) as app:
        assert app.hear() == "ready"
        app.ask("listen 127.0.0.1")
        found = identified(app.pid)
        command = [sys.executable, "-c", ASK, str(found.pid), str(found.start)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert asked.stdout == "None\n"


def test_one_that_is_gone_or_another() -> None:
    """Ended, a zombie, a successor under its pid, or in a PID namespace of its own: not known."""
    with child([node(22), "-e", SERVER]) as app:
        assert app.hear() == "ready"
        found, asked = identified(app.pid), ListeningPorts()
        assert asked.ports(found) == frozenset()
        assert asked.ports(ProcessId(found.pid, found.start + 1)) is None
        assert asked.ports(ProcessId(0, found.start, "pid:[1]/7@0")) is None
        app.process.kill()
        wait_for(lambda: psutil.Process(app.pid).status() == psutil.STATUS_ZOMBIE)
        assert asked.ports(found) is None
    assert asked.ports(found) is None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Process 100 with two listening sockets and a connection, among listeners of others."""
    plant("listening/server.tree", tmp_path)
    (tmp_path / "100" / "stat").write_text(stat_line(100, STARTED))
    return tmp_path


def planted(tree: Path) -> set[int] | None:
    """What is found for process 100."""
    return known(ListeningPorts(tree).ports(ProcessId(100, STARTED)))


def test_lines_that_are_cut(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the end of a read: they are put together."""
    monkeypatch.setattr(listening, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(listening, "_FULL_BYTES", 1)
    assert planted(tree) == {3000, 8080}


def test_a_planted_tree(tree: Path) -> None:
    """By inode: 3000 of IPv4, 8080 of IPv6; other processes' ports are not its own."""
    assert planted(tree) == {3000, 8080}


def without_ipv6(process: Path) -> None:
    """A kernel without it has no such table."""
    (process / "net" / "tcp6").unlink()


def without_listeners(process: Path) -> None:
    """Two tables of connections alone."""
    for name in ("tcp", "tcp6"):
        lines = (process / "net" / name).read_text().splitlines()
        (process / "net" / name).write_text("\n".join(line for line in lines if " 0A " not in line) + "\n")


def empty_tables(process: Path) -> None:
    """As in a new namespace."""
    for name in ("tcp", "tcp6"):
        (process / "net" / name).write_text("  sl  local_address rem_address   st\n")


@pytest.mark.parametrize(
    ("change", "found"), [(without_ipv6, {3000}), (without_listeners, set()), (empty_tables, set())]
)
def test_tables_with_less(tree: Path, change: Callable[[Path], None], found: set[int]) -> None:
    """Nothing there is an answer."""
    change(tree / "100")
    assert planted(tree) == found


def without_descriptors(process: Path) -> None:
    """No folder to look into."""
    (process / "fd").rename(process / "elsewhere")


def without_tables(process: Path) -> None:
    """Nothing says who listens."""
    (process / "net" / "tcp").unlink()


def ending(process: Path) -> None:
    """It is on its way out: its sockets may be closed already."""
    (process / "stat").write_text(stat_line(100, STARTED, flags=0x4))


def broken_line(process: Path) -> None:
    """Not as the kernel writes it."""
    (process / "net" / "tcp").write_text("heading\n   0: 0100007F:0BB8 00000000:0000 0A\n")


def broken_port(process: Path) -> None:
    """A port that is no number."""
    table = process / "net" / "tcp"
    table.write_text(table.read_text().replace(":0BB8", ":ZZZZ"))


@pytest.mark.parametrize("change", [without_descriptors, without_tables, ending, broken_line, broken_port])
def test_what_cannot_be_known(tree: Path, change: Callable[[Path], None]) -> None:
    """None, and no error."""
    change(tree / "100")
    assert planted(tree) is None


def test_a_descriptor_that_is_closed_meanwhile(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was listed and is gone when its link is read: the others count."""
    readlink = os.readlink

    def closed(name: str, *, dir_fd: int) -> str:
        if name == "18":
            raise FileNotFoundError(2, "No such file or directory", name)
        return readlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "readlink", closed)
    assert planted(tree) == {8080}


@pytest.mark.parametrize("bound", ["MOST_DESCRIPTORS", "MOST_BYTES"])
def test_too_much_to_read(tree: Path, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Beyond a bound nothing is known, rather than half of it."""
    monkeypatch.setattr(listening, bound, 2)
    assert planted(tree) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=200))
def test_any_table(tree: Path, table: bytes) -> None:
    """Whatever stands in the tables: ports or None, and no error."""
    (tree / "100" / "net" / "tcp").write_bytes(b"heading\n   0: 0100007F:0BB8 00000000:0000 0A " + table)
    found = planted(tree)
    assert found is None or found <= {3000, 8080}
