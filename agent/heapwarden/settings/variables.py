"""``${NAME}`` and ``${NAME:-default}`` in the text of a value."""

import re
from collections.abc import Mapping

from heapwarden.settings.faults import WrongValueError, quote

_MARK = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<inside>[^}]*)(?P<end>\}?))")
_REFERENCE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-.*)?", re.DOTALL)


class UnsetVariableError(WrongValueError):
    """A variable is not set. The message has the variable's name and nothing else of what was written."""


def fill(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with its variables' values, and ``$$`` as one ``$``; any other ``$`` stands for itself.

    A default holds where the variable is unset or empty, as in a shell and in Compose. What comes in is not read for
    variables again. Raises WrongValueError.
    """

    def value(mark: re.Match[str]) -> str:
        if mark["dollar"]:
            return "$"
        reference = _REFERENCE.fullmatch(mark["inside"])
        if not reference or not mark["end"] or "${" in mark["inside"]:
            right = "write ${NAME} or ${NAME:-default}, and $${ for ${ itself"
            raise WrongValueError(f"{quote(mark[0])} is not a variable", right)
        name, default = reference["name"], reference["default"]
        found = environment.get(name, "")
        if default is not None:
            return found or default.removeprefix(":-")
        if name not in environment:
            raise UnsetVariableError(f"variable {name} is not set", f"set it, or give a default: ${{{name}:-…}}")
        return found

    return _MARK.sub(value, text)


def escape(text: str) -> str:
    """The text that :func:`fill` turns into ``text``."""
    return re.sub(r"\$(?=[${])", "$$", text)
