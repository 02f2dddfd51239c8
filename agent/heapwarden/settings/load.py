"""The settings file: found, read, checked as a whole, and turned into records; or refused, with all that is wrong."""

from collections.abc import Mapping
from pathlib import Path

from heapwarden.domain.errors import SettingsError
from heapwarden.settings import token
from heapwarden.settings.faults import Fault, WrongValueError, printable, report, without_echoes
from heapwarden.settings.model import Listen, Settings
from heapwarden.settings.texts import read_listen
from heapwarden.settings.units import read_duration, read_memory

MAX_BYTES = 2**20
VARIABLE = "HEAPWARDEN_CONFIG"
USUAL_PATH = Path("/etc/heapwarden/heapwarden.yaml")


def default_path(environment: Mapping[str, str], usual: Path = USUAL_PATH) -> Path | None:
    """The file when none is named: what the variable says, else the usual one if it is there, else none."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    return usual if usual.exists() else None


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings in ``path``; None: the defaults. Raises SettingsError, which tells everything that is wrong."""
    if path is None:
        return Settings()
    where = printable(str(path))
    return parse(_read_text(path, where), where, environment)


def parse(text: str, where: str, environment: Mapping[str, str]) -> Settings:
    """The settings in ``text``; ``where`` is the file's name in messages. Raises SettingsError as :func:`load` does."""
    # pydantic and yaml: only with a file
    from heapwarden.settings import build, check, document, notices, pairs, schema  # noqa: PLC0415

    read = document.read(text, environment, schema.SECRETS)
    faulty = [fault.path for fault in read.faults]
    file, misfits = check.check(read)
    faults = [*read.faults, *without_echoes(misfits, faulty)]
    faulty += [fault.path for fault in misfits]
    faults += without_echoes(pairs.impossible_pairs(file), faulty)
    api_token = file.api.token
    words: list[str] = []
    try:
        if api_token is not None:
            words = token.literal_notice(read.written.get(("api", "token")))
        elif file.api.token_file is not None:
            api_token, words = token.from_file(file.api.token_file)
    except WrongValueError as error:
        faults.append(Fault(("api", "token_file"), error.wrong, error.right))
    if faults:
        raise SettingsError(report(where, faults, read.place_of, check.advice))
    return build.build(file, api_token, (*words, *notices.notices(file)))


def parse_duration(text: str, where: str = "") -> float:
    """Seconds of ``30s`` or ``1m30s``. ``where``: the option it stood in. Raises SettingsError."""
    try:
        return read_duration(text)
    except WrongValueError as error:
        raise SettingsError(f"{where}: {error}" if where else str(error)) from None


def parse_memory(text: str, where: str = "") -> int | float:
    """Bytes as int or a share of the container's limit, as ``max_memory`` takes it. As :func:`parse_duration`."""
    try:
        return read_memory(text)
    except WrongValueError as error:
        raise SettingsError(f"{where}: {error}" if where else str(error)) from None


def parse_listen(text: str, where: str = "") -> Listen:
    """An address as ``listen`` takes it. ``where``: the option it stood in. Raises SettingsError."""
    try:
        return read_listen(text)
    except WrongValueError as error:
        raise SettingsError(f"{where}: {error}" if where else str(error)) from None


def _read_text(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{where}: can't be read: {reason}; name another file, or none for the defaults") from error
    if len(content) > MAX_BYTES:
        raise SettingsError(
            f"{path}: more than {MAX_BYTES:,} bytes; settings are some thousand: is this the right file?"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        byte = content[error.start]
        raise SettingsError(
            f"{path}:{line}:{column}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        ) from error
