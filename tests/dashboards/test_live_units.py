"""What the live page computes: its own tests, run by Node's test runner."""

import shutil
import subprocess

from fakes.machine import ROOT, node

LIVE = ROOT / "dashboards" / "live"


def test_rows_stacks_marks_and_figures_of_the_live_page() -> None:
    """On the oldest Node that may build it."""
    done = subprocess.run([node(18), "test.mjs"], cwd=LIVE, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_live_pages_types_are_sound() -> None:
    """By the compiler, strictly."""
    tsc = LIVE / "node_modules" / "typescript" / "bin" / "tsc"
    for project in ("tsconfig.json", "test/tsconfig.json"):
        command = [shutil.which("node") or node(18), tsc, "--noEmit", "--project", project]
        done = subprocess.run(command, cwd=LIVE, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout
