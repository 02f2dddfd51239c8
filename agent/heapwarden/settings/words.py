"""Commands: a list of words, or one text that is split into them as a shell does. No shell ever runs."""

import shlex
from collections.abc import Sequence

from heapwarden.settings.faults import WrongValueError, quote

MAX_WORDS = 100
MAX_CHARACTERS = 4000

_OF_A_SHELL = frozenset({"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "&>"})
_EXAMPLE = "write for example [systemctl, restart, api]"


def split(text: str) -> tuple[str, ...]:
    """The words of ``text``, with a shell's quotes and backslashes. Raises WrongValueError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        right = "close it, or write a list of words"
        raise WrongValueError(f"{quote(text)} can't be split into words: {error}", right) from None
    for word in words:
        if word in _OF_A_SHELL:
            wrong = f"{quote(word)} means something to a shell only, and no shell is run"
            raise WrongValueError(wrong, "write [sh, -c, '…'] for a shell, or a list for the word itself")
    return check(words)


def check(words: Sequence[object]) -> tuple[str, ...]:
    """``words`` where they can be a command. Raises WrongValueError."""
    texts = tuple(word for word in words if isinstance(word, str))
    if len(texts) < len(words):
        raise WrongValueError("not all of this are plain words", _EXAMPLE)
    if not texts or not texts[0].strip():
        raise WrongValueError("there is no program to run", _EXAMPLE)
    if len(texts) > MAX_WORDS or sum(map(len, texts)) > MAX_CHARACTERS:
        wrong = f"more than {MAX_WORDS} words or {MAX_CHARACTERS} characters"
        raise WrongValueError(wrong, "put them in a script, and write its path")
    for text in texts:
        if "\0" in text or not _encodable(text):
            raise WrongValueError(f"{quote(text)} can't be a word of a command", _EXAMPLE)
    return texts


def _encodable(text: str) -> bool:
    """Whether the kernel can be given it; variables may hold any bytes, which Python shows as some lone surrogates."""
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
