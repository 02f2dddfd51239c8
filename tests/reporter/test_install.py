"""The reporter put in place, and NODE_OPTIONS."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from heapwarden.reporter.install import SCRIPT, install, node_options


@pytest.mark.parametrize(
    ("existing", "script", "expected"),
    [
        pytest.param("", "/a/b.cjs", "--require /a/b.cjs", id="nothing set"),
        pytest.param("--inspect", "/a/b.cjs", "--inspect --require /a/b.cjs", id="the user's comes first"),
        pytest.param("", "/a b/c.cjs", '--require "/a b/c.cjs"', id="a space"),
        pytest.param("", '/a"b\\c.cjs', '--require "/a\\"b\\\\c.cjs"', id="a quote and a backslash"),
        pytest.param("--require /a/b.cjs", "/a/b.cjs", "--require /a/b.cjs", id="already there"),
    ],
)
def test_node_options(existing: str, script: str, expected: str) -> None:
    """What is set stays, the reporter is added once, odd paths are quoted."""
    assert node_options(existing, Path(script)) == expected


@pytest.mark.parametrize("folder", ["plain", "with space", 'with"quote', "with\\backslash"])
def test_node_understands_the_quoting(tmp_path: Path, folder: str) -> None:
    """Node really loads a preload from such a folder, after the user's own."""
    (tmp_path / folder).mkdir()
    script = tmp_path / folder / "preload.cjs"
    script.write_text("globalThis.seen = (globalThis.seen || []).concat('ours')")
    own = tmp_path / "own.cjs"
    own.write_text("globalThis.seen = ['own']")
    environment = {**os.environ, "NODE_OPTIONS": node_options(f"--require {own}", script)}
    command = ["node", "-e", "console.log(JSON.stringify(globalThis.seen))"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == ["own", "ours"]


def test_installed_whole_and_readable_by_all(tmp_path: Path) -> None:
    """A folder is made, the file is the packaged one, and a second time replaces it in one step."""
    target = install(tmp_path / "deep" / "folder")
    target.write_text("old")
    assert install(tmp_path / "deep" / "folder") == target
    assert target.read_bytes() == SCRIPT.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in target.parent.iterdir()] == ["heapwarden.cjs"]


def test_a_failed_installation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half-written preload: Node would not start on it."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        install(tmp_path)
    assert list(tmp_path.iterdir()) == []
