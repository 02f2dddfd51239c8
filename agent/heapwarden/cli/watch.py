"""``heapwarden watch``: stand beside processes that others start, as a sidecar or on a host."""

import argparse
import asyncio
import logging
import re
import signal
from dataclasses import replace

from heapwarden.cli import logs, options, signals
from heapwarden.domain.errors import SettingsError
from heapwarden.policy.matching import Match
from heapwarden.settings.model import Settings

log = logging.getLogger(__name__)

HANDLED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "watch",
        help="watch Node processes that others start (sidecar, host)",
        description="Watches every Node process that it may see, or those that the options or the settings name. "
        "Processes report their heap when they were started with the reporter (see `heapwarden reporter install`); of "
        "others the kernel's figures are shown. SIGHUP reads the settings again; bad ones leave the old in force.",
        epilog="Example: heapwarden watch --command 'server\\.js'",
    )
    options.add_agent_options(parser)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--pid", type=int, metavar="PID", help="only this process")
    scope.add_argument("--children-of", type=int, metavar="PID", help="only this process and those below it")
    scope.add_argument("--command", metavar="REGEX", help="only processes whose command line has this")
    parser.set_defaults(handler=handle)


def handle(parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    logs.set_up(parsed.log_format, parsed.log_level)
    with signals.blocked(HANDLED) as before:  # until there are handlers: what comes in between is kept, not lost
        settings = _settings(parsed)
        return asyncio.run(_watch(parsed, settings, before))


def _settings(parsed: argparse.Namespace) -> Settings:
    settings = options.settings_of(parsed)
    try:
        command = re.compile(parsed.command) if parsed.command is not None else None
    except re.error as error:
        raise SettingsError(f"--command: not a regular expression: {error}") from error
    within = Match(command=command, pid=parsed.pid, children_of_pid=parsed.children_of)
    return replace(settings, watchlist=replace(settings.watchlist, within=within))


async def _watch(parsed: argparse.Namespace, settings: Settings, mask: set[signal.Signals]) -> int:
    from heapwarden.bootstrap import Agent, raise_descriptor_limit  # noqa: PLC0415  heavy; usage errors come first

    raise_descriptor_limit()
    agent = Agent(settings, log_interval_seconds=options.log_interval_seconds(parsed))
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: agent.reload(lambda: _settings(parsed)))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        await agent.start()
        ends = [asyncio.ensure_future(event.wait()) for event in (stop, agent.broken)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    finally:
        await agent.stop()
    return 1 if agent.broken.is_set() else 0
