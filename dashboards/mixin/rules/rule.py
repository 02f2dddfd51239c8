"""What a recording rule is, and a group of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is recorded."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordingGroup:
    """Rules that are evaluated one after the other, so that a later one sees what an earlier one has recorded."""

    name: str
    interval: str
    rules: tuple[Recording, ...]
