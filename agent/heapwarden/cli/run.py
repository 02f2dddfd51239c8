"""``heapwarden run -- COMMAND``: start a command with the reporter in it, watch it, end as it ends."""

import argparse
import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from heapwarden.actuators.supervise import Child
from heapwarden.cli import logs, options, signals
from heapwarden.policy.matching import Match
from heapwarden.reporter.install import SCRIPT, SOCKET_VARIABLE, install, node_options, readable_by_all
from heapwarden.settings.model import Settings

log = logging.getLogger(__name__)

PID_ONE = 1
LISTENED_TO = signals.HANDED_ON | {signal.SIGCHLD}


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "run",
        help="start a command and watch its Node processes",
        description="Starts COMMAND with the reporter in every Node process of it (through NODE_OPTIONS; what "
        "is set there already is kept), watches those, and exits with COMMAND's exit code (128 + N if signal N did). "
        "SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are handed on. Works as PID 1 of a container.",
        epilog="Example: heapwarden run --listen :9797 -- npm start",
    )
    options.add_agent_options(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")
    parser.set_defaults(handler=lambda parsed: handle(parser, parsed))


def handle(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    command = parsed.command[1:] if parsed.command[:1] == ["--"] else parsed.command
    if not command:
        parser.error("no command given; for example: heapwarden run -- node server.js")
    logs.set_up(parsed.log_format, parsed.log_level)
    settings = options.settings_of(parsed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heapwarden-")))
        folder.chmod(0o711)  # a command that changes its user (gosu, su-exec) must reach what is in it
        if parsed.socket is None:
            settings = replace(settings, socket=folder / "agent.sock", socket_mode=0o666)
        script = SCRIPT if readable_by_all(SCRIPT) else install(folder)
        mask = stack.enter_context(signals.blocked(LISTENED_TO))
        within = Match(children_of_pid=os.getpid())
        settings = replace(settings, watchlist=replace(settings.watchlist, within=within))
        environment = _environment(os.environ, script, settings.socket)
        return asyncio.run(_run(command, environment, mask, settings, options.log_interval_seconds(parsed)))


async def _run(
    command: list[str],
    environment: dict[str, str],
    mask: set[signal.Signals],
    settings: Settings,
    log_interval_seconds: float,
) -> int:
    from heapwarden.bootstrap import Agent, raise_descriptor_limit  # noqa: PLC0415  heavy; usage errors come first

    agent = Agent(settings, log_interval_seconds=log_interval_seconds)
    await agent.start()
    try:
        child = Child.start(command, environment, mask)
        raise_descriptor_limit()  # not before: the command would inherit it
        log.info("started %s", command[0], extra={"pid": child.pid})

        def hand_on(number: int, from_terminal: bool) -> None:
            if number == signal.SIGCHLD:
                if os.getpid() == PID_ONE:
                    child.reap_others()
            elif not from_terminal:
                child.signal(number)

        signals.listen(LISTENED_TO, hand_on)
        code = await child.wait()
        log.info("%s ended with exit code %d", command[0], code, extra={"pid": child.pid, "exit_code": code})
        return code
    finally:
        await agent.stop()


def _environment(environment: Mapping[str, str], script: Path, socket: Path) -> dict[str, str]:
    existing = environment.get("NODE_OPTIONS", "")
    return {**environment, "NODE_OPTIONS": node_options(existing, script), SOCKET_VARIABLE: str(socket)}
