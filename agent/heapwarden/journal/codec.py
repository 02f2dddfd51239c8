"""Records as JSON and back, by their annotated types. What comes back from a file is checked against them."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_MOST = 2**63 - 1
"""As in other readers of JSON; no integer here means anything beyond."""


class MisfitError(ValueError):
    """What was read is not what was wanted. Never leaves this package."""


def to_json(value: Any) -> str:
    """A dataclass of dataclasses, tuples, mappings of figures and plain values.

    Raises ValueError when a number that has to be there is not finite: such a record could not be read back.
    """
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)


def parse(text: str) -> Any:
    """JSON as Python has it. Raises MisfitError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MisfitError("not JSON") from error


def build(kind: type[T], tree: Any) -> T:
    """A ``kind`` from parsed JSON; unknown keys are left out, missing ones take their defaults. Raises MisfitError."""
    built: T = _build(kind, tree)
    return built


def finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as JSON can have them: None for what is no finite number, 0 and 1 for truth."""
    return {key: None if _is_endless(value) else _without_truth(value) for key, value in figures.items()}


def _without_truth(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return finite(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _build(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _any_of(get_args(kind), value)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(get_args(kind)[0], item) for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _build(get_args(kind)[1], item) for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _record(kind, value)
    return _scalar(kind, value)


def _any_of(kinds: tuple[Any, ...], value: Any) -> Any:
    for kind in kinds:
        try:
            return _build(kind, value)
        except MisfitError:
            continue
    raise _misfit(kinds, value)


def _record(kind: Any, tree: dict[str, Any]) -> Any:
    given = {name: _build(hint, tree[name]) for name, hint in _hints(kind).items() if name in tree}
    try:
        return kind(**given)
    except TypeError as error:  # a field without a default is missing
        raise MisfitError(str(error)) from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}


def _scalar(kind: Any, value: Any) -> Any:
    if type(value) is kind and not _is_endless(value) and not (kind is int and abs(value) > _MOST):
        return value
    try:
        if kind is float and type(value) is int:
            return float(value)
        if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(value, str):
            return kind(value)
    except (OverflowError, ValueError) as error:
        raise _misfit(kind, value) from error
    raise _misfit(kind, value)


def _misfit(kind: Any, value: Any) -> MisfitError:
    return MisfitError(f"{type(value).__name__} where {kind} was wanted")
