"""Commands and how they become words."""

import shlex
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.settings.faults import WrongValueError
from heapwarden.settings.words import MAX_CHARACTERS, MAX_WORDS, check, split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("systemctl restart api", ("systemctl", "restart", "api")),
        (r"a 'b c' \"d e\" f\ g", ("a", "b c", '"d', 'e"', "f g")),
        ('a "" b', ("a", "", "b")),
        ("a #b", ("a", "#b")),
        ("a $B `c` *.js", ("a", "$B", "`c`", "*.js")),
        ("a b;c d|e", ("a", "b;c", "d|e")),
    ],
)
def test_a_text_is_split_as_a_shell_does(text: str, words: tuple[str, ...]) -> None:
    """Quotes and backslashes count; nothing is expanded."""
    assert split(text) == words


@pytest.mark.parametrize("word", ["|", "&&", ";", ">", "2>&1"])
def test_what_needs_a_shell_is_refused(word: str) -> None:
    """The program would get it as a plain word. In a list it is meant as one."""
    with pytest.raises(WrongValueError, match="no shell is run"):
        split(f"a {word} b")
    assert check(["a", word, "b"]) == ("a", word, "b")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="none"),
        pytest.param([""], id="no program"),
        pytest.param([" ", "a"], id="a program of spaces"),
        pytest.param(["a", None], id="a word that isn't there"),
        pytest.param(["a", ["b"]], id="a list within"),
        pytest.param(["a\0b"], id="NUL"),
        pytest.param(["a", "\ud800"], id="no bytes stand for it"),
        pytest.param(["a"] * (MAX_WORDS + 1), id="too many"),
        pytest.param(["a" * (MAX_CHARACTERS + 1)], id="too long"),
    ],
)
def test_what_is_no_command(words: list[object]) -> None:
    """Nothing that could not be started."""
    with pytest.raises(WrongValueError):
        check(words)


def test_the_bounds_just_hold() -> None:
    """And bytes that are no UTF-8, as they come out of the environment, are passed on."""
    assert len(check(["a"] * MAX_WORDS)) == MAX_WORDS
    check(["a" * MAX_CHARACTERS])
    assert check(["a", "\udcff"]) == ("a", "\udcff")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10), min_size=1, max_size=5))
def test_what_is_quoted_comes_back(words: list[str]) -> None:
    """Whatever the words are."""
    with suppress(WrongValueError):
        assert split(shlex.join(words)) == tuple(words)


@given(st.text())
def test_any_text_is_split_or_refused(text: str) -> None:
    """Nothing else is ever raised."""
    with suppress(WrongValueError):
        assert split(text)
