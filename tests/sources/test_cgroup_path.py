"""Where cgroups lie: mapping of paths on mounts, and nothing mapped where it does not belong."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.sources.cgroup_path import (
    CgroupMount,
    MemoryCgroup,
    below,
    cgroup_mounts,
    find_folders,
    memory_cgroup,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0::/system.slice/a.service\n", MemoryCgroup(2, "/system.slice/a.service"), id="v2"),
        pytest.param("4:memory:/docker/x\n0::/y\n", MemoryCgroup(1, "/docker/x"), id="hybrid"),
        pytest.param("0::/y\n4:cpu,memory:/docker/x\n", MemoryCgroup(1, "/docker/x"), id="two controllers, v2 first"),
        pytest.param("4:memory:/a:b\n", MemoryCgroup(1, "/a:b"), id="colon in the name"),
        pytest.param("4:memory:/a\u2028b\n", MemoryCgroup(1, "/a\u2028b"), id="what Python takes for a line's end"),
        pytest.param("1:name=memory:/x\n", None, id="a hierarchy that only bears the name"),
        pytest.param("4:cpu:/x\n", None, id="no memory controller"),
        pytest.param("nonsense\n\n:\n", None, id="nonsense"),
        pytest.param("", None, id="empty"),
    ],
)
def test_memory_cgroup(text: str, expected: MemoryCgroup | None) -> None:
    """The hierarchy that has the memory controller is taken, whatever else there is."""
    assert memory_cgroup(text.encode()) == expected


def test_mounts() -> None:
    """Only mounts that can show memory cgroups, escapes undone, those that show most first."""
    mountinfo = b"""\
22 28 0:20 / /proc rw shared:1 - proc proc rw
33 31 0:29 /docker/x /sys/fs/cgroup/memory ro master:18 propagate_from:2 - cgroup cgroup rw,memory
34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
35 31 0:29 / /host/a\\040b\\134c rw - cgroup cgroup rw,cpu,memory
36 31 0:31 /.. /v2 rw - cgroup2 cgroup2 rw
37 31
"""
    assert cgroup_mounts(mountinfo) == (
        CgroupMount(1, (), "/host/a b\\c", "0:29"),
        CgroupMount(2, ("..",), "/v2", "0:31"),
        CgroupMount(1, ("docker", "x"), "/sys/fs/cgroup/memory", "0:29"),
    )


@pytest.mark.parametrize(
    ("cgroup", "root", "expected"),
    [
        pytest.param("/a/b", "/", ("a", "b"), id="whole tree"),
        pytest.param("/a/b", "/a", ("b",), id="part of the tree"),
        pytest.param("/a/b", "/a/b", (), id="the cgroup itself"),
        pytest.param("/", "/", (), id="root"),
        pytest.param("/../app", "/../app", (), id="neighbour's own mount"),
        pytest.param("/../app/sub", "/../app", ("sub",), id="below the neighbour"),
        pytest.param("/../../x", "/../..", ("x",), id="a tree mounted from above the namespace"),
        pytest.param("/../app", "/", None, id="neighbour, by the agent's own mount"),
        pytest.param("/../../x", "/..", None, id="higher than the mount's root"),
        pytest.param("/../app", "/../..", None, id="below a root whose names between are not known"),
        pytest.param("/app-2", "/app", None, id="a name that begins alike"),
        pytest.param("/a", "/a/b", None, id="above the mount's root"),
    ],
)
def test_below(cgroup: str, root: str, expected: tuple[str, ...] | None) -> None:
    """A mount shows a cgroup only where its root is a beginning of the path and no way up is left over."""
    mount = CgroupMount(2, tuple(part for part in root.split("/") if part), "/sys/fs/cgroup", "0:1")
    assert below(MemoryCgroup(2, cgroup), mount) == expected
    assert below(MemoryCgroup(1, cgroup), mount) is None


def test_another_file_system_on_top(tmp_path: Path) -> None:
    """A stranger's folder counts only if it is on the file system that the kernel names: he may mount over it."""
    (tmp_path / "cg").mkdir()
    (tmp_path / "cg" / "memory.current").write_text("1")
    mount = CgroupMount(2, ("app",), "/cg", "0:999999")
    cgroup = MemoryCgroup(2, "/app")
    assert find_folders(cgroup, (mount,), str(tmp_path), check_device=True) is None
    found = find_folders(cgroup, (mount,), str(tmp_path))
    assert found is not None
    assert found.upwards == (f"{tmp_path}/cg",)


def test_link_in_place_of_the_folder(tmp_path: Path) -> None:
    """A stranger's link would lead through the agent's own root, so it is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "cg").symlink_to(tmp_path / "real")
    number = tmp_path.stat().st_dev
    mounts = [CgroupMount(2, (), point, f"{os.major(number)}:{os.minor(number)}") for point in ("/real", "/cg")]
    real, link = (find_folders(MemoryCgroup(2, "/"), [one], str(tmp_path), check_device=True) for one in mounts)
    assert real is not None
    assert link is None


@given(st.binary(max_size=300), st.binary(max_size=600))
def test_any_bytes(cgroup: bytes, mountinfo: bytes) -> None:
    """Whatever stands in the two files, it is read without an error."""
    found = memory_cgroup(cgroup)
    mounts = cgroup_mounts(mountinfo + b"\n1 2 0:3 / /\\000 rw - cgroup2 c rw")
    if found is not None:
        find_folders(found, mounts, "/nowhere")


PARTS = st.lists(st.sampled_from(["a", "b", "..", "c d"]), max_size=4)


@given(PARTS, PARTS)
def test_what_is_shown_is_below(cgroup: list[str], root: list[str]) -> None:
    """Root and rest together are always the cgroup again, and the rest only leads down."""
    rest = below(MemoryCgroup(1, "/" + "/".join(cgroup)), CgroupMount(1, tuple(root), "/x", "0:1"))
    if rest is not None:
        assert [*root, *rest] == cgroup
        assert ".." not in rest
