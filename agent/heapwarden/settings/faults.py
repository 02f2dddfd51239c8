"""What can be wrong with settings, and how it is told: place, path, what is wrong, what would be right."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

MAX_FAULTS = 50
"""So many are told at most: nobody reads more, and a wrong file could have one on each line."""
MAX_QUOTED_CHARACTERS = 60

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and indices, from the top."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in the file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    path: KeyPath
    wrong: str
    right: str = ""
    """What would be right; empty: what the schema gives as an example."""
    others: tuple[KeyPath, ...] = ()
    """Other keys that play a part: where one of them is faulty itself, this fault may be no more than its echo."""
    place: Place | None = None
    """Where it was seen; None: at the value of ``path``."""


class WrongValueError(ValueError):
    """A text can't be read as what its key wants. A ValueError, because these are what pydantic collects."""

    def __init__(self, wrong: str, right: str = "") -> None:
        """As in :class:`Fault`."""
        super().__init__(f"{wrong}; {right}" if right else wrong)
        self.wrong = wrong
        self.right = right


def quote(text: str) -> str:
    """``text`` in double quotes, safe for a terminal and not too long."""
    shown = text if len(text) <= MAX_QUOTED_CHARACTERS else f"{text[: MAX_QUOTED_CHARACTERS - 1]}…"
    return f'"{printable(shown)}"'


def printable(text: str) -> str:
    """``text``, safe for a terminal and for a line of its own."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def path_text(path: KeyPath) -> str:
    """As in ``processes[0].health.heap_usage.recover``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if step.isidentifier() and len(step) <= MAX_QUOTED_CHARACTERS else quote(step)
            text += f".{shown}" if text else shown
    return text


def without_echoes(faults: Iterable[Fault], faulty: Iterable[KeyPath]) -> list[Fault]:
    """Those of ``faults`` that don't rest on a key that is faulty, lies in a faulty section, or holds a faulty one."""
    itself = set(faulty)
    holding = {path[:length] for path in itself for length in range(1, len(path))}

    def is_known(path: KeyPath) -> bool:
        return path in holding or any(path[:length] in itself for length in range(1, len(path) + 1))

    return [fault for fault in faults if not any(map(is_known, (fault.path, *fault.others)))]


def report(
    where: str, faults: Iterable[Fault], place_of: Callable[[KeyPath], Place], advice: Callable[[KeyPath], str]
) -> str:
    """All faults in the order of the file, a line each: ``file:line:column: path: what is wrong; what would be right``.

    ``place_of`` finds a key's value in the file; ``advice`` knows an example for each key.
    """
    placed = sorted(((fault.place or place_of(fault.path), fault) for fault in faults), key=lambda pair: pair[0])
    lines = []
    for place, fault in placed[:MAX_FAULTS]:
        path = f"{path_text(fault.path)}: " if fault.path else ""
        right = fault.right or advice(fault.path)
        lines.append(f"{where}:{place.line}:{place.column}: {path}{fault.wrong}; {right}")
    if len(placed) > MAX_FAULTS:
        lines.append(f"{where}: {len(placed) - MAX_FAULTS} more faults are not shown; mend these first")
    return "\n".join(lines)
