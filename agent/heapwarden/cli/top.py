"""``heapwarden top``: the watched processes as a table in the terminal."""

import argparse
import io
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from heapwarden.cli.client import AgentUnreachableError, add_url, ask, foreign
from heapwarden.domain.errors import HeapwardenError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from heapwarden.cli.top_table import Rates

PIPED_COLUMNS = 160
LEAST_SECONDS, MOST_SECONDS = 0.1, 3_600.0


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "top",
        help="show the watched processes live in the terminal",
        description="Shows what an agent watches as a table that renews itself: name, health, RSS, heap use of the "
        "effective heap limit, container memory, collections a second, event-loop delay; and below it, why a process "
        "is not healthy. End it with Ctrl-C. Where the output is no terminal it is printed once.",
        epilog="Example: heapwarden top --url http://127.0.0.1:9797",
    )
    add_url(parser)
    parser.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="SECONDS", help="between two looks (default: 1)"
    )
    parser.add_argument("--once", action="store_true", help="print the table once, after two looks, and exit")
    parser.add_argument("--json", action="store_true", help="print the agent's own JSON once and exit")
    parser.set_defaults(handler=handle)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds from {LEAST_SECONDS:g} to {MOST_SECONDS:g} are wanted")
    return seconds


def handle(parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    if parsed.json:
        sys.stdout.write(json.dumps(look(parsed.url), indent=2) + "\n")
        return 0
    try:
        return _print_once(parsed) if parsed.once or not sys.stdout.isatty() else _watch(parsed)
    except ImportError as error:
        raise HeapwardenError("the table needs rich: pip install 'heapwarden[top]' (or use --json)") from error


def look(url: str) -> dict[str, Any]:
    """What the agent under ``url`` knows now. Raises AgentUnreachableError."""
    status, found = ask(url, "/processes")
    if status != 200 or not isinstance(found.get("processes"), list):  # noqa: PLR2004
        raise foreign(url, status)
    return found


def _draw(url: str, now: dict[str, Any], rates: "Rates", width: int, height: int | None = None) -> "RenderableType":
    """The picture of a look. Raises AgentUnreachableError when a figure is missing: another program, or version."""
    from heapwarden.cli.top_table import picture  # noqa: PLC0415  rich is an extra

    try:
        rates.take(now)
        return picture(now, rates, width, height)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise foreign(url) from error


def _print_once(parsed: argparse.Namespace) -> int:
    """Two looks, because collections a second need two."""
    from rich.console import Console  # noqa: PLC0415  an extra

    from heapwarden.cli.top_table import Rates  # noqa: PLC0415  rich is an extra

    console = Console()
    if not console.is_terminal:
        console.width = PIPED_COLUMNS
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # bars on an output that knows ASCII only
    rates = Rates()
    first = look(parsed.url)
    picture = _draw(parsed.url, first, rates, console.width)
    if first["processes"]:
        time.sleep(parsed.interval)
        picture = _draw(parsed.url, look(parsed.url), rates, console.width)
    console.print(picture)
    return 0


def _watch(parsed: argparse.Namespace) -> int:
    from rich.console import Console, Group  # noqa: PLC0415  an extra
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from heapwarden.cli.top_table import Rates  # noqa: PLC0415  rich is an extra

    console, rates = Console(), Rates()
    help_line = Text("Ctrl-C ends", style="dim")
    # Before the screen is taken, so that a wrong address is said on a line that stays.
    last = _draw(parsed.url, look(parsed.url), rates, console.width, console.height - 1)
    live = Live(Group(help_line, last), console=console, screen=True, auto_refresh=False)
    with _sigterm_unwinds():
        try:
            live.start()  # not `with live`: a signal within its __enter__ would leave the other screen up
            while True:
                time.sleep(parsed.interval)
                try:
                    last = _draw(parsed.url, look(parsed.url), rates, console.width, console.height - 1)
                    top_line = help_line
                except AgentUnreachableError as error:
                    top_line = Text(f"{error}; asking again …", style="red")
                live.update(Group(top_line, last), refresh=True)
        except KeyboardInterrupt:
            return 0
        finally:
            live.stop()


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """SIGTERM's default would end the process with the terminal still on the other screen, without a cursor."""

    def leave(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
