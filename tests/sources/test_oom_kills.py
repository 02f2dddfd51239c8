"""Kills for memory: real ones, and which ends they explain."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.cgroups import MIB, apart, inside, limited, needs_v1
from fakes.children import Child, child
from fakes.conditions import wait_for
from fakes.planting import plant, stat_line
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.sources.cgroup import COUNTERS_KEPT_SECONDS, CgroupSource
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.oom_kills import FRESH_SECONDS, TOGETHER_SECONDS

GREEDY = "import sys; print('ready', flush=True); sys.stdin.readline(); held = bytearray(1 << 30)"
"""Takes a GiB when told to."""


class Planted:
    """A v2 service on a planted tree, with a counter that tests set."""

    def __init__(self, root: Path) -> None:
        """It is at 0."""
        plant("cgroup/v2_systemd_service.tree", root)
        self.events = root / "sys/fs/cgroup/system.slice/shop.service/memory.events"
        self.kills(0)
        self.now = 100.0
        self.source = CgroupSource(root / "proc", file_root=root, machine_bytes=16 * 10**9, monotonic=lambda: self.now)
        self.process = Process(ProcessId(100, 5_000), ("node",), 0.0, "shop")

    def kills(self, count: int) -> None:
        """The kernel has killed so many."""
        self.events.write_text(f"low 0\nhigh 0\nmax 9\noom {count}\noom_kill {count}\noom_group_kill 0\n")

    def tick(self) -> int | None:
        """Read; the count."""
        return self.source.read([self.process], self.now)[self.process.id].oom_kills

    def lately(self) -> int | None:
        """Kills that explain its end."""
        return self.source.lately(self.process.id)


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """A v2 service."""
    return Planted(tmp_path)


def test_a_kill_between_two_readings_explains_an_end(planted: Planted) -> None:
    """Read anew at the end, though the process and its files under /proc are gone."""
    assert planted.lately() is None, "never read"
    assert planted.tick() == 0
    planted.kills(1)
    (planted.events.parents[5] / "proc/100/cgroup").unlink()
    assert planted.source.read([planted.process], planted.now) == {}, "a reading that comes in between"
    assert planted.lately() == 1


@pytest.mark.parametrize(("state", "flags"), [("Z", 4), ("S", 4)], ids=["zombie", "exiting"])
def test_a_process_that_ends_is_still_in_its_cgroup(tmp_path: Path, state: str, flags: int) -> None:
    """Version 1 shows it in the root cgroup, for as long as it takes to give its memory back."""
    plant("cgroup/v1_docker_host.tree", tmp_path)
    now = 1.0
    source = CgroupSource(tmp_path / "proc", file_root=tmp_path, machine_bytes=16 * 10**9, monotonic=lambda: now)
    process = Process(ProcessId(100, 5_000), ("node",), 0.0, "shop")
    (usage,) = tmp_path.rglob("docker/*/memory.usage_in_bytes")
    control = usage.with_name("memory.oom_control")
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert source.read([process], now)[process.id].oom_kills == 0
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    cgroup = tmp_path / "proc/100/cgroup"
    cgroup.write_text(re.sub(r"(memory\S*?):\S+", r"\1:/", cgroup.read_text()))
    (tmp_path / "proc/100/stat").write_text(stat_line(100, 5_000, state=state, flags=flags))
    for _ in range(3):
        assert source.read([process], now)[process.id].oom_kills == 1
    assert source.lately(process.id) == 1


def test_a_kill_that_a_reading_has_seen_before_the_end(planted: Planted) -> None:
    """A large process takes seconds to die; its kill is not lost to the readings meanwhile, and not good for ever."""
    planted.tick()
    planted.kills(1)
    assert planted.tick() == 1
    planted.now += FRESH_SECONDS / 2
    assert planted.tick() == 1
    assert planted.lately() == 1
    planted.now += FRESH_SECONDS
    assert planted.lately() == 0
    planted.kills(2)
    assert planted.lately() == 1, "the old one is forgotten"


def test_a_kill_explains_one_end_and_those_at_the_same_moment(planted: Planted) -> None:
    """Somebody else's kill -9 a second later was no kill for memory."""
    planted.tick()
    planted.kills(2)
    assert planted.lately() == 2
    planted.source.claim(planted.process.id)
    assert planted.lately() == 1
    planted.source.claim(planted.process.id)
    assert planted.lately() == 1, "PID 1's end takes the others with it"
    planted.now += TOGETHER_SECONDS * 2
    assert planted.lately() == 0


def test_the_lowest_cgroup_that_counts(tmp_path: Path) -> None:
    """Version 2 has no counter where the controller is not enabled; the one above counts for all below."""
    plant("cgroup/v2_no_controller_at_leaf.tree", tmp_path)
    (limit,) = tmp_path.rglob("memory.max")
    events = limit.with_name("memory.events")
    events.write_text("low 0\noom_kill 4\n")
    source = CgroupSource(tmp_path / "proc", file_root=tmp_path, machine_bytes=16 * 10**9)
    process = Process(ProcessId(100, 5_000), ("node",), 0.0, "shop")
    assert source.read([process], 1.0)[process.id].oom_kills == 4
    events.write_text("low 0\noom_kill 5\n")
    assert source.lately(process.id) == 1


def test_old_kills_explain_nothing(planted: Planted) -> None:
    """What was counted before the first look was somebody else."""
    planted.kills(7)
    assert planted.tick() == 7
    assert planted.lately() == 0


def test_a_cgroup_that_was_made_anew_counts_from_zero(planted: Planted) -> None:
    """A service that was restarted has a new cgroup under its old name."""
    planted.kills(3)
    planted.tick()
    planted.kills(0)
    assert planted.tick() == 0
    planted.kills(1)
    assert planted.lately() == 1


def test_counters_are_forgotten(planted: Planted) -> None:
    """A while after the last process."""
    planted.tick()
    for _ in range(2):
        planted.now += COUNTERS_KEPT_SECONDS
        planted.source.read([], planted.now + 1)
    assert planted.source._counters == {}
    assert planted.lately() is None


@pytest.mark.parametrize("text", ["", "oom_kill\n", "low 0\noom_kill x\n", "low 0\noom_kill -1\n"])
def test_strange_counters_are_no_counters(planted: Planted, text: str) -> None:
    """Not known is what is said, and the figures stay."""
    planted.events.write_text(text)
    assert planted.tick() is None
    assert planted.lately() is None


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A real one of 48 MiB."""
    with limited(48 * MIB) as folder:
        yield folder


def _identified(pid: int) -> Process:
    found = ProcfsDiscovery().identify(pid)
    assert found is not None
    return found


def _die(victim: Child) -> int:
    assert victim.process.stdin is not None
    victim.process.stdin.write("go\n")
    victim.process.stdin.flush()
    return victim.process.wait(60)


@needs_v1
@pytest.mark.parametrize("own_mounts", [True, False], ids=["seen by own mounts", "seen through the process"])
def test_a_real_kill(cgroup: Path, own_mounts: bool) -> None:
    """The kernel kills at the limit, and that is known at once, also where the way to the counter went with it."""
    command = (sys.executable, "-c", GREEDY)
    with child(inside(cgroup, *(command if own_mounts else apart(*command)))) as victim:
        assert victim.hear() == "ready"
        process = _identified(victim.pid)
        source = CgroupSource()
        if not own_mounts:
            source._own_mounts = ()
        figures = source.read([process], 1.0)[process.id]
        assert (figures.limit_bytes, figures.oom_kills) == (48 * MIB, 0)
        assert source.lately(process.id) == 0
        assert _die(victim) == -signal.SIGKILL
        assert source.lately(process.id) == 1


@needs_v1
def test_a_kill_of_ours_is_none_for_memory(cgroup: Path) -> None:
    """SIGKILL alone counts nothing."""
    with child(inside(cgroup, sys.executable, "-c", GREEDY)) as victim:
        assert victim.hear() == "ready"
        process = _identified(victim.pid)
        source = CgroupSource()
        source.read([process], 1.0)
        os.kill(victim.pid, signal.SIGKILL)
        wait_for(lambda: victim.process.poll() is not None)
        assert source.lately(process.id) == 0
