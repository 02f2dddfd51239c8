"""Times, sizes and percentages: how they are read, and written back."""

import re
from decimal import Decimal

from heapwarden.settings.faults import WrongValueError, quote

LEAST_MEMORY = "10M"
"""Less than any Node process needs."""

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,3})?"
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_TIME = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit in _MILLISECONDS))
"""Units from large to small, each at most once."""

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(rf"({_NUMBER}) ?(?:([KMGT])(?:i?B|i)?|B)", re.IGNORECASE)
_PERCENTAGE = re.compile(rf"({_NUMBER})%")
_BARE = re.compile(_NUMBER)


def read_duration(text: str) -> float:
    """Seconds of ``500ms``, ``30s``, ``10m``, ``1h``, ``1d`` or ``1m30s``. Raises WrongValueError."""
    match = _TIME.fullmatch(text)
    if match and text:
        parts = zip(match.groups(), _MILLISECONDS.values(), strict=True)
        return float(sum(Decimal(number) * unit for number, unit in parts if number) / 1000)
    if _BARE.fullmatch(text):
        raise WrongValueError(f"{quote(text)} has no unit", f"write {text}s (or ms, m, h, d)")
    raise WrongValueError(f"{quote(text)} is not a time", "write numbers with units, as 500ms, 30s, 10m, 1h or 1m30s")


def write_duration(seconds: float) -> str:
    """The text that :func:`read_duration` reads as ``seconds``."""
    rest = Decimal(repr(seconds)) * 1000
    text = ""
    for unit, milliseconds in _MILLISECONDS.items():
        count = rest if unit == "ms" else rest // milliseconds
        rest -= count * milliseconds
        if count:
            text += f"{_plain(count)}{unit}"
    return text or "0s"


def read_size(text: str) -> int:
    """Bytes of ``512M``, ``512Mi``, ``512MB`` or ``1.5G``, each a multiple of 1024. Raises WrongValueError.

    PM2, Docker, systemd and V8's own options count so; Kubernetes counts ``M`` by 1000 and ``Mi`` by 1024.
    """
    match = _SIZE.fullmatch(text)
    if match:
        return int(Decimal(match[1]) * 1024 ** _POWERS[(match[2] or "").upper()])
    if _BARE.fullmatch(text):
        raise WrongValueError(f"{quote(text)} has no unit, and would be {text} bytes", f"write {text}M (or K, G, T)")
    raise WrongValueError(f"{quote(text)} is not a size", "write a number with a unit, as 512M, 512Mi or 1.5G")


def write_size(size: int) -> str:
    """The text that :func:`read_size` reads as ``size``, in the largest unit that has it exactly."""
    for unit, power in sorted(_POWERS.items(), key=lambda pair: -pair[1]):
        whole = 1024**power
        thousandths = -(-size * 1000 // whole)  # upwards: reading cuts fractions of a byte off
        if size >= whole and thousandths * whole // 1000 == size:
            return f"{_plain(Decimal(thousandths) / 1000)}{unit or 'B'}"
    return f"{size}B"


def read_memory(text: str) -> int | float:
    """Bytes as int, or a share of the container's limit as float. Raises WrongValueError."""
    if text.endswith("%"):
        return read_share_below(text)
    try:
        size = read_size(text)
    except WrongValueError as error:
        raise WrongValueError(error.wrong, f"{error.right}, or 80% of the container's limit") from None
    if size < read_size(LEAST_MEMORY):
        wrong = f"{quote(text)} is {size:,} bytes, less than any Node process needs"
        raise WrongValueError(wrong, f"write at least {LEAST_MEMORY}")
    return size


def write_memory(limit: float) -> str:
    """The text that :func:`read_memory` reads as ``limit``."""
    return write_size(limit) if isinstance(limit, int) else write_percentage(limit)


def read_share_below(text: str) -> float:
    """The ratio of a percentage that can be reached while the process still lives. Raises WrongValueError."""
    ratio = read_percentage(text)
    if not 0 < ratio < 1:
        right = "write more than 0% and less than 100%"
        raise WrongValueError(f"{quote(text)} is out of range", right)
    return ratio


def read_percentage(text: str) -> float:
    """The ratio that ``90%`` or ``92.5%`` stands for. Raises WrongValueError."""
    match = _PERCENTAGE.fullmatch(text)
    if match:
        return float(Decimal(match[1]) / 100)
    if _BARE.fullmatch(text):
        meant = Decimal(text) * 100 if Decimal(text) <= 1 else Decimal(text)
        raise WrongValueError(f"{quote(text)} has no % sign", f"write {_plain(meant)}%")
    raise WrongValueError(f"{quote(text)} is not a percentage", "write a number with a % sign, as 90%")


def write_percentage(ratio: float) -> str:
    """The text that :func:`read_percentage` reads as ``ratio``."""
    return f"{_plain(Decimal(repr(ratio)) * 100)}%"


def _plain(number: Decimal) -> str:
    """Without exponent and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
