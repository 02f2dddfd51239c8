"""Logs: one JSON object a line for machines, readable and harmless lines for people, and never too many."""

import ast
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.cli import logs
from heapwarden.cli.logs import BURST, PER_SECONDS, HumanFormatter, JsonFormatter, Throttle, set_up

PACKAGE = Path(logs.__file__).parents[1]
ESCAPE = "\x1b"


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """`set_up` replaces the process's handlers; the test runner wants its own back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def record(message: str = "said", *args: object, level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    """A record as a logger makes it; ``more`` is its ``extra``."""
    return logging.getLogger("heapwarden.x").makeRecord(
        "heapwarden.x", level, "place.py", 7, message, args, None, extra=more
    )


def failed(text: str) -> logging.LogRecord:
    """A record of an exception that was caught."""
    made = record("it failed", level=logging.ERROR)
    try:
        raise RuntimeError(text)  # noqa: TRY301  a traceback needs a raise
    except RuntimeError:
        made.exc_info = sys.exc_info()
    return made


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers() | st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(message=st.text(), extra=ANYTHING)
def test_every_line_is_one_json_object(message: str, extra: object) -> None:
    """Whatever the message and its extras are: one line, valid by JSON's own rules (no NaN)."""
    line = JsonFormatter().format(record("%s", message, given=extra))
    assert len(line.splitlines()) == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(line, parse_constant=refuse)["message"] == message


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({("a", 1): 2}, id="a key that is no text"),
        pytest.param({1: [float("nan")]}, id="not a number, deep"),
        pytest.param(object(), id="an object"),
    ],
)
def test_what_json_cannot_say_becomes_text(extra: object) -> None:
    """The line is kept; only the odd extra is turned into text."""
    assert isinstance(json.loads(JsonFormatter().format(record(given=extra)))["given"], str)


def test_an_extra_that_contains_itself_costs_no_line() -> None:
    """A ring in an extra is written as Python shows it."""
    ring: list[object] = []
    ring.append(ring)
    assert json.loads(JsonFormatter().format(record(given=ring)))["given"] == "[[...]]"


def test_a_json_line_has_time_level_logger_and_extras() -> None:
    """The fields that log collectors look for; the time in RFC 3339, UTC, and the record's own."""
    made = record("watching %s", "api", level=logging.WARNING, pid=12, memory={"rss": 1})
    line = json.loads(JsonFormatter().format(made))
    written = line.pop("time")
    assert line == {
        "level": "warning",
        "logger": "heapwarden.x",
        "message": "watching api",
        "pid": 12,
        "memory": {"rss": 1},
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written)
    assert abs(datetime.fromisoformat(written) - datetime.fromtimestamp(made.created, UTC)).total_seconds() < 0.01


def test_extras_cannot_pass_for_the_lines_own_fields() -> None:
    """A caller's `level` or `time` does not replace the record's."""
    line = json.loads(JsonFormatter().format(record(level_="ok", logger="forged", time="forged")))
    assert (line["logger"], line["level_"]) == ("heapwarden.x", "ok")
    assert line["time"] != "forged"


def test_an_exception_stands_in_the_line() -> None:
    """With its traceback, still on one line."""
    text = JsonFormatter().format(failed("broken"))
    assert "\n" not in text
    exception = json.loads(text)["exception"]
    assert exception.startswith("Traceback")
    assert exception.endswith("RuntimeError: broken")


def test_people_see_control_characters_and_terminals_do_not_obey_them() -> None:
    """A title that a process gave itself can't clear the screen, ring, or forge a second line."""
    line = HumanFormatter(colour=False).format(record("%s", f"{ESCAPE}[2J\a\r\nforged\u202e ünï"))
    assert line.endswith(r"heapwarden \x1b[2J\x07\r\nforged\u202e ünï")
    assert line.isprintable()


def test_people_see_control_characters_of_exceptions() -> None:
    """A traceback keeps its lines, and nothing else of what a terminal obeys."""
    text = HumanFormatter(colour=False).format(failed(f"{ESCAPE}]0;title\a"))
    assert r"RuntimeError: \x1b]0;title\x07" in text
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    ("level", "said"),
    [
        pytest.param(logging.INFO, "heapwarden said", id="info has no word"),
        pytest.param(logging.WARNING, "heapwarden warning: said", id="warning"),
        pytest.param(logging.ERROR, "heapwarden error: said", id="error"),
    ],
)
def test_the_level_is_said_from_warnings_on(level: int, said: str) -> None:
    """In words, so that it is there without colour."""
    assert HumanFormatter(colour=False).format(record(level=level)).endswith(said)


def write(stream: io.StringIO, form: str) -> str:
    """One warning through `set_up`, as ``stream`` gets it."""
    set_up(form, "info", stream)
    logging.getLogger("heapwarden.x").warning("said")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "stream", "human", "coloured"),
    [
        pytest.param("auto", Screen, True, True, id="auto on a terminal"),
        pytest.param("auto", io.StringIO, False, False, id="auto elsewhere"),
        pytest.param("human", io.StringIO, True, False, id="human in a file has no colour"),
        pytest.param("json", Screen, False, False, id="json on a terminal"),
    ],
)
def test_the_form_follows_the_stream_unless_it_is_named(
    form: str, stream: type[io.StringIO], human: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People's lines on a terminal, JSON elsewhere; colour on a terminal only."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = write(stream(), form)
    assert text.startswith("{") is not human
    assert (ESCAPE in text) is coloured


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR (no-color.org) holds on a terminal too."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert ESCAPE not in write(Screen(), "auto")


def test_lines_below_the_level_are_not_written() -> None:
    """`--log-level error` is quiet."""
    stream = io.StringIO()
    set_up("json", "error", stream)
    logging.getLogger("heapwarden.x").warning("said")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["uvicorn", "asyncio", "httpx2", "httpcore2.http11"])
def test_libraries_do_not_tell_of_each_request(name: str) -> None:
    """The API is asked every few seconds while a restart waits for its place."""
    stream = io.StringIO()
    set_up("json", "debug", stream)
    logging.getLogger(name).info("HTTP Request: GET https://10.0.0.1:443/")
    assert stream.getvalue() == ""
    logging.getLogger(name).warning("said")
    assert stream.getvalue() != ""


def at(seconds: float, place: int = 7, message: str = "said %d%%", name: str = "heapwarden.x") -> logging.LogRecord:
    """A record of one place and time."""
    made = logging.LogRecord(name, logging.INFO, "place.py", place, message, (5,), None)
    made.created = seconds
    return made


def test_one_place_writes_a_burst_and_others_are_unaffected() -> None:
    """A thousand lines in a second come to BURST; another place still speaks."""
    throttle = Throttle()
    assert sum(throttle.filter(at(100 + n / 1_000)) for n in range(1_000)) == BURST
    assert throttle.filter(at(101, place=8))


def test_what_was_left_out_is_counted_once() -> None:
    """The first line after the pause tells how many there were; the next does not repeat it."""
    throttle = Throttle()
    for _ in range(BURST + 13):
        throttle.filter(at(100))
    first, second = at(100 + PER_SECONDS), at(100 + PER_SECONDS)
    assert throttle.filter(first)
    assert throttle.filter(second)
    assert first.getMessage() == "said 5% (13 lines like this left out before)"
    assert second.getMessage() == "said 5%"


def test_slow_lines_are_all_written() -> None:
    """As many as a burst allows, again and again: nothing is left out, nothing is said about it."""
    throttle = Throttle()
    lines = [at(100 + n * PER_SECONDS / BURST) for n in range(10 * BURST)]
    assert all(throttle.filter(line) for line in lines)
    assert {line.getMessage() for line in lines} == {"said 5%"}


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_no_window_holds_more_than_two_bursts(times: list[float]) -> None:
    """However lines fall: at most two bursts within PER_SECONDS (the end of one window, the start of the next)."""
    throttle = Throttle()
    written = [time for time in sorted(times * 2) if throttle.filter(at(time))]
    for begin in written:
        assert sum(begin <= time < begin + PER_SECONDS for time in written) <= 2 * BURST


def test_a_clock_set_back_silences_nothing() -> None:
    """A wall clock an hour back must not mean an hour without lines."""
    throttle = Throttle()
    for _ in range(BURST + 1):
        throttle.filter(at(10_000))
    assert throttle.filter(at(6_400))


def test_the_throttle_keeps_a_line_of_memory_for_a_place_of_code() -> None:
    """It is keyed by where the code stands, never by what is said: messages from outside can't make it grow."""
    throttle = Throttle()
    for n in range(1_000):
        throttle.filter(at(100 + n, message=f"from outside {n} %d"))
    assert len(throttle._seen) == 1


def test_the_periodic_memory_line_is_said_as_often_as_it_was_asked_for() -> None:
    """`--log-interval 1s` with ten processes gives a hundred lines in ten seconds, from one place."""
    throttle = Throttle()
    assert all(throttle.filter(at(100, name="heapwarden.runtime.memory_log")) for _ in range(100))


def test_the_bounded_loggers_exist() -> None:
    """A renamed module would be throttled again without a word."""
    for name in logs.BOUNDED_ALREADY:
        assert PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py").exists(), name


def extra_keys() -> Iterator[tuple[str, str]]:
    """Every literal key that the package gives as a log line's ``extra``, and where."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                for key in node.value.keys:
                    assert isinstance(key, ast.Constant), f"{file.name}:{node.value.lineno}"
                    yield str(key.value), f"{file.name}:{node.value.lineno}"


def test_no_log_line_of_the_package_names_a_reserved_extra() -> None:
    """Logging raises KeyError where an extra is called `name` or `args`; and `time` or `level` would not be written."""
    reserved = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "time", "level", "logger", "exception"}
    found = list(extra_keys())
    assert len(found) >= 4, "no extras found: has the package's way to give them changed?"
    assert [(key, where) for key, where in found if key in reserved] == []
