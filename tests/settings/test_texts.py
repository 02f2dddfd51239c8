"""Addresses, paths, names, patterns and words."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.settings import texts
from heapwarden.settings.faults import WrongValueError
from heapwarden.settings.model import Listen

READERS = [pytest.param(getattr(texts, name), id=name) for name in sorted(vars(texts)) if name.startswith("read_")]


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:9797", Listen("127.0.0.1", 9797)),
        (":9797", Listen("0.0.0.0", 9797)),  # noqa: S104  the address itself is what is tested
        ("localhost:0", Listen("localhost", 0)),
        ("[::1]:80", Listen("::1", 80)),
        ("[::]:65535", Listen("::", 65535)),
        ("[fe80::1%eth0]:1", Listen("fe80::1%eth0", 1)),
        ("heap-warden.svc.local:1", Listen("heap-warden.svc.local", 1)),
    ],
)
def test_addresses(text: str, listen: Listen) -> None:
    """Each form that DESIGN and people use; writing gives one that reads the same."""
    assert texts.read_listen(text) == listen
    assert texts.read_listen(texts.write_listen(listen)) == listen


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "9797",
        "a:",
        "::1",
        "[::1]",
        "::1:80",
        "[::1:80",
        "a b:1",
        "-a:1",
        "a:-1",
        "a:99999",
        "1.2.3:1",
        "a:٣",
        "a:1\n",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Ports out of range, half addresses, and hosts that nobody has."""
    with pytest.raises(WrongValueError):
        texts.read_listen(text)


def test_a_socket_path_may_have_107_bytes() -> None:
    """Bytes, not characters: the kernel's sun_path holds 108 with a 0 at the end."""
    assert texts.read_socket_path("/" + "a" * 106) == Path("/" + "a" * 106)
    assert texts.read_socket_path("/" + "ä" * 53) == Path("/" + "ä" * 53)
    for text in ("/" + "a" * 107, "/" + "ä" * 54, "/", "/run/", "run/x", "@abstract", "/a\0b"):
        with pytest.raises(WrongValueError):
            texts.read_socket_path(text)


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("0666", 0o666), ("0200", 0o200)])
def test_modes(text: str, mode: int) -> None:
    """Octal, as in chmod."""
    assert texts.read_mode(text) == mode


@pytest.mark.parametrize("text", ["660", "432", "0o660", "1660", "0680", "0440", "0000", "", "0660\n"])
def test_what_is_no_mode(text: str) -> None:
    """Without the 0 it could be decimal; without a w nobody could connect."""
    with pytest.raises(WrongValueError):
        texts.read_mode(text)


def test_names_fit_labels_and_urls() -> None:
    """No slash, no space, nothing that a URL would lose, and at most 100 characters."""
    for text in ("a", "api-v2.worker_1:x", "no", "42", "a" * 100, ".hidden"):
        assert texts.read_name(text) == text
    for text in ("", ".", "..", "a/b", "a b", "ä", "a" * 101, "a%2Fb", "a\n"):
        with pytest.raises(WrongValueError):
            texts.read_name(text)


@pytest.mark.parametrize(
    "text", ["", "(", "*.js", "a" * 1001, "(" * 999, "a{99999999999999999999}", "(?P<x>a)(?P<x>b)", "a(?i)b"]
)
def test_what_is_no_pattern(text: str) -> None:
    """Whatever Python's compiler has against it comes out as one kind of error."""
    with pytest.raises(WrongValueError):
        texts.read_pattern(text)


def test_a_pattern_that_a_later_python_reads_otherwise_is_taken_without_a_warning() -> None:
    """`[[` makes re warn of nested sets."""
    assert texts.read_pattern("[[a]").search("[")


def test_only_digits_are_a_pid() -> None:
    """Anything else is a pattern."""
    assert texts.read_pid_or_pattern("42") == 42
    pattern = texts.read_pid_or_pattern("pm2 4")
    assert not isinstance(pattern, int)
    assert pattern.search("node pm2 42")
    for text in ("0", "4194305", "9" * 30, ""):
        with pytest.raises(WrongValueError):
            texts.read_pid_or_pattern(text)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("ON", True), ("false", False), ("no", False)]
)
def test_switches(text: str, value: bool) -> None:
    """YAML's words, in any case."""
    assert texts.read_switch(text) is value


@pytest.mark.parametrize("read", READERS)
@given(text=st.text(max_size=30) | st.from_regex(r"[\[\]():/.*+?{}0-9a-z|\\^$-]{0,20}", fullmatch=True))
def test_any_text_is_read_or_refused(read: Callable[[str], Any], text: str) -> None:
    """Nothing else is ever raised."""
    with suppress(WrongValueError):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://a",
        "https://example.com/a/b?c=d&e=%20@",
        "http://127.0.0.1:8080/hook",
        "http://[::1]:1/",
        "HTTP://A/",
        "https://a/@b",
    ],
)
def test_urls(text: str) -> None:
    """They are sent as they are written."""
    assert texts.read_url(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "//a/b",
        "ftp://a",
        "file:///etc/passwd",
        "http://",
        "http:///a",
        "http://:80/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:x/",
        "http://[::1/",
        "http://a/ b",
        "http://a/\n",
        "http://ä/",
        "http://a/#b",
        "http://a/" + "x" * 2000,
    ],
)
def test_what_is_no_url(text: str) -> None:
    """Other protocols, no host, or what can't stand in a request."""
    with pytest.raises(WrongValueError):
        texts.read_url(text)


@pytest.mark.parametrize("text", ["http://u:hunter2@a/", "https://hunter2@a", "x://u:hunter2@a", "http://u:hunter2@ b"])
def test_a_password_in_a_url_is_refused_unseen(text: str) -> None:
    """It would be shown wherever the URL is."""
    with pytest.raises(WrongValueError) as caught:
        texts.read_url(text)
    assert "hunter2" not in str(caught.value)
