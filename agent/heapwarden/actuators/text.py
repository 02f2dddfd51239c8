"""Text from outside, made fit for logs, terminals and the journal."""

import re

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours and the like (ECMA-48, control sequences)."""


def one_line(data: bytes) -> str:
    """As UTF-8 where it is, on one line, without colours and control characters."""
    text = _ESCAPES.sub("", data.decode(errors="replace"))
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
