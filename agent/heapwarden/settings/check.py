"""A document held against the schema: what does not fit is told and cut out, so that the rest can be checked too."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from heapwarden.settings.document import Document
from heapwarden.settings.faults import Fault, KeyPath, WrongValueError, quote
from heapwarden.settings.schema import SECRETS, FileSection, all_keys
from heapwarden.settings.section import Section, example_of, keys_of, section_of

MAX_COMPARED_CHARACTERS = 100


def check(document: Document) -> tuple[FileSection, list[Fault]]:
    """The part of the document that fits, and what does not. The document's tree is cut up on the way."""
    faults: list[Fault] = []
    while True:
        try:
            return FileSection.model_validate(document.tree), faults
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                path = _written_path(document.tree, detail["loc"])
                faults.append(_fault(detail, path, document))
                document.tree = _without(document.tree, path)


def advice(path: KeyPath) -> str:
    """What would be right at ``path``: an example; where the key is unknown, which one was probably meant."""
    if not path:
        return "write a colon and a space after each key, as sample_interval: 1s"
    section: type[Section] | None = FileSection
    key, example = "", ""
    for step in path:
        if isinstance(step, int) or section is None:
            continue
        field = dict(keys_of(section)).get(step)
        if field is None:
            return _nearest(section, step[:MAX_COMPARED_CHARACTERS])
        key, example, section = step, example_of(field), section_of(field)
    return f"for example {key}: {example}"


def _nearest(section: type[Section], key: str) -> str:
    """The key of this section that looks most like ``key``; else where such a key belongs; else all that there are."""
    keys = dict(keys_of(section))
    near = difflib.get_close_matches(key.lower().replace("-", "_"), keys, n=1)
    if near:
        return f"did you mean {near[0]}? For example {near[0]}: {example_of(keys[near[0]])}"
    homes = [".".join(path[:-1]) or "the top of the file" for path, _ in all_keys() if path[-1] == key]
    if homes:
        return f"it belongs under {' or '.join(homes)}"
    return f"known here: {', '.join(keys)}"


def _written_path(tree: Any, path: KeyPath) -> KeyPath:
    """``path`` as far as it is in the file: a plain value may stand in place of a section."""
    held: Any = tree
    for length, step in enumerate(path):
        if not isinstance(held, dict | list):
            return path[:length]
        held = held[step]  # type: ignore[index]
    return path


def _fault(detail: ErrorDetails, path: KeyPath, document: Document) -> Fault:
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, WrongValueError):
        written = document.written.get(path) if path not in SECRETS else None
        wrong = f"{error.wrong} (from {quote(written)})" if written else error.wrong
        return Fault(path, wrong, error.right)
    match detail["type"]:
        case "extra_forbidden":
            return Fault(path, "unknown key", place=document.keys.get(path))
        case "model_type":
            return Fault(path, "keys with values are wanted here")
        case "tuple_type":
            return Fault(path, "a list is wanted here, each item with a - before it")
        case "too_long":
            most = detail.get("ctx", {}).get("max_length")
            rules = (f"more than {most} rules", "write fewer rules with wider patterns")
            return Fault(path, *(rules if path == ("processes",) else (f"more than {most}", "join them in a script")))
        case _:
            return Fault(path, detail["msg"])


def _without(tree: Any, path: Sequence[str | int]) -> Any:
    """``tree`` without the value at ``path``; in a list, an empty section takes its place so that indices stay."""
    if not path:
        return {}
    holder = tree
    for step in path[:-1]:
        holder = holder[step]
    if isinstance(holder, list):
        holder[int(path[-1])] = {}
    else:
        del holder[path[-1]]
    return tree
