"""config/heapwarden.yaml and docs/configuration.md say what the code does."""

import re
from pathlib import Path

import pytest

from heapwarden.settings import load, parse, reference
from heapwarden.settings.document import read
from heapwarden.settings.model import Settings
from heapwarden.settings.schema import all_keys

ROOT = Path(__file__).parents[2]
DEFAULT_FILE = ROOT / "config" / "heapwarden.yaml"
REFERENCE = ROOT / "docs" / "configuration.md"
EXAMPLE = re.compile(r"^( *)#(\S.*|  +\S.*)$", re.MULTILINE)
"""A setting that is commented out; comments proper have one space after the #."""
NOT_IN_THE_FILE = {
    "api.token",  # one of the two
    "defaults.restart.max_memory_restart.above",
    "defaults.restart.max_memory_restart.for",
    "defaults.restart.before.url",
    "defaults.restart.after.command",
    "defaults.restart.after.timeout",
}
"""What stands there in other words."""


def test_the_file_is_the_defaults() -> None:
    """Nothing changes for whoever starts from it."""
    assert load(DEFAULT_FILE, {}) == Settings()


def test_the_file_sets_every_default() -> None:
    """Each line that is in force says what holds without it: taking one away changes nothing either."""
    text = DEFAULT_FILE.read_text()
    live = [line for line in text.splitlines() if re.match(r" *[a-z_]+: [^#]", line)]
    assert len(live) == 44
    for line in live:
        assert parse(text.replace(f"{line}\n", "", 1), "f.yaml", {}) == Settings(), line


@pytest.fixture
def text(tmp_path: Path) -> str:
    """The file, naming a token file that is there."""
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "token").chmod(0o600)
    return DEFAULT_FILE.read_text().replace("/etc/heapwarden/token", str(tmp_path / "token"))


def test_every_key_is_in_the_file(text: str) -> None:
    """In force or as an example; all examples are right together when they are put in force, but for the last token."""
    whole = EXAMPLE.sub(r"\1\2", re.sub("^#api: {token: .*$", "", text, flags=re.MULTILINE))
    settings = parse(whole, "f.yaml", {})
    assert [rule.name for rule in settings.watchlist.rules] == ["api", "jobs", "one"]
    there = {".".join(step for step in path if isinstance(step, str)) for path in read(whole, {}).values}
    there |= {f"defaults.{path.removeprefix('processes.')}" for path in there if path.startswith("processes.restart")}
    wanted = {".".join(keys).replace("[]", "") for keys, _ in all_keys()} - NOT_IN_THE_FILE
    assert there >= {keys for keys in wanted if not keys.startswith(("processes.health.", "processes.restart."))}


@pytest.mark.parametrize("number", range(len(EXAMPLE.findall(DEFAULT_FILE.read_text().split("#processes:")[0]))))
def test_each_example_is_right_alone(number: int, text: str) -> None:
    """Those outside the rules are single lines: any of them can be put in force."""
    line = list(EXAMPLE.finditer(text))[number][0]
    changed = text.replace(line, EXAMPLE.sub(r"\1\2", line))
    assert parse(changed, "f.yaml", {"HEAPWARDEN_TOKEN": "0123456789abcdef"}) != Settings()


def test_the_reference_is_what_the_code_says() -> None:
    """`make docs` writes it again."""
    assert REFERENCE.read_text() == reference.page()
