"""The ``heapwarden`` command: one file a subcommand. Parses, prints and exits; builds nothing but through bootstrap.

Heavy imports wait until the subcommand that needs them runs.
"""

from heapwarden.cli.main import main

__all__ = ["main"]
