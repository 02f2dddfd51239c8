"""What sections of the file are made of, and how one looks at their keys from outside."""

from collections.abc import Iterator
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from heapwarden.settings.kinds import Kind


def key(about: str, example: str, *, spelled: str | None = None) -> Any:
    """A key that need not be given. ``example`` is YAML; ``spelled``: in the file, where that is a word of Python."""
    return Field(default=None, alias=spelled, description=about, examples=[example])


class Section(BaseModel):
    """A mapping of known keys. Without a value it is empty: all of its keys may be commented out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    short: ClassVar[str] = ""
    """The key that is meant where a plain value stands in place of the section."""

    @model_validator(mode="before")
    @classmethod
    def _from_less(cls, given: object) -> object:
        if cls.short and (given is None or isinstance(given, str)):
            return {cls.short: given}
        return {} if given is None else given


def keys_of(section: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a section as they are spelled in the file."""
    for name, field in section.model_fields.items():
        yield field.alias or name, field


def kind_of(field: FieldInfo) -> Kind | None:
    """How the value is read; None where it is a section or a list."""
    return next((mark for mark in field.metadata if isinstance(mark, Kind)), None)


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section behind a key, or that of each item where it is a list; None for a plain value."""
    waiting = [field.annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
        waiting.extend(get_args(annotation))
    return None


def is_list(field: FieldInfo) -> bool:
    """Whether the key holds a list of sections."""
    return tuple in {getattr(arm, "__origin__", None) for arm in get_args(field.annotation)}


def example_of(field: FieldInfo) -> str:
    """The key's example, in YAML."""
    return str(field.examples[0]) if field.examples else ""
