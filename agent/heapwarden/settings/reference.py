"""Writes docs/configuration.md from the schema: ``python -m heapwarden.settings.reference``."""

import sys
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from heapwarden.domain.errors import SettingsError
from heapwarden.settings.document import MAX_DEPTH, MAX_NODES
from heapwarden.settings.load import MAX_BYTES, USUAL_PATH, VARIABLE, parse
from heapwarden.settings.model import Settings
from heapwarden.settings.render import tree_of
from heapwarden.settings.schema import MAX_RULES, FileSection
from heapwarden.settings.section import Section, example_of, is_list, keys_of, kind_of, section_of
from heapwarden.settings.units import read_duration, read_percentage, read_size

SIZES = ("512K", "512M", "512Mi", "512MB", "1.5G", "1g")
TIMES = ("500ms", "30s", "10m", "1h", "1d", "1m30s")
PERCENTAGES = ("90%", "92.5%")

WRONG = """\
sample_intervall: 5s
defaults:
  health:
    heap_usage: {unhealthy: 0.9, for: 60}
"""

HEAD = f"""\
# Configuration

<!-- Written by `make docs` from agent/heapwarden/settings/schema.py; a test holds the two together. -->

One YAML file. Every key is optional; with no file at all Heapwarden watches every Node process that it may see,
publishes their figures, judges their health, and restarts nothing.
[config/heapwarden.yaml](../config/heapwarden.yaml) is such a file with every key in it.

- Which file: `--config FILE`, else `${VARIABLE}`, else `{USUAL_PATH}` if it exists.
- `heapwarden check-config [FILE]` says what is wrong with it, or what it comes to; `--print` prints it complete, as
  YAML. It fills in the variables of the shell it runs in, which may not be the agent's.
- `SIGHUP` reads the file again. One with faults changes nothing: the old settings stay in force, and the log says why.

A file is taken whole or not at all. An unknown key, a key that is there twice, a number without its unit and two
values that contradict each other are faults. All of them are told at once, a line each, with the place and what would
be right:
"""

VALUES = """\
## Values

A value is read as what its key asks for, so quotes change nothing: `0660`, `"0660"` and `'0660'` are the same mode,
and a process may be called `no`. An empty section counts as left out; an empty value, or an unquoted `null` or `~`, is
a fault.
"""

VARIABLES = """\
### Variables

| written | becomes |
|---|---|
| `${NAME}` | the variable's value; a fault where it is not set |
| `${NAME:-default}` | the variable's value; `default` where it is not set or empty. A default can't contain `}` |
| `$$` | one `$` |
| any other `$` | itself, so that `'server\\.js$'` needs no care |

A variable fills a value or a part of it, never a key, and what it brings in is only text: it can't add keys, and it is
not looked through for variables again. Inside `{ }` YAML wants quotes around it: `{unhealthy: "${LIMIT:-90%}"}`.
"""

LIMITS = f"""\
## Limits

A file has at most {MAX_BYTES:,} bytes, {MAX_NODES:,} values, {MAX_RULES:,} process rules and {MAX_DEPTH} levels.
Aliases (`*name`) are understood and count as what they repeat; merge keys (`<<`), tags (`!name`) and more than one
document are not.
"""

MORE = {
    "processes[]": """\
The first rule whose conditions all hold is a process's rule; one that can never be reached is a fault. Package
managers (npm, npx, yarn, pnpm, corepack) that stand in front of an app are shown, never judged.
""",
    "api": """\
The token never appears in a message, a log or what `check-config` prints.
""",
    "defaults.restart": """\
Without `max_memory`, `heap_usage`, `container_usage` or health's `escalate_to_restart_after` nothing is restarted. Each
of these rules is one value, `max_memory: 1G`, or a section, `max_memory: {above: 1G, for: 30s}`; `off` takes back what
`defaults` say. A rule that holds is a restart, whatever the others say.

A command is a list of words, or one text that is split into words as a shell does (quotes, backslashes). No shell is
run, so there are no pipes, no redirections and no `$NAME`; `[sh, -c, '…']` is one.

A list (`before`, `after`, `command`) replaces that of the defaults; it is not added to it.

`heapwarden run` and `watch` take `--max-memory SIZE` (or PM2's `--max-memory-restart`): it replaces `max_memory` of the
defaults, and so counts for every process whose rule under `processes` has none of its own. It must hold for 10 s, or as
long as the defaults' own `max_memory` says.
""",
}


def page() -> str:
    """The whole page."""
    defaults = tree_of(Settings())
    parts = [HEAD, _faults_of(WRONG), "## Keys\n"]
    for heading, section in _sections(FileSection, "", set()):
        parts.append(f"### {heading or 'Top level'}\n")
        if heading in MORE:
            parts.append(MORE[heading])
        parts.append(_table(section, _at(defaults, heading)))
    parts += [VALUES, _examples(), VARIABLES, LIMITS]
    return "\n".join(parts)


def _faults_of(text: str) -> str:
    try:
        parse(text, "heapwarden.yaml", {})
    except SettingsError as error:
        return f"```yaml\n{text}```\n\n```\n{error}\n```\n"
    raise AssertionError("the example of a wrong file is right")


def _sections(section: type[Section], heading: str, seen: set[type[Section]]) -> Iterator[tuple[str, type[Section]]]:
    """Every section below; one that is as another, as a process's rules are as the defaults', stands once."""
    if section in seen:
        return
    seen.add(section)
    yield heading, section
    for key, field in keys_of(section):
        below = section_of(field)
        if below is not None:
            name = f"{key}[]" if is_list(field) else key
            yield from _sections(below, f"{heading}.{name}" if heading else name, seen)


def _at(tree: Any, heading: str) -> dict[str, Any]:
    for step in filter(None, heading.split(".")):
        tree = tree.get(step, {}) if isinstance(tree, dict) else {}
    return tree if isinstance(tree, dict) else {}


def _table(section: type[Section], defaults: dict[str, Any]) -> str:
    lines = ["| key | what it is | value | default | example |", "|---|---|---|---|---|"]
    lines += [_row(key, field, defaults.get(key)) for key, field in keys_of(section)]
    return "\n".join(lines) + "\n"


def _row(key: str, field: FieldInfo, default: object) -> str:
    cells = (f"`{key}`", field.description, _what(field), _default_text(default), f"`{key}: {example_of(field)}`")
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _what(field: FieldInfo) -> str:
    kind, section = kind_of(field), section_of(field)
    if kind is not None:
        return kind.what
    if section is not None and section.short:
        return f"{_what(dict(keys_of(section))[section.short])}, or section"
    return "list of sections" if is_list(field) else "section"


def _default_text(default: object) -> str:
    match default:
        case None | dict():
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case _:
            return f"`{default}`"


def _examples() -> str:
    """What is written and what it means, worked out by the code that reads it."""
    lines = ["| written | means |", "|---|---|"]
    lines += [f"| `{text}` | {read_size(text):,} bytes |" for text in SIZES]
    lines += [f"| `{text}` | {read_duration(text):g} s |" for text in TIMES]
    lines += [f"| `{text}` | a ratio of {read_percentage(text):g} |" for text in PERCENTAGES]
    after = (
        "\nSizes count by 1024, as PM2, Docker, systemd and V8's own options do. Kubernetes differs: its `512M` is\n"
        "512,000,000 bytes, its `512Mi` the same as here. A bare number is a fault: PM2 takes `100` for 100 bytes.\n"
    )
    return "\n".join(lines) + "\n" + after


if __name__ == "__main__":
    sys.stdout.write(page())
