"""Kinds of values: how one is read, and what the reference calls it. They stand in the schema's annotations."""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from heapwarden.domain.restart import Method
from heapwarden.settings import texts, token, words
from heapwarden.settings.faults import WrongValueError, quote
from heapwarden.settings.units import (
    LEAST_MEMORY,
    read_duration,
    read_memory,
    read_percentage,
    read_share_below,
    read_size,
)

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2")
"""Those that people end Node with; SIGUSR1 opens Node's inspector."""


class Off(Enum):
    """Set, to nothing: what a process may write where the defaults say something."""

    OFF = "off"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    what: str
    """For the reference."""
    read: Callable[[str], Any]
    """Raises WrongValueError."""
    read_list: Callable[[list[Any]], Any] | None = None
    """Where a list of texts will do too; they may be anything. Raises WrongValueError."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic asks this of what stands in ``Annotated``."""
        return core_schema.no_info_plain_validator_function(self._read_given)

    def _read_given(self, given: object) -> Any:
        if isinstance(given, str):
            return self.read(given)
        if isinstance(given, list) and self.read_list is not None:
            return self.read_list(given)
        if given is None:
            raise WrongValueError("there is no value", "write one, or leave the key out")
        raise WrongValueError(f"this is a {'mapping' if isinstance(given, dict) else 'list'}, and one value is wanted")


def time(lowest: str, highest: str, *, whole_seconds: bool = False) -> Kind:
    """Seconds, within bounds."""
    low, high = read_duration(lowest), read_duration(highest)

    def read(text: str) -> float:
        seconds = read_duration(text)
        if not low <= seconds <= high:
            raise WrongValueError(f"{quote(text)} is out of range", f"write a time from {lowest} to {highest}")
        if whole_seconds and seconds % 1:
            raise WrongValueError(f"{quote(text)} is not a number of whole seconds", f"write {math.ceil(seconds)}s")
        return seconds

    return Kind(f"time, {lowest} to {highest}", read)


def size(lowest: str, highest: str) -> Kind:
    """Bytes, within bounds."""
    low, high = read_size(lowest), read_size(highest)

    def read(text: str) -> int:
        found = read_size(text)
        if not low <= found <= high:
            raise WrongValueError(f"{quote(text)} is out of range", f"write a size from {lowest} to {highest}")
        return found

    return Kind(f"size, {lowest} to {highest}", read)


def _share(text: str) -> float:
    ratio = read_percentage(text)
    if not 0 < ratio <= 1:
        raise WrongValueError(f"{quote(text)} is out of range", "write more than 0% and at most 100%")
    return ratio


def or_off(kind: Kind) -> Kind:
    """The same, or ``off``."""

    def read(text: str) -> Any:
        if text == Off.OFF.value:
            return Off.OFF
        try:
            return kind.read(text)
        except WrongValueError as error:
            raise WrongValueError(error.wrong, f"{error.right}, or off") from None

    return Kind(f"{kind.what}, or `off`", read)


def choice(*values: str) -> Kind:
    """One of several words."""

    def read(text: str) -> str:
        if text not in values:
            near = difflib.get_close_matches(text[:100].lower(), values, n=1)
            raise WrongValueError(
                f"{quote(text)} is none of {', '.join(values)}", f"write {near[0]}" if near else "write one of these"
            )
        return text

    return Kind(" or ".join(f"`{value}`" for value in values), read)


def number(lowest: int, highest: int) -> Kind:
    """A whole number, within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            raise WrongValueError(f"{quote(text)} is out of range", f"write a whole number from {lowest} to {highest}")
        return int(text)

    return Kind(f"number, {lowest} to {highest}", read)


LISTEN = Kind("`HOST:PORT`, `[IPV6]:PORT` or `:PORT`", texts.read_listen)
PATH = Kind("absolute path", texts.read_path)
SOCKET_PATH = Kind(f"absolute path, at most {texts.MAX_SOCKET_PATH_BYTES} bytes", texts.read_socket_path)
MODE = Kind("file mode in octal", texts.read_mode)
LEASE = Kind(
    f"1 to {texts.MAX_LEASE_CHARACTERS} lower-case letters, digits, `-` or `.`, as objects of Kubernetes are named",
    texts.read_lease,
)
NAME = Kind(f"1 to {texts.MAX_NAME_CHARACTERS} letters, digits, `.`, `_`, `:` or `-`", texts.read_name)
PATTERN = Kind(f"regular expression, at most {texts.MAX_PATTERN_CHARACTERS} characters", texts.read_pattern)
PID = Kind("pid", texts.read_pid)
PID_OR_PATTERN = Kind("pid, or regular expression", texts.read_pid_or_pattern)
SWITCH = Kind("`true` or `false`", texts.read_switch)
SHARE = Kind("percentage, above 0% to 100%", _share)
SHARE_BELOW = Kind("percentage, above 0% and below 100%", read_share_below)
MEMORY = Kind(f"size, at least {LEAST_MEMORY}, or percentage of the container's limit, below 100%", read_memory)
METHOD = choice(*Method)
WORDS = Kind("list of words, or one text that is split into words as a shell does", words.split, words.check)
URL = Kind("`http://…` or `https://…`", texts.read_url)
TOKEN = Kind(f"at least {token.LEAST_CHARACTERS} printable characters without spaces", token.read)
TOKEN_FILE = Kind("absolute path", token.read_file_name)
