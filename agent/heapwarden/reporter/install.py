"""Putting the reporter in front of an app: the file, and NODE_OPTIONS."""

import os
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).with_name("heapwarden.cjs")
SOCKET_VARIABLE = "HEAPWARDEN_SOCKET"


def node_options(existing: str, script: Path) -> str:
    """``existing`` NODE_OPTIONS with the reporter preloaded after whatever is preloaded already.

    Node splits NODE_OPTIONS at spaces; a value in double quotes keeps its own, with backslash as escape.
    """
    escaped = str(script).replace("\\", "\\\\").replace('"', '\\"')
    option = f'--require "{escaped}"' if any(c in escaped for c in ' "\\') else f"--require {escaped}"
    if option in existing:
        return existing
    return f"{existing} {option}".strip()


def readable_by_all(script: Path) -> bool:
    """Whether any user may load ``script``: an app that changes its user does not start without its preload."""
    folders = all(folder.stat().st_mode & 0o001 for folder in script.parents)
    return folders and bool(script.stat().st_mode & 0o004)


def install(directory: Path) -> Path:
    """Copy the reporter into ``directory``, whole or not at all: Node refuses to start on a preload that is missing.

    Readable for every user, because the app may run as another one. Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / SCRIPT.name
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{SCRIPT.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(SCRIPT.read_bytes())
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).rename(target)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target
