"""``heapwarden history``: what the journal holds, newest last."""

import argparse
import io
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heapwarden.cli.logs import shown
from heapwarden.cli.options import own_state_dir
from heapwarden.domain.errors import JournalError
from heapwarden.domain.event import EventKind
from heapwarden.settings import default_path, load, parse_duration
from heapwarden.settings.model import Settings

if TYPE_CHECKING:
    from heapwarden.journal.reading import Page

DEFAULT_LIMIT, MOST = 100, 1_000_000


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "history",
        help="show restarts, exits and health changes from the journal",
        description="Shows what an agent has written to its journal, newest last: restarts with their reasons and "
        "figures, restarts that were wanted and not allowed, exits, health changes, and requests. Needs no running "
        "agent; reads only.",
        epilog="Example: heapwarden history --since 24h --kind restart --kind exit",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--state-dir", metavar="DIR", type=Path, help="the journal's folder, as the agent's `state_dir`")
    place.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the agent's settings (default: $HEAPWARDEN_CONFIG, else /etc/heapwarden/heapwarden.yaml, else built in)",
    )
    parser.add_argument("--process", metavar="NAME", help="only this process")
    parser.add_argument(
        "--kind",
        choices=[str(kind) for kind in EventKind],
        action="append",
        default=[],
        help="only this kind of event; may be given more than once",
    )
    parser.add_argument("--since", metavar="TIME", help="only the last 24h, 30m, 7d")
    parser.add_argument(
        "--limit", metavar="N", type=_limit, default=DEFAULT_LIMIT, help="no more than the newest N (%(default)s)"
    )
    parser.set_defaults(handler=handle)


def _limit(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 to {MOST} is wanted")
    return number


def handle(parsed: argparse.Namespace) -> int:
    """Run the subcommand. Raises JournalError, SettingsError."""
    from heapwarden.cli import history_lines  # noqa: PLC0415  only this subcommand needs it

    page = _page(parsed)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names on an output that knows ASCII only
    if parsed.json:
        lines = history_lines.as_json(page.entries)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        lines = history_lines.as_table(page.entries, colour=colour)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    for note in _notes(page, parsed.limit):
        sys.stderr.write(f"heapwarden: {note}\n")
    return 0


def _page(parsed: argparse.Namespace) -> "Page":
    from heapwarden.journal import FILE_NAME  # noqa: PLC0415  as above
    from heapwarden.journal.reading import read_page  # noqa: PLC0415

    since = None if parsed.since is None else time.time() - parse_duration(parsed.since, "--since")
    folder, origin = _folder(parsed)
    try:
        return read_page(folder / FILE_NAME, parsed.limit, process=parsed.process, kinds=parsed.kind, since_wall=since)
    except JournalError as error:
        where = f"{folder} is {origin}; name another folder with --state-dir, or the agent's settings with --config"
        raise JournalError(shown(f"{error}\n{where}", keep="\n")) from error


def _folder(parsed: argparse.Namespace) -> tuple[Path, str]:
    """The journal's folder, and how it came to be that."""
    if parsed.state_dir is not None:
        return parsed.state_dir, "what --state-dir says"
    file = parsed.config or default_path(os.environ)
    folder = load(file, os.environ).state_dir
    if own := _own(folder, Settings().state_dir):
        return own, "where `heapwarden run` keeps it for you"
    return folder, f"`state_dir` of {file}" if file else "the built-in `state_dir`"


def _own(folder: Path, usual: Path) -> Path | None:
    """This user's own folder, if `heapwarden run` could not write to the usual one and has kept a journal there."""
    from heapwarden.journal import FILE_NAME  # noqa: PLC0415  as above

    own = own_state_dir(os.environ)
    if own is None or folder != usual or (folder / FILE_NAME).exists():
        return None
    return own if (own / FILE_NAME).exists() else None


def _notes(page: "Page", limit: int) -> list[str]:
    notes = []
    if page.more and limit == DEFAULT_LIMIT:
        notes.append(f"the newest {limit}; --limit shows more")
    if page.unreadable:
        notes.append(f"{page.unreadable} rows hold no event that this version can read, and are left out")
    if page.newest_missing:
        notes.append("the newest events can't be read as this user, and are missing")
    if not (page.entries or page.more or page.unreadable):
        notes.append("the journal holds no such events")
    return notes
