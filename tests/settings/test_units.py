"""Times, sizes and percentages."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.settings.faults import WrongValueError
from heapwarden.settings.units import (
    read_duration,
    read_memory,
    read_percentage,
    read_size,
    write_duration,
    write_memory,
    write_percentage,
    write_size,
)

READERS = [
    pytest.param(read_duration, id="time"),
    pytest.param(read_size, id="size"),
    pytest.param(read_percentage, id="percentage"),
    pytest.param(read_memory, id="memory"),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0.5s", 0.5),
        ("30s", 30.0),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1m30s", 90.0),
        ("1d2h3m4s5ms", 93784.005),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        ("0.1s", 0.1),
        ("90m", 5400.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    """Each unit, fractions and compounds."""
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5",
        "-5s",
        "5 s",
        "5S",
        "10M",
        "1s1m",
        "1s1s",
        "1m30",
        "1e3s",
        ".5s",
        "5.s",
        "٣s",
        "1h\n",
        "9" * 10 + "s",
    ],
)
def test_what_is_no_time(text: str) -> None:
    """No unit, a wrong one, a wrong order, other digits, or too many of them."""
    with pytest.raises(WrongValueError):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("1K", 1024),
        ("1k", 1024),
        ("1Ki", 1024),
        ("1KB", 1024),
        ("1KiB", 1024),
        ("512M", 512 * 2**20),
        ("512Mi", 512 * 2**20),
        ("512mb", 512 * 2**20),
        ("1.5G", 1536 * 2**20),
        ("1 GB", 2**30),
        ("1T", 2**40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """All spellings count by 1024, as PM2 and V8 do."""
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "100", "M", "-1M", "1P", "1MM", "1  M", "1e3M", "1,5G", "80%", "1iB", "1M\n"])
def test_what_is_no_size(text: str) -> None:
    """Above all a bare number: PM2 takes 100 for 100 bytes (Unitech/pm2#2488)."""
    with pytest.raises(WrongValueError):
        read_size(text)


@pytest.mark.parametrize(
    ("text", "ratio"), [("90%", 0.9), ("92.5%", 0.925), ("33.3%", 0.333), ("0%", 0.0), ("120%", 1.2)]
)
def test_percentages(text: str, ratio: float) -> None:
    """The very float that the ratio is written with: defaults compare equal."""
    assert read_percentage(text) == ratio


@pytest.mark.parametrize("text", ["", "%", "90", "0.9", "90 %", "-1%", "90%%", "1e1%", "٩%"])
def test_what_is_no_percentage(text: str) -> None:
    """Above all a number without its sign: 0.9 and 90 could both be meant."""
    with pytest.raises(WrongValueError):
        read_percentage(text)


@pytest.mark.parametrize(
    ("text", "right"), [("90", "write 90%"), ("0.9", "write 90%"), ("0.95", "write 95%"), ("1", "write 100%")]
)
def test_a_bare_number_is_taken_for_what_it_probably_means(text: str, right: str) -> None:
    """Up to 1 it is a ratio, above it a percentage."""
    with pytest.raises(WrongValueError) as caught:
        read_percentage(text)
    assert caught.value.right == right


@given(st.integers(0, 10**12))
def test_times_survive_writing(microseconds: int) -> None:
    """What is written is read as the same time."""
    seconds = microseconds / 1_000_000
    assert read_duration(write_duration(seconds)) == seconds


@given(st.lists(st.sampled_from(["3d", "2h", "90m", "0.5s", "1.125ms"]), min_size=1, unique=True))
def test_compounds_add_up(parts: list[str]) -> None:
    """A compound is the sum of its parts, in the one order that is allowed."""
    order = ["3d", "2h", "90m", "0.5s", "1.125ms"]
    inside = sorted(parts, key=order.index)
    assert read_duration("".join(inside)) == pytest.approx(sum(map(read_duration, inside)))
    if inside != inside[::-1]:
        with pytest.raises(WrongValueError):
            read_duration("".join(inside[::-1]))


@given(st.decimals(0, 100, places=3))
def test_percentages_survive_writing(percentage: object) -> None:
    """What is written is read as the same ratio."""
    ratio = read_percentage(f"{percentage}%")
    assert read_percentage(write_percentage(ratio)) == ratio


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from("KMGT"))
def test_sizes_grow_with_their_number(number: int, more: int, unit: str) -> None:
    """Monotonic, and in proportion to the unit."""
    assert read_size(f"{number}{unit}") < read_size(f"{number + more}{unit}")
    assert read_size(f"{number}{unit}") == number * read_size(f"1{unit}")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1K"),
        (512 * 2**20, "512M"),
        (1536 * 2**20, "1.5G"),
        (2**40, "1T"),
        (2**30 + 1, "1048576.001K"),
    ],
)
def test_sizes_are_written_in_their_largest_unit(size: int, text: str) -> None:
    """That has it exactly."""
    assert write_size(size) == text


@given(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,3})?[KMGT]?B", fullmatch=True))
def test_sizes_survive_writing(text: str) -> None:
    """Of all that can be written, fractions of a byte cut off."""
    size = read_size(text)
    assert read_size(write_size(size)) == size


@given(st.sampled_from(["10M", "1.5G", "300MiB", "0.1%", "80%", "99.999%"]))
def test_memory_survives_writing(text: str) -> None:
    """Sizes stay whole numbers, and shares stay ratios."""
    memory = read_memory(text)
    written = read_memory(write_memory(memory))
    assert (written, type(written)) == (memory, type(memory))


@pytest.mark.parametrize("text", ["9.999M", "0%", "100%", "120%", "1", "x"])
def test_what_is_no_limit_of_memory(text: str) -> None:
    """Too small for Node, or never reached alive."""
    with pytest.raises(WrongValueError):
        read_memory(text)


@pytest.mark.parametrize("read", READERS)
@given(text=st.text(max_size=20) | st.from_regex(r"[0-9.]{0,12}(ms|s|m|h|d|[KMGTkmgt]i?B?|%)?", fullmatch=True))
def test_any_text_is_read_or_refused(read: Callable[[str], float], text: str) -> None:
    """Nothing else is ever raised, and nothing is below 0."""
    with suppress(WrongValueError):
        assert read(text) >= 0
