"""The command line: its subcommands, and how their errors end."""

import argparse
import os
import sys

from heapwarden import __version__
from heapwarden.cli import check_config, doctor, history, operate, reporter, run, top, watch
from heapwarden.domain.errors import CommandNotStartedError, HeapwardenError, SettingsError

USAGE_ERROR = 2
"""As argparse's own: the command line or the configuration is wrong, and nothing was started."""
FAILURE = 1
READER_LEFT = 141
"""As a shell gives it: 128 + SIGPIPE."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="heapwarden",
        description="Watches the memory of Node.js processes: heap, collections, limits, health.",
        epilog="Example: heapwarden run -- node server.js   then: curl localhost:9797/healthz",
    )
    parser.add_argument("--version", action="version", version=f"heapwarden {__version__}")
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (run, watch, top, doctor, history, operate, check_config, reporter):
        module.add_to(subcommands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the subcommand that ``arguments`` (default: those of the process) name; the exit code comes back."""
    parsed = build_parser().parse_args(arguments)
    try:
        code: int = parsed.handler(parsed)
        sys.stdout.flush()
    except CommandNotStartedError as error:
        return _fail(error, error.exit_code)
    except SettingsError as error:
        return _fail(error, USAGE_ERROR)
    except HeapwardenError as error:
        return _fail(error, FAILURE)
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except KeyboardInterrupt:
        return 130
    return code


def _fail(error: HeapwardenError, code: int) -> int:
    text = str(error)
    sys.stderr.write(f"heapwarden:\n{text}\n" if "\n" in text else f"heapwarden: {text}\n")
    return code
