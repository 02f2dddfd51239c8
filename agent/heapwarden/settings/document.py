"""YAML text turned into a tree of plain texts that remembers where each of them stood.

A scalar stays the text that was written: what it means is for its key to say, so that ``0660``, ``no`` or ``12:30``
don't become what YAML 1.1 takes them for. Only an unquoted nothing, ``~`` and ``null`` are None.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from heapwarden.settings.faults import Fault, KeyPath, Place, WrongValueError, quote
from heapwarden.settings.variables import UnsetVariableError, fill

MAX_NODES = 50_000
"""Counted after aliases are followed, so that few lines can't stand for millions."""
MAX_DEPTH = 16

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_CORE = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_CORE}merge"
_TAGS = frozenset(
    f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
)
_HELP = (
    ("nested deeper", "nothing here lies so deep; an alias within itself has no end"),
    ("more than", "settings are some hundred values: is this the right file?"),
    ("unknown escape", r"in double quotes a backslash is written twice; use single quotes: 'server\.js'"),
    (r"character '\t'", "indent with spaces, not with tabs"),
    ("cannot start any token", "put the value in quotes"),
    ("mapping values are not allowed", "check the indentation, and put a value that has a colon and a space in quotes"),
    ("alias", "put a value that begins with * in quotes"),
    ("but got '{'", 'inside { } put variables in quotes: "${NAME:-90%}"'),
    ("but got '?'", "inside { } put a value that has a ? in quotes"),
    ("another document", "keep one, without lines of ---"),
)
_NAMED = re.compile(r"(alias|anchor|tag handle) (?:'[^']*'|\"[^\"]*\")")
"""What begins with * or & and was meant as a secret is taken for one of these."""
_GENERAL_HELP = "check brackets, quotes and indentation just before this place"


@dataclass(slots=True)
class Document:
    """The tree (dicts, lists, texts, None), and where its parts stood."""

    tree: Any = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    """Values that have variables, as they were written."""
    faults: list[Fault] = field(default_factory=list)
    """A value that has one is None in the tree."""

    def place_of(self, path: KeyPath) -> Place:
        """Where the value stood, or of one that isn't there, the nearest section around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(1, 1))


def read(text: str, environment: Mapping[str, str], secrets: Collection[KeyPath] = ()) -> Document:
    """Read YAML. What is wrong is in the answer's faults; where it isn't YAML at all, the tree is empty.

    Of the values at ``secrets`` no fault shows anything.
    """
    text = text.removeprefix("\ufeff")
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        before = text[: unprintable.start()]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        wrong = f"character U+{ord(unprintable[0]):04X} can't stand in YAML"
        return Document(faults=[Fault((), wrong, "remove it", place=place)])
    try:
        reading = _Reading(environment, secrets)
        root = _compose(text)
        reading.document.tree = reading.value(root, ()) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        return Document(faults=[_not_yaml(error, text, secrets)])
    return reading.document


class _BoundedLoader(yaml.SafeLoader):
    """Stops before deep or endless input costs more than it is worth.

    PyYAML's own and not libyaml's: its messages are better, and it needs 0.3 s for 1,000 rules; libyaml needed 7
    minutes for half a million open brackets.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        _bound(self._nodes, self._depth, mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _compose(text: str) -> yaml.Node | None:
    loader = _BoundedLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()  # breaks its cycles of references


def _bound(nodes: int, depth: int, mark: yaml.Mark) -> None:
    if nodes > MAX_NODES:
        problem = f"more than {MAX_NODES:,} values (an alias counts as what it repeats)"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
    if depth > MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)


class _Reading:
    """One walk over the composed nodes."""

    def __init__(self, environment: Mapping[str, str], secrets: Collection[KeyPath]) -> None:
        self.document = Document()
        self._environment = environment
        self._secrets = secrets
        self._nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The node's value; None, and a fault noted, where it can't be had."""
        self._nodes += 1
        _bound(self._nodes, len(path) + 1, node.start_mark)
        self.document.values[path] = _place(node)
        if node.tag not in _TAGS:
            tag = "" if path in self._secrets else f" {quote(node.tag.replace(_CORE, '!!'))}"
            self._note(path, f"tag{tag} means nothing here", "leave it out, or put the value in quotes", node)
        elif isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._note(path, "a key is a list or a mapping", "write plain words as keys", key)
                continue
            name: str = key.value
            if key.tag == _MERGE_TAG:
                right = "write the keys out; what many processes share belongs under defaults"
                self._note(path, "merge keys (<<) are not read", right, key)
            elif name in tree:
                right = f"keep one; the first is on line {self.document.keys[*path, name].line}"
                self._note((*path, name), "this key is there twice", right, key)
            else:
                self.document.keys[*path, name] = _place(key)
                tree[name] = self.value(value, (*path, name))
        return tree

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> str | None:
        text: str = node.value
        if node.style is None and text in _NULLS:
            return None
        try:
            filled = fill(text, self._environment)
        except WrongValueError as error:
            shown = path not in self._secrets or isinstance(error, UnsetVariableError)
            self._note(path, error.wrong if shown else "not a variable", error.right, node)
            return None
        if "${" in text:
            self.document.written[path] = text
        return filled

    def _note(self, path: KeyPath, wrong: str, right: str, node: yaml.Node) -> None:
        self.document.faults.append(Fault(path, wrong, right, place=_place(node)))


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _not_yaml(error: yaml.MarkedYAMLError, text: str, secrets: Collection[KeyPath]) -> Fault:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem = " ".join(filter(None, (error.context and f"{error.context},", error.problem)))
    if any(str(path[-1]) in text for path in secrets):
        problem = _NAMED.sub(r"\1", problem)
    right = next((help_ for part, help_ in _HELP if part in problem), _GENERAL_HELP)
    return Fault((), f"not YAML that can be read: {problem}", right, place=place)
