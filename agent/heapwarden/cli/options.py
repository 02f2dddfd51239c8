"""Options that several subcommands share, and the settings they lead to."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from heapwarden.settings import default_path, load, parse_duration, parse_listen
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
    return settings


def log_interval_seconds(options: argparse.Namespace) -> float:
    """As ``--log-interval`` says. Raises SettingsError."""
    return parse_duration(options.log_interval, "--log-interval")
