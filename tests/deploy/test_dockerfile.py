"""The Dockerfile, by its linter."""

import subprocess
from pathlib import Path

from fakes.machine import ROOT
from fakes.manifests import BIN


def lint(file: Path) -> str:
    """What hadolint says of it; empty: nothing."""
    done = subprocess.run([BIN / "hadolint", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_nothing_is_found() -> None:
    """Every rule, with no exceptions."""
    assert lint(ROOT / "Dockerfile") == ""


def test_a_moving_tag_is_found(tmp_path: Path) -> None:
    """The linter reads what it is given."""
    file = tmp_path / "Dockerfile"
    file.write_text((ROOT / "Dockerfile").read_text().replace("${PYTHON_IMAGE} AS installed", "python AS installed"))
    assert "DL3006" in lint(file)
