"""Lines from a reporter, decoded: whatever arrives is either a checked record or a refusal.

The protocol stands in ``docs/reporter-protocol.md``.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from heapwarden.domain.errors import FrameRefusedError
from heapwarden.domain.sample import GC_BUCKETS_SECONDS, GcKind, GcTotals, HeapSpace, Isolate, LoopDelay

PROTOCOL_VERSION = 1
MAX_LINE_BYTES = 65_536
MAX_SPACES = 24
_KINDS_OF_SPACE = ("old", "code", "shared", "trusted", "shared_trusted", "new")
SPACES = frozenset(
    {"read_only", "map", "large_object", *_KINDS_OF_SPACE, *(f"{n}_large_object" for n in _KINDS_OF_SPACE)}
)
"""V8's heap spaces, those of Node 18 to 26: 8 to 13 at a time."""
OTHER_SPACE = "other"
"""All that have another name, together: a name becomes a label, and labels are bounded."""
ABILITIES = frozenset({"pressure", "drain", "gc", "signal", "bye"})
"""What an agent may ask of a reporter's main thread, by the names of its messages; ``bye``: it says goodbye."""
_MAX_ABILITIES = 64
_MAX_EXIT_CODE = 255
_MAX_NUMBER = 2**53
_MAX_THREAD = 2**31
_MAX_TEXT = 1_024
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,64}")
_NAMESPACE = re.compile(r"(pid:\[[0-9]{1,20}\])?")
_SEMI_SPACES_IN_LIMIT = 3
_LABELS_OF_KINDS = {kind.value: kind for kind in GcKind}


@dataclass(frozen=True, slots=True)
class Hello:
    """What a reporter says of itself. ``pid``, ``start`` and ``namespace`` are claims, not knowledge."""

    pid: int
    start: int
    namespace: str
    thread: int
    node_version: str
    v8_version: str
    argv: tuple[str, ...]
    semi_space_bytes: int
    can: frozenset[str] = frozenset()
    """What it may be asked for; a reporter of the first days names nothing."""
    cluster_worker: bool = False
    reporter_version: str | None = None


def _refuse(reason: str, detail: str) -> NoReturn:
    raise FrameRefusedError(reason, detail)


def decode_object(line: bytes) -> dict[str, Any]:
    """One line as a JSON object. Raises FrameRefusedError: ``not_json``, ``wrong_type``."""

    def constant(name: str) -> NoReturn:
        _refuse("not_json", f"{name} is not JSON")

    try:
        frame = json.loads(line, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise FrameRefusedError("not_json", f"not a line of JSON: {error}") from error
    if not isinstance(frame, dict):
        _refuse("wrong_type", f"a frame is an object, not {type(frame).__name__}")
    return frame


def decode_hello(frame: Mapping[str, Any]) -> Hello:
    """The first frame of a connection. Raises FrameRefusedError: ``wrong_type``, ``wrong_version``, ``bad_value``."""
    if frame.get("t") != "hello":
        _refuse("wrong_type", f"the first frame must be a hello, not {frame.get('t')!r:.40}")
    if frame.get("v") != PROTOCOL_VERSION or isinstance(frame["v"], bool):
        _refuse("wrong_version", f"protocol version {frame.get('v')!r:.40}; this agent speaks {PROTOCOL_VERSION}")
    argv = frame.get("argv")
    if not isinstance(argv, list) or len(argv) > 2:  # noqa: PLR2004  process.argv's first two: node and the script
        _refuse("bad_value", "argv: an array of at most two strings is wanted")
    return Hello(
        pid=_whole(frame, "pid"),
        start=_whole(frame, "start"),
        namespace=_text(frame, "ns", _NAMESPACE),
        thread=_whole(frame, "thread", most=_MAX_THREAD),
        node_version=_text(frame, "node", _VERSION),
        v8_version=_text(frame, "v8", _VERSION),
        argv=tuple(_argument(argument) for argument in argv),
        semi_space_bytes=_whole(frame, "semi"),
        can=_abilities(frame.get("can")),
        cluster_worker=frame.get("cluster") is True,
        reporter_version=None if frame.get("reporter") is None else _text(frame, "reporter", _VERSION),
    )


def decode_bye(frame: Mapping[str, Any]) -> int:
    """The exit code in a goodbye. Raises FrameRefusedError: ``bad_value``."""
    return _whole(frame, "code", most=_MAX_EXIT_CODE)


def decode_sample(frame: Mapping[str, Any], hello: Hello, taken_at: float) -> Isolate:
    """Any later frame, as figures of the isolate that said ``hello``. Raises FrameRefusedError as above."""
    if frame.get("t") != "sample":
        _refuse("wrong_type", f"a sample is wanted, not {frame.get('t')!r:.40}")
    memory, heap = _object(frame, "mem"), _object(frame, "heap")
    limit = _whole(heap, "limit")
    live = frame.get("live")
    return Isolate(
        thread=hello.thread,
        taken_at=taken_at,
        heap_used_bytes=_whole(memory, "heapUsed"),
        heap_total_bytes=_whole(memory, "heapTotal"),
        heap_limit_bytes=limit,
        effective_limit_bytes=effective_limit(limit, hello.semi_space_bytes),
        external_bytes=_whole(memory, "external"),
        array_buffers_bytes=_whole(memory, "arrayBuffers"),
        malloced_bytes=_whole(heap, "malloced"),
        native_contexts=_whole(heap, "native"),
        detached_contexts=_whole(heap, "detached"),
        spaces=_spaces(_object(frame, "spaces")),
        gc=_collections(_object(frame, "gc")),
        live_bytes=None if live is None else _whole(frame, "live"),
        loop=None if frame.get("loop") is None else _loop(_object(frame, "loop")),
        process_rss_bytes=_whole(memory, "rss"),
    )


def effective_limit(heap_size_limit: int, semi_space_bytes: int) -> int:
    """Where V8 gives up: ``heap_size_limit`` less the three semi-spaces that V8 adds on top of the old generation.

    A semi-space that can't be true (nothing would be left) is not believed. Never 0, so that ratios exist.
    """
    left = heap_size_limit - _SEMI_SPACES_IN_LIMIT * semi_space_bytes
    return left if left > 0 else max(heap_size_limit, 1)


def _spaces(spaces: Mapping[str, Any]) -> tuple[HeapSpace, ...]:
    if len(spaces) > MAX_SPACES:
        _refuse("bad_value", f"spaces: at most {MAX_SPACES} are wanted, not {len(spaces)}")
    sizes: dict[str, list[int]] = {}
    for name, figures in spaces.items():
        if not isinstance(figures, list) or len(figures) != 3:  # noqa: PLR2004  size, used, available
            _refuse("bad_value", f"spaces.{name[:40]!r}: [size, used, available] is wanted")
        total = sizes.setdefault(name if name in SPACES else OTHER_SPACE, [0, 0, 0])
        for place, figure in enumerate(figures):
            total[place] += int(_number(figure, "spaces"))
    return tuple(HeapSpace(name, *total) for name, total in sizes.items())


def _collections(gc: Mapping[str, Any]) -> dict[GcKind, GcTotals]:
    decoded = {}
    for label, totals in gc.items():
        kind = _LABELS_OF_KINDS.get(label)
        counts = totals.get("n") if isinstance(totals, dict) else None
        if kind is None or not isinstance(counts, list) or len(counts) != len(GC_BUCKETS_SECONDS) + 1:
            _refuse("bad_value", f"gc.{label[:40]!r}: a kind of collection with seven counts `n` is wanted")
        freed = totals.get("freed")
        decoded[kind] = GcTotals(
            buckets=tuple(int(_number(count, f"gc.{label}.n")) for count in counts),
            seconds=_number(totals.get("ms"), f"gc.{label}.ms") / 1_000,
            reclaimed_bytes=None if freed is None else int(_number(freed, f"gc.{label}.freed")),
        )
    return decoded


def _loop(loop: Mapping[str, Any]) -> LoopDelay:
    p50, p99, longest, utilization = (_number(loop.get(key), f"loop.{key}") for key in ("p50", "p99", "max", "elu"))
    return LoopDelay(p50 / 1_000, p99 / 1_000, longest / 1_000, min(utilization, 1.0))


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("bad_value", f"{where}: a number is wanted, not {type(value).__name__}")
    if not 0 <= value <= _MAX_NUMBER or not math.isfinite(value):
        _refuse("bad_value", f"{where}: a number from 0 to 2^53 is wanted")
    return value


def _whole(fields: Mapping[str, Any], key: str, most: int = _MAX_NUMBER) -> int:
    number = _number(fields.get(key), key)
    if number > most:
        _refuse("bad_value", f"{key}: at most {most} is wanted")
    return int(number)


def _object(fields: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = fields.get(key)
    if not isinstance(value, dict):
        _refuse("bad_value", f"{key}: an object is wanted, not {type(value).__name__}")
    return value


def _text(fields: Mapping[str, Any], key: str, form: re.Pattern[str]) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not form.fullmatch(value):
        _refuse("bad_value", f"{key}: text of the form {form.pattern} is wanted")
    return value


def _abilities(can: object) -> frozenset[str]:
    """Only what this agent knows; a newer reporter may name more."""
    if can is None:
        return frozenset()
    if not isinstance(can, list) or len(can) > _MAX_ABILITIES or not all(isinstance(one, str) for one in can):
        _refuse("bad_value", f"can: an array of at most {_MAX_ABILITIES} strings is wanted")
    return ABILITIES.intersection(can)


def _argument(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        _refuse("bad_value", f"argv: strings of at most {_MAX_TEXT} characters are wanted")
    return value.encode("utf-8", "replace").decode()  # JSON may hold lone surrogates; nothing after this can
