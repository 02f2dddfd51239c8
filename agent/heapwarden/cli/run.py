"""``heapwarden run -- COMMAND``: start a command with the reporter in it, watch it, end as it ends."""

import argparse
import asyncio
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from heapwarden.actuators.keeper import Keeper, RestartPolicy
from heapwarden.actuators.orphans import Orphans
from heapwarden.actuators.programs import TOKEN_VARIABLE
from heapwarden.actuators.supervise import Child
from heapwarden.cli import logs, options, signals
from heapwarden.domain.restart import Method
from heapwarden.policy.matching import Match
from heapwarden.reporter.install import SCRIPT, SOCKET_VARIABLE, install, node_options, readable_by_all
from heapwarden.runtime.clock import SystemClock
from heapwarden.settings.model import Settings

LISTENED_TO = signals.HANDED_ON | {signal.SIGCHLD}


def add_to(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the subcommand."""
    parser = subcommands.add_parser(
        "run",
        help="start a command and watch its Node processes",
        description="Starts COMMAND with the reporter in every Node process of it (through NODE_OPTIONS; what "
        "is set there already is kept), watches those, and exits with COMMAND's exit code (128 + N if signal N did). "
        "COMMAND is started again after a restart that Heapwarden makes, by a rule or by request, and after other ends "
        "as --restart says; the agent stays up meanwhile. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are "
        "handed on; after one of the first four COMMAND is not started again. Works as PID 1 of a container.",
        epilog="Example: heapwarden run --listen :9797 --restart on-failure -- npm start",
    )
    options.add_agent_options(parser)
    parser.add_argument(
        "--restart",
        choices=[policy.value for policy in RestartPolicy],
        default=RestartPolicy.NEVER.value,
        help="start COMMAND again after ends that Heapwarden did not cause: never, after an exit code other than 0 or "
        "a signal, or always; it waits 1s, doubled each time up to 30s, and 1s again once COMMAND has run for 60s "
        "(%(default)s)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")
    parser.set_defaults(handler=lambda parsed: handle(parser, parsed))


def handle(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    """Run the subcommand."""
    command = parsed.command[1:] if parsed.command[:1] == ["--"] else parsed.command
    if not command:
        parser.error("no command given; for example: heapwarden run -- node server.js")
    logs.set_up(parsed.log_format, parsed.log_level)
    settings = options.with_writable_state(options.settings_of(parsed), os.environ)
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
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)

        def start() -> Child:
            return Child.start(command, environment, mask, open_files)

        return asyncio.run(_run(parsed, command[0], start, settings))


async def _run(parsed: argparse.Namespace, name: str, start: Callable[[], Child], settings: Settings) -> int:
    from heapwarden.bootstrap import Agent, raise_descriptor_limit  # noqa: PLC0415  heavy; usage errors come first

    interval = options.log_interval_seconds(parsed)
    agent = Agent(settings, log_interval_seconds=interval, default_method=Method.SUPERVISE)
    await agent.start()
    try:
        policy = RestartPolicy(parsed.restart)
        keeper = Keeper(name, start, policy=policy, overseer=agent, remains=Orphans(), clock=SystemClock())
        raise_descriptor_limit()
        return await keeper.keep(lambda: signals.listen(LISTENED_TO, keeper.hear))
    finally:
        await agent.stop()


def _environment(environment: Mapping[str, str], script: Path, socket: Path) -> dict[str, str]:
    existing = environment.get("NODE_OPTIONS", "")
    kept = {name: value for name, value in environment.items() if name != TOKEN_VARIABLE}
    return {**kept, "NODE_OPTIONS": node_options(existing, script), SOCKET_VARIABLE: str(socket)}
