"""Container memory: which cgroup counts, on the layouts that real hosts have and on this machine's own cgroups."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.children import child
from fakes.conditions import wait_for
from fakes.machine import node
from fakes.planting import plant, plant_text
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.sample import ContainerFigures
from heapwarden.sources.cgroup import LOOK_AGAIN_SECONDS, CgroupSource
from heapwarden.sources.discovery import ProcfsDiscovery

MACHINE_BYTES = 16_000_000_000
MIB = 1024 * 1024


def process(pid: int, start: int = 5000, namespace: str = "") -> Process:
    """A process of which only the identity matters."""
    return Process(ProcessId(pid, start, namespace), ("node", "server.js"), 0.0, "server")


def source(root: Path) -> CgroupSource:
    """A source on a planted tree, on a machine of 16 GB."""
    return CgroupSource(root / "proc", file_root=root, machine_bytes=MACHINE_BYTES)


def read_one(root: Path, pid: int = 100) -> ContainerFigures | None:
    """Figures of one process in a planted tree."""
    return source(root).read([process(pid)], 7.0).get(process(pid).id)


@pytest.mark.parametrize(
    ("layout", "memory", "limit"),
    [
        pytest.param("v2_systemd_service", 300_000_000, 536_870_912, id="v2, service"),
        pytest.param("v2_user_session", 150_000_000, None, id="v2, no limit"),
        pytest.param("v2_kubernetes_node", 200_000_000, 268_435_456, id="v2, container nearer than pod"),
        pytest.param("v2_kubernetes_pod_full", 330_000_000, 335_544_320, id="v2, pod nearer than container"),
        pytest.param("v2_inside_container", 100_000_000, 268_435_456, id="v2, inside"),
        pytest.param("v2_sidecar", 350_000_000, 536_870_912, id="v2, neighbour seen through its own root"),
        pytest.param("v2_no_controller_at_leaf", 200_000_000, 500_000_000, id="v2, leaf without controller"),
        pytest.param("v2_host_mounted_in_container", 280_000_000, 300_000_000, id="v2, host's tree mounted too"),
        pytest.param("v1_docker_host", 120_000_000, 209_715_200, id="v1, docker from the host"),
        pytest.param("v1_docker_inside", 120_000_000, 209_715_200, id="v1, docker from inside"),
        pytest.param("v1_sidecar", 350_000_000, 536_870_912, id="v1, neighbour seen through its own root"),
        pytest.param("v1_crio_node", 180_000_000, 300_000_000, id="v1, cri-o"),
        pytest.param("hybrid_systemd", 200_000_000, 536_870_912, id="hybrid"),
    ],
)
def test_layout(layout: str, memory: int, limit: int | None, tmp_path: Path) -> None:
    """The cgroup nearest to its limit is found, and inactive page cache is not counted as used."""
    plant(f"cgroup/{layout}.tree", tmp_path)
    found = read_one(tmp_path)
    assert found is not None
    assert found.cgroup.startswith(str(tmp_path))
    assert replace(found, cgroup="") == ContainerFigures(taken_at=7.0, memory_bytes=memory, limit_bytes=limit)


@pytest.mark.parametrize("layout", ["v1_root", "v2_root"])
def test_root_cgroup(layout: str, tmp_path: Path) -> None:
    """A process in the root cgroup is in no container: the machine's memory is not a container's."""
    assert read_one(plant(f"cgroup/{layout}.tree", tmp_path)) is None


def test_sidecar_of_another_user(tmp_path: Path) -> None:
    """Where the neighbour's files may not be read there are no figures: least of all the agent's own limit."""
    assert read_one(plant("cgroup/v2_sidecar_other_user.tree", tmp_path)) is None


def test_limit_above_the_machine(tmp_path: Path) -> None:
    """A limit that the machine can't reach is none; one that is just its memory can be hit."""
    plant("cgroup/v2_inside_container.tree", tmp_path)
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    for text, expected in ((f"{MACHINE_BYTES + 4096}", None), (f"{MACHINE_BYTES}", MACHINE_BYTES), ("0", None)):
        limit.write_text(text)
        figures = read_one(tmp_path)
        assert figures is not None
        assert figures.limit_bytes == expected


def test_cache_larger_than_usage(tmp_path: Path) -> None:
    """The two files are read one after the other; the working set never falls below nothing."""
    plant("cgroup/v2_inside_container.tree", tmp_path)
    (tmp_path / "sys/fs/cgroup/memory.current").write_text("10")
    figures = read_one(tmp_path)
    assert figures is not None
    assert figures.memory_bytes == 0


def test_each_cgroup_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty processes in two containers of one pod: each of the three cgroups' memory.stat is read once."""
    plant("cgroup/v2_kubernetes_node.tree", tmp_path)
    pod = tmp_path / "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice"
    second = pod / "cri-containerd-second.scope"
    second.mkdir()
    for file in (pod / "cri-containerd-7f3c9e.scope").iterdir():
        (second / file.name).write_text(file.read_text())
    top = tmp_path / "sys/fs/cgroup"
    paths = [f"0::/{(pod / name).relative_to(top)}" for name in ("cri-containerd-7f3c9e.scope", second.name)]
    for pid in range(100, 120):
        plant_text(
            f"=== proc/{pid}/cgroup\n{paths[pid % 2]}\n=== proc/{pid}/stat\n"
            + (tmp_path / "proc/100/stat").read_text(),
            tmp_path,
        )
    opened: list[str] = []
    reading = source(tmp_path)
    import heapwarden.sources.cgroup as module  # noqa: PLC0415  the name to patch

    original = module.read_file
    monkeypatch.setattr(module, "read_file", lambda path, *limit: (opened.append(path), original(path, *limit))[1])
    assert len(reading.read([process(pid) for pid in range(100, 120)], 1.0)) == 20
    stats = [path for path in opened if path.endswith("memory.stat")]
    assert len(stats) == len(set(stats)) == 4  # two containers, the pod, and kubepods.slice which has a limit too


def test_process_that_moved(tmp_path: Path) -> None:
    """A process moved to another cgroup (systemd does it right after the start) is followed at once."""
    plant("cgroup/v2_systemd_service.tree", tmp_path)
    reading = source(tmp_path)
    assert reading.read([process(100)], 1.0)[process(100).id].limit_bytes == 536_870_912
    shop = tmp_path / "sys/fs/cgroup/system.slice/shop.service"
    shop.rename(shop.with_name("other.service"))
    (tmp_path / "sys/fs/cgroup/system.slice/other.service/memory.max").write_text("400000000\n")
    (tmp_path / "proc/100/cgroup").write_text("0::/system.slice/other.service\n")
    assert reading.read([process(100)], 2.0)[process(100).id].limit_bytes == 400_000_000


def test_cgroup_that_is_seen_later(tmp_path: Path) -> None:
    """A cgroup that could not be found is looked for again after a while, and not at every tick."""
    plant("cgroup/v2_sidecar.tree", tmp_path)
    (tmp_path / "app").rename(tmp_path / "away")
    reading = source(tmp_path)
    assert reading.read([process(100)], 1.0) == {}
    (tmp_path / "away").rename(tmp_path / "app")
    assert reading.read([process(100)], 2.0) == {}
    assert len(reading.read([process(100)], 1.0 + LOOK_AGAIN_SECONDS)) == 1


def test_neighbour_through_another_process(tmp_path: Path) -> None:
    """One process of a container may be closed to the agent and the next open: the figures are the container's."""
    plant("cgroup/v2_sidecar.tree", tmp_path)
    plant_text(
        "=== proc/50/cgroup\n0::/../cri-containerd-app.scope\n=== proc/50/stat\n50 (node) S" + " 5000" * 30, tmp_path
    )
    found = source(tmp_path).read([process(50), process(100)], 1.0)
    assert set(found) == {process(100).id}
    assert found[process(100).id].limit_bytes == 536_870_912


def test_reused_pid(tmp_path: Path) -> None:
    """Who lives under the pid now is someone else, in whatever container he is."""
    plant("cgroup/v2_systemd_service.tree", tmp_path)
    assert source(tmp_path).read([process(100, start=4999)], 1.0) == {}


def test_unseen_and_gone(tmp_path: Path) -> None:
    """A process in a PID namespace of its own, or one that has ended, has no figures."""
    plant("cgroup/v2_systemd_service.tree", tmp_path)
    assert source(tmp_path).read([process(0, 1, "pid:[1]"), process(101)], 1.0) == {}


def test_forgets_the_dead(tmp_path: Path) -> None:
    """What is remembered of a process goes with it."""
    plant("cgroup/v2_systemd_service.tree", tmp_path)
    reading = source(tmp_path)
    reading.read([process(100)], 1.0)
    reading.read([], 2.0)
    assert reading._routes == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes(tmp_path: Path, limit: bytes, usage: bytes, stat: bytes) -> None:
    """Whatever a cgroup's files hold, reading gives figures within reason or none, and no error."""
    if not (tmp_path / "proc").exists():
        plant("cgroup/v2_inside_container.tree", tmp_path)
    top = tmp_path / "sys/fs/cgroup"
    (top / "memory.max").write_bytes(limit)
    (top / "memory.current").write_bytes(usage)
    (top / "memory.stat").write_bytes(b"anon 1\ninactive_file " + stat)
    figures = read_one(tmp_path)
    assert figures is None or figures.memory_bytes >= 0


V1_MEMORY = Path("/sys/fs/cgroup/memory")
needs_v1 = pytest.mark.skipif(
    os.geteuid() != 0 or not (V1_MEMORY / "memory.limit_in_bytes").exists(),
    reason="needs root and the memory controller of cgroup v1 at /sys/fs/cgroup/memory",
)


@pytest.fixture
def pod() -> Iterator[Path]:
    """A real memory cgroup with two below it, ``app`` limited to 256 MiB and ``agent`` to 200 MiB."""
    folder = V1_MEMORY / f"heapwarden-test-{os.getpid()}"
    for name, limit in (("app", 256 * MIB), ("agent", 200 * MIB)):
        (folder / name).mkdir(parents=True)
        (folder / name / "memory.limit_in_bytes").write_text(str(limit))
    yield folder
    for part in (folder / "app", folder / "agent", folder):
        wait_for(lambda part=part: (part / "cgroup.procs").read_text() == "")
        part.rmdir()


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A script that holds 64 MiB, says when it does, and stays."""
    script = tmp_path / "server.js"
    script.write_text("const held = Buffer.alloc(64 << 20, 1); console.log('ready'); setInterval(() => held, 1000)")
    return script


def inside(cgroup: Path, *command: str | Path) -> list[str]:
    """A command line that runs ``command`` in a cgroup."""
    return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(cgroup), *map(str, command)]


def apart(*command: str | Path) -> list[str]:
    """A command line that runs ``command`` in a cgroup namespace, with mounts of its own that show just that."""
    remount = f'umount {V1_MEMORY} && mount -t cgroup -o memory cgroup {V1_MEMORY} && exec "$@"'
    return ["unshare", "-C", "-m", "sh", "-c", remount, "sh", *map(str, command)]


@needs_v1
def test_real_limit(pod: Path, server: Path) -> None:
    """A real Node under a real limit: the limit exactly, and what the kernel accounts right then."""
    with child(inside(pod / "app", node(22), server)) as app:
        assert app.hear() == "ready"
        identified = ProcfsDiscovery().identify(app.pid)
        assert identified is not None
        figures = CgroupSource().read([identified], 1.0)[identified.id]
        used = int((pod / "app" / "memory.usage_in_bytes").read_text())
    assert figures.limit_bytes == 256 * MIB
    assert 60 * MIB < figures.memory_bytes < used + 8 * MIB


SIDECAR = """
import json, os, sys
from heapwarden.sources.cgroup import CgroupSource
from heapwarden.sources.discovery import ProcfsDiscovery
if sys.argv[2:]:
    os.setgroups([]), os.setresgid(*[65534] * 3), os.setresuid(*[65534] * 3)
discovery = ProcfsDiscovery()
processes = [discovery.identify(pid) for pid in (os.getpid(), int(sys.argv[1]))]
figures = CgroupSource().read(processes, 1.0)
print(json.dumps([figures[one.id].limit_bytes if one.id in figures else None for one in processes]))
"""


@needs_v1
@pytest.mark.parametrize(
    ("option", "limits"),
    [
        pytest.param([], [200 * MIB, 256 * MIB], id="allowed"),
        pytest.param(["as another user"], [200 * MIB, None], id="not allowed"),
    ],
)
def test_real_sidecar(option: list[str], limits: list[int | None], pod: Path, server: Path) -> None:
    """Agent and app, each in a real cgroup namespace: to each its own limit, though both see theirs at one path.

    Where the agent may not look through the app's root, it has no figures of the app rather than wrong ones.
    """
    with child(inside(pod / "app", *apart(node(22), server))) as app:
        assert app.hear() == "ready"
        agent = inside(pod / "agent", *apart(sys.executable, "-c", SIDECAR, str(app.pid), *option))
        done = subprocess.run(agent, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == limits
