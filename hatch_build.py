"""Builds the live page for wheels and source distributions that are made of a tree without it, or with an older one."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("dashboards", "live")
INDEX = Path("agent", "heapwarden", "web", "live", "index.html")
INSTALL = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")


class LivePage(BuildHookInterface):
    """Runs npm where the page is missing or older than its sources; an editable installation does without it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Called before files are gathered. Raises RuntimeError with what to do."""
        root = Path(self.root)
        if version == "editable" or _is_current(root):
            return
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(
                f"{INDEX} is missing or older than its sources, and building it needs npm: install Node 18 or newer "
                "with npm, or build from the source distribution, which has the page"
            )
        for arguments in (INSTALL, ("run", "build")):
            subprocess.run([npm, *arguments], cwd=root / SOURCE, check=True)  # noqa: S603  npm, with words of our own
        if not (root / INDEX).exists():
            raise RuntimeError(f"`npm run build` in {SOURCE} has ended well, and {INDEX} is not there")


def _is_current(root: Path) -> bool:
    """A source distribution has the page and no sources of it."""
    index, folder = root / INDEX, root / SOURCE
    if not index.exists():
        return False
    sources = [*folder.glob("src/**/*"), *folder.glob("*.mjs"), *folder.glob("package-lock.json")]
    return all(one.stat().st_mtime <= index.stat().st_mtime for one in sources if one.is_file())
