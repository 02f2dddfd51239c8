"""Everything under dashboards/ that is generated stands in the commit as it is made now."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixin import output

ROOT = Path(__file__).parents[2]
MADE = output.files()


def test_every_file_is_committed_as_it_is_made() -> None:
    """And no other file stands in the generated folders."""
    committed = output.committed()
    stale = {path for path in MADE.keys() | committed.keys() if MADE.get(path) != committed.get(path)}
    assert stale == set(), "run `make dashboards` and commit what it changes"


def test_something_of_every_folder_is_made() -> None:
    """A test over no files would pass."""
    assert {Path(path).parts[0] for path in MADE} == set(output.GENERATED)


def test_every_file_ends_its_last_line() -> None:
    """As editors want it."""
    assert [path for path, text in MADE.items() if not text.endswith("\n") or text.endswith("\n\n")] == []


def test_the_same_is_made_in_another_process() -> None:
    """With another order of sets and hashes."""
    script = "from mixin import output; print(sorted(output.files().items()))"
    path = str(ROOT / "dashboards")
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout == f"{sorted(MADE.items())}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place for the generated files, and all of them in it."""
    monkeypatch.setattr(output, "DASHBOARDS", tmp_path)
    monkeypatch.setattr(output, "files", lambda: MADE)  # made once: it takes a while
    assert len(list(output.write())) == len(MADE)
    assert output.committed() == MADE
    return tmp_path


def test_a_file_that_was_changed_by_hand_is_noticed_and_written_again(folder: Path) -> None:
    """Only that one."""
    file = folder / "grafana" / "heapwarden-fleet.json"
    file.write_text(file.read_text().replace("Fleet", "Flotilla", 1))
    assert output.committed() != MADE
    assert list(output.write()) == [file]
    assert output.committed() == MADE


def test_a_file_that_is_missing_is_noticed_and_written_again(folder: Path) -> None:
    """As after a dashboard was added."""
    file = folder / "grafana" / "heapwarden-agent.json"
    file.unlink()
    assert output.committed() != MADE
    assert list(output.write()) == [file]


def test_a_file_that_is_made_no_more_is_noticed_and_removed(folder: Path) -> None:
    """As after a dashboard was renamed."""
    file = folder / "grafana" / "heapwarden-old.json"
    file.write_text("{}\n")
    assert output.committed() != MADE
    assert list(output.write()) == [file]
    assert not file.exists()
