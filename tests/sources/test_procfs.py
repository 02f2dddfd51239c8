"""Kernel figures, against real Node processes and against what psutil reads of them."""

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.children import Child, child
from fakes.conditions import wait_for
from fakes.machine import NODE_MAJORS, node
from fakes.planting import plant_text, stat_line
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import KernelFigures
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.procfs import ProcfsSource, namespace_pids

MIB = 1024 * 1024

APP = """
const fs = require('fs');
const held = [];
require('readline').createInterface({input: process.stdin}).on('line', line => {
    if (line === 'grow') held.push(Buffer.alloc(64 << 20, 1));
    const kilobytes = key => Number(fs.readFileSync('/proc/self/status', 'utf8').match(key + ':\\\\s+(\\\\d+)')[1]);
    console.log(JSON.stringify({rss: kilobytes('VmRSS') * 1024, threads: kilobytes('Threads')}));
});
"""


def process(pid: int, start: int = 5000, namespace: str = "") -> Process:
    """A process of which only the identity matters."""
    return Process(ProcessId(pid, start, namespace), ("node", "server.js"), 0.0, "server")


def identified(pid: int) -> Process:
    """A live one, with its real start time."""
    found = ProcfsDiscovery().identify(pid)
    assert found is not None
    return found


def read(app: Child) -> KernelFigures:
    """Figures of a child."""
    found = identified(app.pid)
    return ProcfsSource().read([found], 1.0)[found.id]


@pytest.mark.node
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_real_node(major: int) -> None:
    """RSS lies between what the app itself reads of the kernel just before and just after; growth and faults show."""
    with child([node(major), "-e", APP]) as app:
        app.ask("warm up")
        before = json.loads(app.ask("read"))
        figures = read(app)
        after = json.loads(app.ask("read"))
        low, high = sorted((before["rss"], after["rss"]))
        assert low - MIB <= figures.rss_bytes <= high + MIB
        assert figures.threads == after["threads"]
        assert figures.taken_at == 1.0
        app.ask("grow")
        grown = read(app)
        assert grown.rss_bytes - figures.rss_bytes >= 60 * MIB
        assert grown.minor_faults > figures.minor_faults
        assert grown.major_faults >= figures.major_faults


def test_same_as_psutil() -> None:
    """Where psutil reads the same figures, it reads the same."""
    with child([node(22), "-e", APP]) as app:
        app.ask("warm up")
        figures = read(app)
        other = psutil.Process(app.pid)
        assert abs(other.memory_info().rss - figures.rss_bytes) <= 4 * MIB
        assert other.num_threads() == figures.threads
        assert other.memory_full_info().swap == figures.swap_bytes


STATUS = "Name:\tnode\nUid:\t10\t0\t0\t0\nNSpid:\t100\t7\nVmRSS:\t  2048 kB\nVmSwap:\t     512 kB\nThreads:\t7\n"


def test_planted(tmp_path: Path) -> None:
    """Each figure is taken from its own field, and sizes are bytes."""
    plant_text(f"=== 100/status\n{STATUS}\n=== 100/stat\n{stat_line(100, 5000, comm='a) (b')}", tmp_path)
    assert ProcfsSource(tmp_path).read([process(100)], 3.0) == {
        process(100).id: KernelFigures(
            taken_at=3.0, rss_bytes=2 * MIB, swap_bytes=MIB // 2, minor_faults=300, major_faults=2, threads=7
        )
    }


def test_reused_pid(tmp_path: Path) -> None:
    """Figures of a successor under the same pid are not this process's."""
    plant_text(f"=== 100/status\n{STATUS}\n=== 100/stat\n{stat_line(100, 5001)}", tmp_path)
    assert ProcfsSource(tmp_path).read([process(100, start=5000)], 1.0) == {}


def test_unseen_and_gone(tmp_path: Path) -> None:
    """A process in another PID namespace is never looked up, and one that has ended has no figures."""
    plant_text(f"=== 0/status\n{STATUS}\n=== 0/stat\n{stat_line(0, 5000)}", tmp_path)
    assert ProcfsSource(tmp_path).read([process(0, 5000, "pid:[1]"), process(99)], 1.0) == {}


def test_kernel_without_swap(tmp_path: Path) -> None:
    """A kernel built without swap has no line for it: nothing is swapped."""
    status = STATUS.replace("VmSwap", "Other")
    plant_text(f"=== 100/status\n{status}\n=== 100/stat\n{stat_line(100, 5000)}", tmp_path)
    assert ProcfsSource(tmp_path).read([process(100)], 1.0)[process(100).id].swap_bytes == 0


def test_zombie() -> None:
    """A process that has ended and was not yet waited for has no memory, and no figures."""
    zombie = subprocess.Popen(["sleep", "60"])
    try:
        found = identified(zombie.pid)
        zombie.kill()
        wait_for(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
        assert ProcfsSource().read([found], 1.0) == {}
    finally:
        zombie.kill()
        zombie.wait()


def test_long_line_of_groups(tmp_path: Path) -> None:
    """The line Groups comes before the memory and may be very long."""
    status = "Name:\tnode\nGroups:\t" + "12345 " * 5_000 + "\n" + STATUS
    plant_text(f"=== 100/status\n{status}\n=== 100/stat\n{stat_line(100, 5000)}", tmp_path)
    assert len(ProcfsSource(tmp_path).read([process(100)], 1.0)) == 1


def test_namespace_pids(tmp_path: Path) -> None:
    """The pids that a process has in each namespace, outermost first; none of one that is gone."""
    plant_text(f"=== 100/status\n{STATUS}", tmp_path)
    assert namespace_pids(100, tmp_path) == (100, 7)
    assert namespace_pids(99, tmp_path) == ()
    assert namespace_pids(os.getpid())[0] == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="making a PID namespace needs root")
def test_namespace_pids_of_a_real_namespace() -> None:
    """In a real PID namespace the process calls itself 1; seen from here it has both pids."""
    with child(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "echo in; read line"]) as outer:
        assert outer.hear() == "in"
        (inner,) = psutil.Process(outer.pid).children()
        assert namespace_pids(inner.pid) == (inner.pid, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=120), st.binary(max_size=120))
def test_any_bytes(tmp_path: Path, status: bytes, stat: bytes) -> None:
    """Whatever stands in the two files, reading gives figures or none, and no error."""
    folder = tmp_path / "100"
    folder.mkdir(exist_ok=True)
    (folder / "status").write_bytes(b"Name:\tnode\nVmRSS:\t" + status)
    (folder / "stat").write_bytes(b"100 (node) S " + stat)
    ProcfsSource(tmp_path).read([process(100)], 1.0)
    (folder / "stat").write_text(stat_line(100, 5000))
    for figures in ProcfsSource(tmp_path).read([process(100)], 1.0).values():
        assert isinstance(figures, KernelFigures)
        assert figures.rss_bytes >= 0
    namespace_pids(100, tmp_path)
