"""The API's token: read from its file or from the settings, and never shown, whatever is wrong with it."""

import os
import re
import stat
from pathlib import Path

from heapwarden.settings.faults import WrongValueError, printable
from heapwarden.settings.model import ApiToken
from heapwarden.settings.texts import read_path

LEAST_CHARACTERS = 16
MAX_CHARACTERS = 1000

_MAKE_ONE = "make one with: openssl rand -hex 32"
_VARIABLE = re.compile(r"\$\{\w+\}")
_LITERAL = "api.token: written in this file; api.token_file, or a variable as ${HEAPWARDEN_TOKEN}, keeps it apart"


def read(text: str) -> ApiToken:
    """What can stand in a header after ``Bearer``. Raises WrongValueError."""
    if len(text) < LEAST_CHARACTERS:
        raise WrongValueError(f"the token has fewer than {LEAST_CHARACTERS} characters", _MAKE_ONE)
    if len(text) > MAX_CHARACTERS:
        raise WrongValueError(f"the token has more than {MAX_CHARACTERS} characters", _MAKE_ONE)
    if not re.fullmatch("[!-~]+", text):
        raise WrongValueError("the token has spaces, line ends or other than ASCII characters", _MAKE_ONE)
    return ApiToken(text)


def read_file_name(text: str) -> Path:
    """As :func:`read_path`, without a word of what was written. Raises WrongValueError."""
    try:
        return read_path(text)
    except WrongValueError:
        right = "write the whole path, as /etc/heapwarden/token; the token itself goes into api.token"
        raise WrongValueError("what is written here is not an absolute path", right) from None


def from_file(path: Path) -> tuple[ApiToken, list[str]]:
    """The token in ``path``, and a notice where everyone may read it. Raises WrongValueError."""
    name = printable(str(path))
    try:
        # not to wait for a FIFO's writer
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise WrongValueError(
                    f"{name} is not a regular file", "name one that holds the token, alone on its line"
                )
            content = file.read(MAX_CHARACTERS + 100)
    except OSError as error:
        right = "the agent's user must be able to read it"
        raise WrongValueError(f"{name} can't be read: {error.strerror}", right) from None
    try:
        token = read(content.decode("ascii", "replace").strip())
    except WrongValueError as error:
        raise WrongValueError(f"{name}: {error.wrong}", error.right) from None
    open_to_all = (
        f"api.token_file: everyone on this machine may read {name}; chmod 600 (in Kubernetes: defaultMode 0400)"
    )
    return ApiToken(token.value, path), [open_to_all] if mode & stat.S_IROTH else []


def literal_notice(written: str | None) -> list[str]:
    """A notice of a token that isn't just a variable; ``written``: how it stands in the file, if with variables."""
    return [] if written is not None and _VARIABLE.fullmatch(written) else [_LITERAL]
