"""Memory of process trees: planted ones, and real Nodes with real children."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.children import child
from fakes.conditions import wait_for
from fakes.machine import node
from fakes.planting import plant_text, stat_line
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import TreeFigures
from heapwarden.sources import tree
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.tree import TreeSource

MIB = 2**20


def process(pid: int, start: int = 5_000, namespace: str = "") -> Process:
    """A process of which only the identity matters."""
    return Process(ProcessId(pid, start, namespace), ("node", "server.js"), 0.0, "server")


def plant(root: Path, *processes: tuple[int, int, int | None]) -> Path:
    """A ``/proc`` with processes of (pid, parent, RSS in MiB; None: a zombie)."""
    for pid, parent, mib in processes:
        state = "S" if mib is not None else "Z"
        status = f"VmRSS:\t{mib * 1024} kB\n" if mib is not None else ""
        text = f"=== {pid}/stat\n{stat_line(pid, 5_000, parent=parent, state=state)}"
        plant_text(f"{text}=== {pid}/status\nName:\tx\n{status}", root)
    return root


def read(root: Path, *pids: int) -> dict[int, TreeFigures]:
    """The trees of these."""
    source = TreeSource(lambda _process: True, root)
    return {id_.pid: figures for id_, figures in source.read([process(pid) for pid in pids], 7.0).items()}


def test_children_of_children_count(tmp_path: Path) -> None:
    """Everything below is summed, Node or not; siblings and parents are not; zombies have nothing left."""
    plant(tmp_path, (1, 0, 1), (10, 1, 100), (11, 10, 20), (12, 11, 3), (13, 10, None), (20, 1, 50))
    assert read(tmp_path, 10, 11, 20) == {
        10: TreeFigures(7.0, 123 * MIB, 3),
        11: TreeFigures(7.0, 23 * MIB, 2),
        20: TreeFigures(7.0, 50 * MIB, 1),
    }


def test_another_process_under_the_pid(tmp_path: Path) -> None:
    """One that has ended, is a zombie, or began at another time has no figures."""
    plant(tmp_path, (10, 1, 100), (11, 1, None))
    source = TreeSource(lambda _process: True, tmp_path)
    assert source.read([process(10, start=4_999), process(11), process(12)], 1.0) == {}


def test_nobody_wants_it(tmp_path: Path) -> None:
    """Then nothing is read at all, so not even a missing /proc is noticed."""
    source = TreeSource(lambda _process: False, tmp_path / "missing")
    assert source.read([process(10)], 1.0) == {}
    assert not source.concerns(process(10).id)
    assert not TreeSource(lambda _process: True).concerns(process(0, namespace="pid:[1]").id)


def test_a_missing_proc_is_an_error(tmp_path: Path) -> None:
    """So that the source reads as down, rather than every process as ended."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing", 10)


def test_trees_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork bomb is not summed up for ever."""
    monkeypatch.setattr(tree, "MOST_BELOW", 5)
    plant(tmp_path, (10, 1, 1), *((pid, pid - 1, 1) for pid in range(11, 30)))
    assert read(tmp_path, 10)[10].processes == 5


@given(st.dictionaries(st.integers(1, 12), st.integers(0, 12)))
def test_any_parents_come_to_an_end(parents: dict[int, int]) -> None:
    """Whatever was read of a moving machine, circles included, each process counts once at most."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = tree._below(1, children)
    assert found[0] == 1
    assert len(found) == len(set(found)) <= 13


PARENT = """
const { spawn } = require('node:child_process');
const held = Buffer.alloc(40 << 20, 1);
const child = spawn(process.argv[1], ['-c', 'held = bytearray(90 << 20); print("x", flush=True); input()'],
  { stdio: ['pipe', 'pipe', 'inherit'] });
child.stdout.once('data', () => console.log('ready'));
child.on('exit', () => console.log('alone'));
process.stdin.once('data', () => child.kill('SIGKILL'));
setInterval(() => held, 1000);
"""


def test_a_real_node_with_a_child() -> None:
    """A Node's Python child counts while it lives."""
    with child([node(22), "-e", PARENT, sys.executable]) as parent:
        assert parent.hear() == "ready"
        found = ProcfsDiscovery().identify(parent.pid)
        assert found is not None
        source = TreeSource(lambda _process: True)
        both = source.read([found], 1.0)[found.id]
        assert both.processes == 2
        assert both.rss_bytes > (40 + 90) * MIB
        assert parent.ask("kill it") == "alone"
        alone = wait_for(lambda: (one := source.read([found], 2.0)[found.id]).processes == 1 and one)
        assert both.rss_bytes - alone.rss_bytes > 85 * MIB
