"""Variables in values."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.settings.faults import WrongValueError
from heapwarden.settings.variables import escape, fill

ENVIRONMENT = {"PORT": "9797", "EMPTY": "", "DOLLARS": "${PORT} $$"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        pytest.param("plain", "plain", id="nothing to do"),
        pytest.param("${PORT}", "9797", id="set"),
        pytest.param(":${PORT}/${PORT}", ":9797/9797", id="in the middle, twice"),
        pytest.param("${PORT:-1}", "9797", id="set, default unused"),
        pytest.param("${NONE:-1}", "1", id="default"),
        pytest.param("${NONE:-}", "", id="empty default"),
        pytest.param("${NONE:-[::]:1}", "[::]:1", id="default with a colon"),
        pytest.param("${EMPTY:-1}", "1", id="empty counts as unset, as in a shell"),
        pytest.param("${EMPTY}", "", id="empty without default"),
        pytest.param("${DOLLARS}", "${PORT} $$", id="what comes in is not read again"),
        pytest.param("$${PORT}", "${PORT}", id="escaped"),
        pytest.param("$$$${PORT}", "$${PORT}", id="escaped twice"),
        pytest.param("$$${PORT}", "$9797", id="escaped dollar before a variable"),
        pytest.param(r"server\.js$", r"server\.js$", id="regex end"),
        pytest.param("$PORT", "$PORT", id="without braces it is no variable"),
        pytest.param("a$|b$", "a$|b$", id="regex ends"),
    ],
)
def test_fill(text: str, filled: str) -> None:
    """What becomes of each form."""
    assert fill(text, ENVIRONMENT) == filled


@pytest.mark.parametrize(
    "text", ["${", "${PORT", "${}", "${1}", "${A-b}", "${A:?b}", "${A:=b}", "${A:-${B}}", "${ PORT }"]
)
def test_what_is_no_variable(text: str) -> None:
    """Forms of other shells are refused, not taken literally."""
    with pytest.raises(WrongValueError):
        fill(text, ENVIRONMENT)


def test_an_unset_variable_is_named() -> None:
    """And how to give it a default."""
    with pytest.raises(WrongValueError) as caught:
        fill("x${NONE}", ENVIRONMENT)
    assert caught.value.wrong == "variable NONE is not set"
    assert "${NONE:-" in caught.value.right


@given(st.text() | st.text(alphabet="${}A:-"))
def test_escaped_text_survives(text: str) -> None:
    """Whatever it is, it comes out as it went in."""
    assert fill(escape(text), {}) == text


@given(st.text(alphabet="${}AB:-?", max_size=20))
def test_any_text_is_filled_or_refused(text: str) -> None:
    """Nothing else is ever raised."""
    with suppress(WrongValueError):
        fill(text, {"A": "1"})
