"""YAML, checked, turned into frozen policy objects.

The only place that knows how settings are spelled. Everything wrong is told at once, with path, line, column and what
would be right; nothing is half-applied.
"""

from heapwarden.settings.load import default_path, load, parse, parse_duration, parse_listen, parse_memory

__all__ = ["default_path", "load", "parse", "parse_duration", "parse_listen", "parse_memory"]
