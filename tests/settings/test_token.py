"""The API's token: where it may come from, and that it is never shown."""

import os
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.domain.errors import SettingsError
from heapwarden.settings import load, parse
from heapwarden.settings.faults import WrongValueError
from heapwarden.settings.model import ApiToken, Settings
from heapwarden.settings.token import MAX_CHARACTERS, from_file, read

TOKEN = "Tr0ub4dor-and-3.horses"  # noqa: S105  of this test


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def settings_with(token_file: Path) -> Settings:
    """What a settings file comes to that names this token file."""
    return parse(f"api: {{token_file: '{token_file}'}}", "f.yaml", {})


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n", f"  {TOKEN}\r\n\n"])
def test_a_token_in_a_file_of_its_own(tmp_path: Path, content: str) -> None:
    """White space around it doesn't count."""
    path = write(tmp_path / "token", content)
    settings = settings_with(path)
    assert settings.api_token == ApiToken(TOKEN, path)
    assert settings.notices == ()


def test_a_link_to_it_is_followed(tmp_path: Path) -> None:
    """Kubernetes mounts secrets as links."""
    write(tmp_path / "real", TOKEN)
    (tmp_path / "token").symlink_to("real")
    assert from_file(tmp_path / "token") == (ApiToken(TOKEN, tmp_path / "token"), [])


@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)])
def test_a_file_that_everyone_may_read_is_told(tmp_path: Path, mode: int, told: int) -> None:
    """A notice, no fault: secrets are mounted so by default."""
    path = write(tmp_path / "token", TOKEN, mode)
    notices = settings_with(path).notices
    assert len(notices) == told
    assert all(str(path) in notice and "chmod 600" in notice for notice in notices)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "fewer than 16"),
        ("\n" * 50, "fewer than 16"),
        ("x" * 15, "fewer than 16"),
        ("x" * (MAX_CHARACTERS + 1), "more than 1000"),
        (f"{TOKEN}\n{TOKEN}", "spaces, line ends"),
        (f"{TOKEN} x", "spaces, line ends"),
        (f"{TOKEN}ä", "other than ASCII"),
        (f"{TOKEN}\0", "other than ASCII"),
        (b"\xff\xfe" + TOKEN.encode("utf-16-le"), "other than ASCII"),
    ],
)
def test_a_file_without_a_token(tmp_path: Path, content: str | bytes, wrong: str) -> None:
    """What is wrong with it, where it was named, and nothing of what it holds."""
    path = write(tmp_path / "token", content)
    with pytest.raises(SettingsError, match=rf"^f.yaml:1:19: api.token_file: {path}: .*{wrong}") as caught:
        settings_with(path)
    assert TOKEN not in str(caught.value)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """Not there, a folder, or something that has no end or no writer: nothing is waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path, reason in (
        (tmp_path / "none", "can't be read: No such file or directory"),
        (tmp_path, "is a directory|Is a directory|is not a regular file"),
        (tmp_path / "fifo", "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
    ):
        with pytest.raises(SettingsError, match=rf"api.token_file: {path} .*({reason})"):
            settings_with(path)


def test_reading_the_settings_again_reads_the_token_again(tmp_path: Path) -> None:
    """So SIGHUP changes it; while the file is wrong, the settings are refused as a whole."""
    file, path = tmp_path / "h.yaml", write(tmp_path / "token", TOKEN)
    file.write_text(f"api: {{token_file: '{path}'}}")
    assert load(file, {}).api_token == ApiToken(TOKEN, path)
    write(path, f"{TOKEN}2")
    assert load(file, {}).api_token == ApiToken(f"{TOKEN}2", path)
    write(path, "")
    with pytest.raises(SettingsError, match="fewer than 16"):
        load(file, {})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        pytest.param('"${SECRET}"', False, id="a variable"),
        pytest.param(TOKEN, True, id="as it is"),
        pytest.param(f'"${{NOPE:-{TOKEN}}}"', True, id="a default"),
        pytest.param('"Tr0${REST}"', True, id="a part of it"),
    ],
)
def test_a_token_among_the_settings(written: str, told: bool) -> None:
    """It works; whoever writes it into the file itself is told of better places."""
    settings = parse(f"api: {{token: {written}}}", "f.yaml", {"SECRET": TOKEN, "REST": "ub4dor-and-3.horses"})
    assert settings.api_token == ApiToken(TOKEN)
    assert [notice.split(":")[0] for notice in settings.notices] == ["api.token"] * told
    assert TOKEN not in f"{settings!r} {settings} {settings.notices}"


BROKEN = (
    "api: {token: 'SECRET '}",
    "api: {token: SECRET\n\n\n  x}",
    "api: {token: ${SECRET}}",
    "api: {token: 'a${SECRET'}",
    "api: {token: '${${SECRET}}'}",
    "api: {token: '${SECRET:?}'}",
    "api: {token: '${EMPTY:-SECRET }'}",
    "api: {token: !SECRET x}",
    "api: {token: *SECRET}",
    "api: {token: &SECRET x, token_file: &SECRET y}",
    "api: {token: !x!SECRET x}",
    "api:\n  token: *SECRET\n",
    "api: {token: [SECRET]}",
    "api: {token: {SECRET: 1}}",
    "api: {token_file: SECRET}",
    "api: {token_file: 'a${SECRET'}",
    "api: {token: SECRET, token_file: /nowhere}",
    "api: SECRET",
    "api: [SECRET]",
    "api: {token: SECRET}\nlisten: 1",
    "api: {token: SECRET}\napi: {token: SECRET}",
    "api: {tokn: SECRET}",
    "listen: &SECRET x\napi: {token: SECRET}\nsocket: *SECRET",
)


@pytest.mark.parametrize("text", BROKEN)
def test_no_fault_shows_a_token(text: str) -> None:
    """In whatever way the file is wrong."""
    secret = "hunter2hunter2hunter2"  # noqa: S105  of this test
    with pytest.raises(SettingsError) as caught:
        parse(text.replace("SECRET", secret), "f.yaml", {"EMPTY": ""})
    assert "hunter2" not in str(caught.value)


@given(st.text(string.printable, max_size=40))
def test_any_text_is_taken_whole_or_refused(text: str) -> None:
    """What is taken can stand in a header."""
    token = None
    with suppress(WrongValueError):
        token = read(text)
    if token is not None:
        assert token.value == text
        assert text.isprintable()
        assert " " not in text
        assert text not in repr(token)
