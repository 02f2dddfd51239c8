"""``heapwarden reporter install DIR``: put the preload script where apps can load it."""

import argparse
import sys
from pathlib import Path

from heapwarden.reporter.install import SOCKET_VARIABLE, install, node_options


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "reporter",
        help="the script that Node preloads",
        description="The script that Node preloads to report its heap.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    into = actions.add_parser(
        "install",
        help="copy it into a folder and print the environment an app needs",
        description="Copies heapwarden.cjs into DIR, whole or not at all, and prints the NODE_OPTIONS line (with "
        "--socket also the socket's) that the app must be started with. For an init container that shares DIR with the "
        "app. It must be done before the app starts: Node refuses to start when a preload file is missing.",
        epilog="Example: heapwarden reporter install /opt/heapwarden --socket /run/heapwarden/agent.sock",
    )
    into.add_argument("directory", metavar="DIR", type=Path)
    into.add_argument("--socket", metavar="PATH", help=f"also print {SOCKET_VARIABLE}=PATH")
    into.set_defaults(handler=handle)


def handle(parsed: argparse.Namespace) -> int:
    """Install and print."""
    try:
        script = install(parsed.directory.absolute())
    except OSError as error:
        sys.stderr.write(
            f"heapwarden: {error.filename or parsed.directory}: {error.strerror}; choose a folder you may write\n"
        )
        return 1
    sys.stdout.write(f"NODE_OPTIONS={node_options('', script)}\n")
    if parsed.socket:
        sys.stdout.write(f"{SOCKET_VARIABLE}={parsed.socket}\n")
    return 0
