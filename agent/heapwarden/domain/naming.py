"""What a Node process is called, read off its command line: script name, wrapper or app."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from heapwarden.domain.identity import Role
from heapwarden.domain.node_options import EVAL_OPTIONS, VALUE_OPTIONS

MAX_LABEL_CHARACTERS = 100
UNNAMED = "node"

_NODE_NAME = re.compile(r"node(?:js)?(?:[-_.]?v?\d+(?:\.\d+)*)?")
_SCRIPT_ENDING = re.compile(r"(?<=.)\.[cm]?[jt]sx?$")
_MANAGERS = frozenset({"npm", "npx", "yarn", "yarnpkg", "pnpm", "pnpx", "corepack"})
_MANAGER_SCRIPTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:^|/)\.?bin/(?:npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack)$",  # a link on the PATH, or in node_modules/.bin
        r"(?:^|/)npm/bin/np[mx](?:-cli)?(?:\.js)?$",
        r"(?:^|/)(?:yarn[^/]*|@yarnpkg/cli(?:-dist)?)(?:/\d[^/]*)?/(?:bin/|lib/)(?:yarn(?:pkg)?|cli)(?:\.js)?$",
        r"(?:^|/)yarn/\d[^/]*/yarn\.js$",  # berry in corepack's cache
        r"(?:^|/)\.yarn/releases/yarn[^/]*\.c?js$",  # checked in with the app
        r"(?:^|/)pnpm(?:/\d[^/]*)?/(?:bin|dist)/pnp[mx]\.[cm]?js$",
        r"(?:^|/)corepack/dist/(?:npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack)\.[cm]?js$",
    )
)
"""The package managers' own scripts, by path: an app may well have an ``npm.js`` in a folder of its own."""


class _Runs(Enum):
    """What a command line makes Node do."""

    SCRIPT = auto()
    TASK = auto()
    """``node --run build``: a script of package.json, in a shell; no JavaScript runs in this process."""
    EVAL = auto()
    TEST = auto()
    STDIN = auto()
    REPL = auto()
    NOTHING_NAMED = auto()
    TITLE = auto()
    """The process has overwritten its command line by setting ``process.title``."""


@dataclass(frozen=True, slots=True)
class _Invocation:
    runs: _Runs
    what: str = ""
    """The script's path as it was given, the task, or the title's first word."""


def is_node_name(name: str) -> bool:
    """Whether an executable of this name (no folder) is Node: node, nodejs, node18, node-20.1.0."""
    return _NODE_NAME.fullmatch(name) is not None


def names_node(argv: Sequence[str]) -> bool:
    """Whether a command line says that it is Node's."""
    return bool(argv) and _after_node(argv) is not None


def script_name(argv: Sequence[str], cwd: str | None, *, terminal: bool = False) -> str:
    """The name of what runs, fit for a label and a URL: the script without folder and ending.

    ``node .`` is called after the folder ``cwd``, or ``node`` where that is unknown. Where no script runs:
    ``[eval]``, ``[test]``, ``[stdin]``, and ``[repl]`` on a ``terminal``. A process that has renamed itself goes by
    the first word of its title.
    """
    invocation = _read(argv)
    match invocation.runs:
        case _Runs.SCRIPT:
            return as_label(_stem(invocation.what, cwd))
        case _Runs.TASK | _Runs.TITLE:
            return as_label(invocation.what)
        case _Runs.NOTHING_NAMED:
            return "[repl]" if terminal else "[stdin]"
        case runs:
            return f"[{runs.name.lower()}]"


def role_of(argv: Sequence[str]) -> Role:
    """Whether this command line is a package manager's (or ``node --run``), standing in front of the app."""
    invocation = _read(argv)
    match invocation.runs:
        case _Runs.TASK:
            return Role.WRAPPER
        case _Runs.TITLE:  # npm calls itself "npm run dev"
            return Role.WRAPPER if invocation.what in _MANAGERS else Role.APP
        case _Runs.SCRIPT:
            wraps = any(pattern.search(invocation.what) for pattern in _MANAGER_SCRIPTS)
            return Role.WRAPPER if wraps else Role.APP
        case _:
            return Role.APP


def as_label(text: str) -> str:
    """``text`` made fit for a label and one segment of a URL: printable, no slash, at most 100 characters."""
    clean = "".join(char if char.isprintable() and char not in "/\\" else "_" for char in text.strip())
    name = clean[:MAX_LABEL_CHARACTERS].rstrip()
    return UNNAMED if name in ("", ".", "..") else name


def _read(argv: Sequence[str]) -> _Invocation:
    if not argv or not argv[0].strip():
        return _Invocation(_Runs.TITLE, UNNAMED)
    arguments = _after_node(argv)
    if arguments is not None:
        return _read_options(arguments)
    title = argv[0].split()[0].rstrip(":,;") if len(argv) == 1 else argv[0]
    return _Invocation(_Runs.TITLE, posixpath.basename(title))


def _after_node(argv: Sequence[str]) -> Sequence[str] | None:
    if is_node_name(posixpath.basename(argv[0])):
        return argv[1:]
    # libuv writes process.title over the whole command line. PM2 makes it "node /app/server.js".
    words = argv[0].split() if len(argv) == 1 else []
    return words[1:] if words and is_node_name(posixpath.basename(words[0])) else None


def _read_options(arguments: Sequence[str]) -> _Invocation:
    """Walk as Node's own parser does: options, those with a value take the next argument, then the script."""
    rest = iter(arguments)
    mode = _Runs.NOTHING_NAMED
    for argument in rest:
        if argument == "--":
            script = next(rest, None)
            return _Invocation(mode) if script is None else _script(mode, script)
        if argument == "-" or not argument.startswith("-"):
            return _script(mode, argument)
        option, has_value, value = argument.partition("=")
        option = option.replace("_", "-")
        if option in EVAL_OPTIONS:
            return _Invocation(_Runs.EVAL)
        if option == "--run":
            return _Invocation(_Runs.TASK, value if has_value else next(rest, ""))
        if option == "--test":
            mode = _Runs.TEST
        elif option in ("-i", "--interactive"):
            mode = _Runs.REPL
        elif option in VALUE_OPTIONS and not has_value:
            next(rest, None)
    return _Invocation(mode)


def _script(mode: _Runs, script: str) -> _Invocation:
    if mode is _Runs.TEST:
        return _Invocation(mode)
    return _Invocation(_Runs.STDIN) if script == "-" else _Invocation(_Runs.SCRIPT, script)


def _stem(script: str, cwd: str | None) -> str:
    path = script.rstrip("/")
    if posixpath.basename(path) in ("", ".", ".."):
        return posixpath.basename(posixpath.normpath(posixpath.join(cwd, path))) if cwd else UNNAMED
    return _SCRIPT_ENDING.sub("", posixpath.basename(path))
