"""``heapwarden check-config [FILE]``: say whether settings are right, and what they come to."""

import argparse
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from heapwarden.domain.errors import SettingsError
from heapwarden.settings import default_path, load
from heapwarden.settings.faults import printable
from heapwarden.settings.render import as_yaml, summary

WRONG = 1

_PLACE = re.compile(r"^.*?:\d+:\d+:(?= )", re.MULTILINE)


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "check-config",
        help="say whether a settings file is right",
        description="Reads FILE as the agent would, with the variables of this shell, and tells everything that is "
        "wrong with path, line and column (exit code 1), or what the settings come to (exit code 0).",
        epilog="Example: heapwarden check-config config/heapwarden.yaml",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="default: $HEAPWARDEN_CONFIG, else /etc/heapwarden/heapwarden.yaml if it exists, else built in",
    )
    parser.add_argument("--print", action="store_true", dest="whole", help="print the complete settings as YAML")
    parser.set_defaults(handler=handle)


def handle(parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    path = parsed.file or default_path(os.environ)
    return run(path, os.environ, sys.stdout, sys.stderr, whole=parsed.whole)


def run(path: Path | None, environment: Mapping[str, str], out: TextIO, err: TextIO, *, whole: bool = False) -> int:
    """Check ``path`` (None: the built-in settings); faults go to ``err``. The exit code comes back."""
    try:
        settings = load(path, environment)
    except SettingsError as error:
        in_colour = err.isatty() and not environment.get("NO_COLOR")
        text = _PLACE.sub("\x1b[1;31m\\g<0>\x1b[0m", str(error)) if in_colour else str(error)
        err.write(f"{text}\n")
        return WRONG
    if whole:
        out.write(as_yaml(settings))
        return 0
    which = printable(str(path)) if path else "no file: the built-in settings"
    out.write(f"{which}: right\n\n{summary(settings)}")
    if settings.notices:
        out.write("\nRight, but note:\n" + "".join(f"  {notice}\n" for notice in settings.notices))
    return 0
