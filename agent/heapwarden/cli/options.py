"""Options that several subcommands share, and the settings they lead to."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from heapwarden.policy.matching import Watchlist
from heapwarden.policy.restart import MemoryRule, RestartRules
from heapwarden.settings import default_path, load, parse_duration, parse_listen, parse_memory
from heapwarden.settings.model import Settings


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    """Options of whoever runs an agent."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="settings (default: $HEAPWARDEN_CONFIG, else /etc/heapwarden/heapwarden.yaml, else built in)",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="HTTP address; port 0 lets the kernel choose")
    parser.add_argument("--socket", metavar="PATH", type=Path, help="Unix socket that reporters connect to")
    parser.add_argument(
        "--max-memory",
        "--max-memory-restart",
        metavar="SIZE",
        help="restart from this resident memory on, as 300M, or 80%% of the container's limit, once it has held for "
        "10s; a process whose own rule in the settings has a limit keeps that",
    )
    parser.add_argument("--state-dir", metavar="DIR", type=Path, help="where restarts and exits are remembered")
    parser.add_argument(
        "--log-interval",
        metavar="TIME",
        default="60s",
        help="how often to log each process's memory; 0s: never (%(default)s)",
    )
    parser.add_argument(
        "--log-format", choices=("auto", "human", "json"), default="auto", help="auto: human on a terminal"
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings file's, with what the command line says instead. Raises SettingsError."""
    settings = load(options.config or default_path(os.environ), os.environ)
    if options.listen:
        settings = replace(settings, listen=parse_listen(options.listen, "--listen"))
    if options.socket:
        settings = replace(settings, socket=options.socket.absolute())
    if options.state_dir:
        settings = replace(settings, state_dir=options.state_dir.absolute())
    if options.max_memory is not None:
        limit = parse_memory(options.max_memory, "--max-memory")
        settings = replace(settings, watchlist=_with_max_memory(settings.watchlist, limit))
    return settings


def with_writable_state(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """For who isn't root: a folder of the user's own, where the usual one can't be written and no other was named."""
    usual = Settings().state_dir
    if settings.state_dir != usual or os.geteuid() == 0 or os.access(_nearest(usual), os.W_OK | os.X_OK):
        return settings
    own = own_state_dir(environment)
    return settings if own is None else replace(settings, state_dir=own)


def own_state_dir(environment: Mapping[str, str]) -> Path | None:
    """The user's own folder for state; None for a user without a home, as containers have them."""
    try:
        home = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        return None
    return home / "heapwarden" if home.is_absolute() else None


def log_interval_seconds(options: argparse.Namespace) -> float:
    """As ``--log-interval`` says. Raises SettingsError."""
    return parse_duration(options.log_interval, "--log-interval")


def _with_max_memory(watchlist: Watchlist, limit: float) -> Watchlist:
    """``limit`` as the default, and so in every rule that has none but the default."""
    default = watchlist.default_restart.max_memory
    rule = replace(default, limit=limit) if default else MemoryRule(limit)

    def limited(restart: RestartRules) -> RestartRules:
        return replace(restart, max_memory=rule) if restart.max_memory in (None, default) else restart

    return replace(
        watchlist,
        default_restart=limited(watchlist.default_restart),
        rules=tuple(replace(one, restart=limited(one.restart)) for one in watchlist.rules),
    )


def _nearest(path: Path) -> Path:
    """``path``, or what there is above it."""
    return next(place for place in (path, *path.parents) if os.access(place, os.F_OK))
