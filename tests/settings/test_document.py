"""YAML turned into texts with places."""

import pytest

from heapwarden.settings.document import MAX_DEPTH, MAX_NODES, read
from heapwarden.settings.faults import Place


@pytest.mark.parametrize(
    "written",
    ["0660", "no", "12:30", "1e3", "0x10", "2024-01-01", "1_000", "=", "true", "90%", "'null'", '"~"', "!!str null"],
)
def test_a_scalar_stays_what_was_written(written: str) -> None:
    """YAML 1.1 would make octals, booleans, sexagesimals and dates of these."""
    document = read(f"key: {written}", {})
    assert document.tree == {"key": written.removeprefix("!!str ").strip("'\"")} or written == "!!str null"
    assert not document.faults


@pytest.mark.parametrize("written", ["", "~", "null", "NULL"])
def test_nothing_is_none(written: str) -> None:
    """Only where it is not quoted."""
    assert read(f"key: {written}", {}).tree == {"key": None}


def test_a_variable_is_only_text() -> None:
    """What it brings in adds no keys, no list, no alias and no null."""
    for value in ("{a: b}", "x\nother: 1", "[1, 2]", "*a", "null", "", "# c"):
        document = read("key: ${V}\nlist: [0, '${V}']", {"V": value})
        assert document.tree == {"key": value, "list": ["0", value]}
        assert document.written[("key",)] == "${V}"


def test_places() -> None:
    """Line and column of keys and values, both from 1; a value that isn't there has its section's place."""
    document = read("a: 1\nb:\n  - c: 2\n    d: {e: 3}\n", {})
    assert document.values["a",] == Place(1, 4)
    assert document.values["b", 0, "c"] == Place(3, 8)
    assert document.keys["b", 0, "d"] == Place(4, 5)
    assert document.values["b", 0, "d", "e"] == Place(4, 12)
    assert document.place_of(("b", 0, "x", "y")) == Place(3, 5)
    assert document.place_of(("z",)) == Place(1, 1)


def test_columns_count_characters() -> None:
    """Not bytes."""
    assert read("a: [ä, b]", {}).values["a", 1] == Place(1, 8)


def test_an_alias_repeats_its_value() -> None:
    """With the place where the value stands, so that a fault in it is found."""
    document = read("a: &x {b: 1}\nc: *x\n", {})
    assert document.tree == {"a": {"b": "1"}, "c": {"b": "1"}}
    assert document.values["c", "b"] == Place(1, 11)


def test_repeated_values_are_not_shared() -> None:
    """What is cut out of one must stay in the other."""
    tree = read("a: &x {b: 1}\nc: *x\n", {}).tree
    assert tree["a"] is not tree["c"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 500_000, id="open brackets"),
        pytest.param("- " * 500_000, id="open lists"),
        pytest.param("a: &a [*a]", id="alias within itself"),
        pytest.param("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, id="one level too deep"),
        pytest.param("[" + "a," * MAX_NODES + "]", id="too many values"),
        pytest.param("\n".join([f"- &a [{'x,' * 300}]", *["- [*a,*a,*a,*a]"] * 50]), id="too many by aliases"),
    ],
)
def test_bounds(text: str) -> None:
    """Deep, endless or exploding input is refused as soon as that is known."""
    document = read(text, {})
    assert document.tree == {}
    assert len(document.faults) == 1
    assert "nested deeper" in document.faults[0].wrong or "more than 50,000 values" in document.faults[0].wrong


def test_what_is_just_within_the_bounds_is_read() -> None:
    """The bounds themselves are allowed."""
    deep = MAX_DEPTH - 2
    assert not read("a: " + "[" * deep + "x" + "]" * deep, {}).faults
    assert not read("- a\n" * (MAX_NODES - 1), {}).faults


def test_a_byte_order_mark_is_no_character() -> None:
    """Editors on Windows write one."""
    assert read("\ufeffa: 1", {}).values["a",].column <= 4
    assert read("\ufeffa: 1", {}).tree == {"a": "1"}
