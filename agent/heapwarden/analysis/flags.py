"""The options that size V8's heap, read off a command line and NODE_OPTIONS as Node itself reads them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from heapwarden.domain.checkup import HeapFlag, Origin
from heapwarden.domain.naming import is_node_name
from heapwarden.domain.node_options import EVAL_OPTIONS, VALUE_OPTIONS

OLD_SPACE = "--max-old-space-size"
PERCENTAGE = "--max-old-space-size-percentage"
HEAP = "--max-heap-size"
SEMI_SPACE = "--max-semi-space-size"
HEAP_OPTIONS = frozenset({OLD_SPACE, PERCENTAGE, HEAP, SEMI_SPACE})
REPORTER_FILE = "heapwarden.cjs"
MOST_REMEMBERED = 2_048
"""What a process was started with never changes, and is looked at again and again."""
MAX_VALUE_CHARACTERS = 32
MAX_FLAGS = 32
MAX_OPTIONS = 64
MAX_NAME_CHARACTERS = 64
_WORD = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def words_of(node_options: str) -> list[str]:
    """NODE_OPTIONS cut at spaces; what stands in double quotes keeps its own."""
    return [_QUOTED.sub(lambda match: match[1], word) for word in _WORD.findall(node_options)]


@lru_cache(MOST_REMEMBERED)
def option_names(node_options: str) -> tuple[str, ...]:
    """The options in NODE_OPTIONS without their values, which may be secret."""
    names = (word.partition("=")[0][:MAX_NAME_CHARACTERS] for word in words_of(node_options) if word.startswith("-"))
    return tuple(dict.fromkeys(names))[:MAX_OPTIONS]


@lru_cache(MOST_REMEMBERED)
def heap_flags(argv: tuple[str, ...], node_options: str | None) -> tuple[HeapFlag, ...]:
    """In the order in which V8 takes them: of two that are the same, the later one holds.

    A process that has overwritten its command line (``process.title``) shows none of its own.
    """
    own, scripts = _divided(argv)
    groups = (
        (words_of(node_options or ""), Origin.NODE_OPTIONS),
        (own, Origin.COMMAND_LINE),
        (scripts, Origin.SCRIPT_ARGUMENTS),
    )
    return tuple(flag for words, origin in groups for flag in _flags(words, origin))[:MAX_FLAGS]


def command_line_known(argv: Sequence[str]) -> bool:
    """Whether Node's own arguments can be read off; not those of a process that has overwritten them."""
    return bool(argv) and is_node_name(argv[0].rpartition("/")[2])


@lru_cache(MOST_REMEMBERED)
def preloads_reporter(argv: tuple[str, ...], node_options: str) -> bool:
    """Whether the reporter's file is among what Node is told to load."""
    own, _ = _divided(argv)
    return any(REPORTER_FILE in word for word in (*words_of(node_options), *own))


def in_force(flags: Iterable[HeapFlag], option: str) -> HeapFlag | None:
    """The one of this option that V8 goes by: the last, unless it has no number, which brings V8's default back."""
    given = [one for one in flags if one.option == option and one.origin is not Origin.SCRIPT_ARGUMENTS]
    return given[-1] if given and given[-1].number else None


def sets_limit(flags: Sequence[HeapFlag]) -> HeapFlag | None:
    """The option that the heap limit comes from; None: from V8's default.

    A percentage wins over a size wherever either stands (seen on Node 22, 24 and 26), a size over --max-heap-size.
    """
    return next((found for option in (PERCENTAGE, OLD_SPACE, HEAP) if (found := in_force(flags, option))), None)


def _flags(words: Iterable[str], origin: Origin) -> Iterator[HeapFlag]:
    rest = iter(words)
    for word in rest:
        name, has_value, value = word.partition("=")
        option = name.replace("_", "-")
        if option in HEAP_OPTIONS:
            if not has_value and option == PERCENTAGE:  # Node's own option, which takes the next word; V8's don't
                value = next(rest, "")
            yield HeapFlag(option, value[:MAX_VALUE_CHARACTERS], origin)


def _divided(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Node's own arguments, and those of the script."""
    if not command_line_known(argv):
        return (), ()
    place = 1
    while place < len(argv):
        word = argv[place]
        if word == "--" or not word.startswith("-") or word == "-":
            return argv[1:place], argv[place + 1 :]
        takes_next = word.replace("_", "-") in VALUE_OPTIONS or word in EVAL_OPTIONS
        place += 2 if takes_next else 1
    return argv[1:], ()
