"""Frames: what is taken, what is refused, and that nothing else can happen."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.domain.errors import FrameRefusedError
from heapwarden.domain.sample import GcKind
from heapwarden.sources.reporter.frames import Hello, decode_hello, decode_object, decode_sample, effective_limit

HELLO: dict[str, Any] = {
    "t": "hello",
    "v": 1,
    "reporter": "0.1.0",
    "pid": 4711,
    "start": 123_456,
    "ns": "pid:[4026531836]",
    "thread": 0,
    "node": "20.20.2",
    "v8": "11.3.244.8-node.33",
    "argv": ["/usr/bin/node", "/app/server.js"],
    "semi": 16 * 2**20,
}
SAMPLE: dict[str, Any] = {
    "t": "sample",
    "seq": 1,
    "why": "interval",
    "mem": {"rss": 80, "heapTotal": 60, "heapUsed": 40, "external": 3, "arrayBuffers": 1},
    "heap": {"limit": 112 * 2**20, "malloced": 5, "native": 1, "detached": 0},
    "spaces": {"new": [16, 8, 8], "old": [40, 30, 10]},
    "loop": {"p50": 0.5, "p99": 20, "max": 100, "elu": 0.25},
    "gc": {"minor": {"n": [1, 2, 3, 0, 0, 0, 0], "ms": 1500, "freed": 9}, "major": {"n": [0] * 7, "ms": 0}},
    "live": 35,
}


def _hello() -> Hello:
    return decode_hello(HELLO)


def _with(frame: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of ``frame`` with another value at the dotted ``path``."""
    copy: dict[str, Any] = json.loads(json.dumps(frame))
    *folders, last = path.split(".")
    inner = copy
    for folder in folders:
        inner = inner[folder]
    inner[last] = value
    return copy


def test_the_reporters_version() -> None:
    """One of the first days may not tell it; anything but a version breaks the protocol, for it is shown."""
    assert _hello().reporter_version == "0.1.0"
    assert decode_hello({key: value for key, value in HELLO.items() if key != "reporter"}).reporter_version is None
    for wrong in (7, "0.1 0", "", "x" * 65):
        with pytest.raises(FrameRefusedError, match="reporter"):
            decode_hello({**HELLO, "reporter": wrong})


def test_a_sample_becomes_figures() -> None:
    """Each key lands in its field, milliseconds as seconds, and the effective limit is without the semi-spaces."""
    isolate = decode_sample(SAMPLE, _hello(), taken_at=7.0)
    assert (isolate.thread, isolate.taken_at, isolate.heap_used_bytes, isolate.heap_total_bytes) == (0, 7.0, 40, 60)
    assert (isolate.external_bytes, isolate.array_buffers_bytes, isolate.malloced_bytes) == (3, 1, 5)
    assert isolate.effective_limit_bytes == 64 * 2**20
    assert [(s.name, s.size_bytes, s.used_bytes, s.available_bytes) for s in isolate.spaces] == [
        ("new", 16, 8, 8),
        ("old", 40, 30, 10),
    ]
    assert isolate.loop is not None
    assert (isolate.loop.p50_seconds, isolate.loop.max_seconds, isolate.loop.utilization_ratio) == (0.0005, 0.1, 0.25)
    minor = isolate.gc[GcKind.MINOR]
    assert (minor.count, minor.seconds, minor.reclaimed_bytes) == (6, 1.5, 9)
    assert isolate.gc[GcKind.MAJOR].reclaimed_bytes is None
    assert isolate.live_bytes == 35


def test_spaces_that_no_v8_has_are_one() -> None:
    """Invented names would be series without end; their sizes are kept, under one name."""
    spaces = {"old": [4, 3, 1], "mine": [1, 1, 0], "yours": [2, 1, 1]}
    isolate = decode_sample({**SAMPLE, "spaces": spaces}, _hello(), 0.0)
    assert [(s.name, s.size_bytes, s.used_bytes, s.available_bytes) for s in isolate.spaces] == [
        ("old", 4, 3, 1),
        ("other", 3, 2, 1),
    ]


def test_unknown_keys_are_for_later_versions() -> None:
    """A reporter may say more than this agent knows."""
    decode_hello({**HELLO, "more": {}})
    decode_sample({**SAMPLE, "more": [1]}, _hello(), 0.0)


@pytest.mark.parametrize("path", ["loop", "live"])
def test_what_a_node_can_not_tell_may_be_null(path: str) -> None:
    """No loop delay, no mark-compact yet."""
    isolate = decode_sample({**SAMPLE, path: None}, _hello(), 0.0)
    assert (isolate.loop if path == "loop" else isolate.live_bytes) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"", "not_json", id="empty"),
        pytest.param(b'{"t": "hel', "not_json", id="truncated"),
        pytest.param(b"\xff\xfe{}", "not_json", id="not UTF-8"),
        pytest.param(b'{"a": NaN}', "not_json", id="NaN"),
        pytest.param(b'{"a": -Infinity}', "not_json", id="Infinity"),
        pytest.param(b"[" * 60_000, "not_json", id="nested too deep"),
        pytest.param(b'{"a": ' + b"9" * 60_000 + b"}", "not_json", id="number of 60,000 digits"),
        pytest.param(b"[]", "wrong_type", id="array"),
        pytest.param(b"null", "wrong_type", id="null"),
    ],
)
def test_lines_that_are_no_frames(line: bytes, reason: str) -> None:
    """Whatever is not one JSON object is refused under a bounded reason."""
    with pytest.raises(FrameRefusedError) as refused:
        decode_object(line)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        pytest.param("t", "sample", "wrong_type", id="not a hello"),
        pytest.param("v", 2, "wrong_version", id="newer"),
        pytest.param("v", True, "wrong_version", id="true is no version"),
        pytest.param("v", None, "wrong_version", id="no version"),
        pytest.param("pid", "1", "bad_value", id="pid as text"),
        pytest.param("pid", -1, "bad_value", id="negative pid"),
        pytest.param("thread", 2**40, "bad_value", id="thread too large"),
        pytest.param("ns", "net:[1]", "bad_value", id="another namespace"),
        pytest.param("node", "20\n", "bad_value", id="newline in version"),
        pytest.param("argv", ["a", "b", "c"], "bad_value", id="three arguments"),
        pytest.param("argv", ["x" * 1_025], "bad_value", id="long argument"),
        pytest.param("argv", [1], "bad_value", id="argument is no text"),
        pytest.param("semi", 1e300, "bad_value", id="semi-space too large"),
    ],
)
def test_hellos_that_are_refused(path: str, value: object, reason: str) -> None:
    """One wrong field at a time."""
    with pytest.raises(FrameRefusedError) as refused:
        decode_hello(_with(HELLO, path, value))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        pytest.param("t", "hello", "wrong_type", id="second hello"),
        pytest.param("mem", [], "bad_value", id="mem is no object"),
        pytest.param("mem.heapUsed", None, "bad_value", id="no heapUsed"),
        pytest.param("mem.heapUsed", True, "bad_value", id="true is no number"),
        pytest.param("mem.heapUsed", 2**53 + 2, "bad_value", id="beyond exact numbers"),
        pytest.param("spaces.new", [1, 2], "bad_value", id="two figures of a space"),
        pytest.param("spaces", {"x" * n: [1, 1, 1] for n in range(1, 30)}, "bad_value", id="too many spaces"),
        pytest.param("gc", {"huge": {"n": [0] * 7, "ms": 0}}, "bad_value", id="unknown kind"),
        pytest.param("gc.minor.n", [1] * 6, "bad_value", id="six buckets"),
        pytest.param("gc.minor.ms", -1, "bad_value", id="negative time"),
        pytest.param("loop.p99", "1", "bad_value", id="loop delay as text"),
    ],
)
def test_samples_that_are_refused(path: str, value: object, reason: str) -> None:
    """One wrong field at a time."""
    with pytest.raises(FrameRefusedError) as refused:
        decode_sample(_with(SAMPLE, path, value), _hello(), 0.0)
    assert refused.value.reason == reason


def test_lone_surrogates_do_not_get_through() -> None:
    """JSON may hold what UTF-8 can't; a label made of it would break every scrape."""
    hello = decode_hello(json.loads(json.dumps({**HELLO, "argv": ["node", "\ud800.js"]})))
    assert hello.argv[1].encode() == b"?.js"


def test_an_impossible_semi_space_is_not_believed() -> None:
    """The effective limit is never zero or negative: ratios exist."""
    assert effective_limit(100, 40) == 100
    assert effective_limit(0, 0) == 1


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(line: bytes) -> None:
    """Nothing but a refusal comes of bytes that are no hello."""
    with pytest.raises(FrameRefusedError) as refused:
        decode_hello(decode_object(line))
    assert refused.value.reason in {"not_json", "wrong_type", "wrong_version", "bad_value"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)
PATHS = [f"{name}.{key}" for name in ("mem", "heap", "loop", "gc", "spaces") for key in SAMPLE[name]] + [*SAMPLE]


@given(st.sampled_from(PATHS), JSON_VALUES)
def test_any_value_anywhere_is_taken_or_refused(path: str, value: object) -> None:
    """A sample with one arbitrary value gives sane figures or a refusal, and no other exception."""
    try:
        isolate = decode_sample(_with(SAMPLE, path, value), _hello(), 0.0)
    except FrameRefusedError:
        return
    assert isolate.effective_limit_bytes > 0
    assert 0 <= isolate.heap_used_bytes <= 2**53


@given(st.sampled_from([*HELLO]), JSON_VALUES)
def test_any_hello_is_taken_or_refused(key: str, value: object) -> None:
    """The same for the first frame; what is taken can be encoded."""
    try:
        hello = decode_hello({**HELLO, key: value})
    except FrameRefusedError:
        return
    "".join((*hello.argv, hello.node_version, hello.namespace)).encode()
