"""Options that whoever runs an agent shares, and the settings they lead to."""

import argparse
import os
from pathlib import Path

import pytest

from heapwarden.cli.options import add_agent_options, settings_of, with_writable_state
from heapwarden.domain.errors import SettingsError
from heapwarden.policy.restart import MemoryRule
from heapwarden.settings.model import Settings

USUAL = Settings().state_dir


def parsed(*arguments: str) -> argparse.Namespace:
    """What argparse makes of the options."""
    parser = argparse.ArgumentParser()
    add_agent_options(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty settings file, the one that holds when none is named."""
    path = tmp_path / "h.yaml"
    path.touch()
    monkeypatch.setenv("HEAPWARDEN_CONFIG", str(path))
    return path


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who may not write to the usual folder."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and path.exists())


@pytest.mark.usefixtures("file")
def test_without_options_the_settings_are_the_files() -> None:
    """Nothing is overridden."""
    assert settings_of(parsed()) == Settings()


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("size", "limit"), [("300M", 300 * 2**20), ("80%", 0.8)], ids=["a size", "of the container's limit"]
)
@pytest.mark.parametrize("option", ["--max-memory", "--max-memory-restart"])
def test_a_limit_for_all(option: str, size: str, limit: float) -> None:
    """Under PM2's name too; it must hold as long as one in the file by default."""
    assert settings_of(parsed(option, size)).watchlist.default_restart.max_memory == MemoryRule(limit, 10.0)


def test_a_limit_for_all_leaves_rules_their_own(file: Path) -> None:
    """Those that have only the default's get it, held as long; the rest of their rules stays."""
    file.write_text(
        "defaults: {restart: {max_memory: {above: 1G, for: 30s}, drain: 1s}}\n"
        "processes:\n"
        "  - match: {pid: 1}\n"
        "    restart: {max_memory: 2G, dry_run: true}\n"
        "  - match: {pid: 2}\n"
        "    restart: {dry_run: true}\n"
        "  - match: {pid: 3}\n"
        "    restart: {max_memory: off}\n"
    )
    before, after = settings_of(parsed()).watchlist, settings_of(parsed("--max-memory", "300M")).watchlist
    wanted = MemoryRule(300 * 2**20, 30.0)
    assert after.default_restart.max_memory == wanted
    assert after.default_restart.plan.drain_seconds == 1.0
    assert after.rules[0] == before.rules[0]
    assert [rule.restart.max_memory for rule in after.rules[1:]] == [wanted, wanted]
    assert after.rules[1].restart.dry_run


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("300", '--max-memory: "300" has no unit, and would be 300 bytes; write 300M'),
        ("5M", "--max-memory: .* less than any Node process needs; write at least 10M"),
        ("100%", '--max-memory: "100%" is out of range; write more than 0% and less than 100%'),
        ("", '--max-memory: "" is not a size; write'),
        ("lots", '--max-memory: "lots" is not a size; write'),
    ],
)
def test_a_limit_that_is_none(text: str, said: str) -> None:
    """The option, what is wrong, and what would be right, as in the file."""
    with pytest.raises(SettingsError, match=f"^{said}"):
        settings_of(parsed("--max-memory", text))


def test_a_folder_for_state(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the file's; from where the command was started."""
    file.write_text("state_dir: /elsewhere\n")
    monkeypatch.chdir(file.parent)
    assert settings_of(parsed()).state_dir == Path("/elsewhere")
    assert settings_of(parsed("--state-dir", "here")).state_dir == file.parent / "here"


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({}, "/home/u/.local/state/heapwarden", id="in the home"),
        pytest.param({"XDG_STATE_HOME": ""}, "/home/u/.local/state/heapwarden", id="empty counts as unset"),
        pytest.param({"XDG_STATE_HOME": "/s"}, "/s/heapwarden", id="where the desktop wants it"),
        pytest.param({"XDG_STATE_HOME": "s"}, str(USUAL), id="a relative one is invalid"),
    ],
)
def test_who_may_not_write_the_usual_folder_gets_one(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their own, as the XDG base directory specification says."""
    monkeypatch.setenv("HOME", "/home/u")
    assert with_writable_state(Settings(), environment).state_dir == Path(folder)


@pytest.mark.usefixtures("ordinary_user")
def test_a_folder_that_was_named_stays() -> None:
    """Whether it can be written will be said by who tries."""
    named = Settings(state_dir=Path("/elsewhere"))
    assert with_writable_state(named, {"XDG_STATE_HOME": "/s"}) == named


@pytest.mark.usefixtures("ordinary_user")
def test_a_user_without_a_home_keeps_the_usual_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run as users that nobody has written down."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert with_writable_state(Settings(), {}) == Settings()


def test_who_may_write_the_usual_folder_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not be there yet: what is above it decides. Root is never moved, whatever the file system says."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert with_writable_state(Settings(), {"XDG_STATE_HOME": "/s"}) == Settings()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda path, mode: path == Path("/var/lib") or mode != os.F_OK)
    assert with_writable_state(Settings(), {"XDG_STATE_HOME": "/s"}) == Settings()
