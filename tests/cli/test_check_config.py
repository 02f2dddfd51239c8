"""`heapwarden check-config`."""

import argparse
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from heapwarden.cli.check_config import add_to, run
from heapwarden.settings import parse
from heapwarden.settings.model import Settings


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """As sys.stderr in a terminal."""
        return True


def command_line(*arguments: str) -> argparse.Namespace:
    """What argparse makes of ``heapwarden check-config …``."""
    parser = argparse.ArgumentParser()
    add_to(parser.add_subparsers())
    return parser.parse_args(["check-config", *arguments])


def test_a_right_file(tmp_path: Path) -> None:
    """Exit code 0, what it comes to on stdout, nothing on stderr."""
    path = tmp_path / "h.yaml"
    path.write_text("listen: :1\nprocesses: [{name: api, match: {pid: 1}, restart: {max_memory: 1G}}]\n")
    out, err = io.StringIO(), io.StringIO()
    assert run(path, {}, out, err) == 0
    lines = out.getvalue().splitlines()
    assert lines[0] == f"{path}: right"
    assert "listen           0.0.0.0:1" in lines
    assert err.getvalue() == ""


def test_a_right_file_that_deserves_a_word(tmp_path: Path) -> None:
    """Below the rest, a line each; the exit code stays 0."""
    path = tmp_path / "h.yaml"
    path.write_text("defaults: {restart: {max_memory: 1G, grace: 0s}}\n")
    out = io.StringIO()
    assert run(path, {}, out, io.StringIO()) == 0
    assert out.getvalue().splitlines()[-2:] == [
        "Right, but note:",
        "  defaults.restart.grace: 0s kills at once: the process has no time to end by itself",
    ]


def test_a_token_is_never_printed(tmp_path: Path) -> None:
    """Whatever is asked for, of a file that is right and of one that is wrong."""
    path = tmp_path / "h.yaml"
    for rest in ("", "listen: 1\n"):
        path.write_text(f"api: {{token: hunter2hunter2hunter2}}\n{rest}")
        out, err = io.StringIO(), io.StringIO()
        for whole in (False, True):
            run(path, {}, out, err, whole=whole)
        assert "hunter2" not in out.getvalue() + err.getvalue()


def test_a_wrong_file(tmp_path: Path) -> None:
    """Exit code 1, each fault on a line of stderr without colour, nothing on stdout."""
    path = tmp_path / "h.yaml"
    path.write_text("listen: 1\nsocket: x\n")
    out, err = io.StringIO(), io.StringIO()
    assert run(path, {}, out, err) == 1
    assert [line.split(": ")[:2] for line in err.getvalue().splitlines()] == [
        [f"{path}:1:9", "listen"],
        [f"{path}:2:9", "socket"],
    ]
    assert "\x1b" not in err.getvalue()
    assert out.getvalue() == ""


def test_no_file() -> None:
    """The built-in settings are right, and it says that they are that."""
    out = io.StringIO()
    assert run(None, {}, out, io.StringIO()) == 0
    assert out.getvalue().startswith("no file: the built-in settings: right\n")


def test_the_whole_file(tmp_path: Path) -> None:
    """`--print`: YAML that has the same effect."""
    path = tmp_path / "h.yaml"
    path.write_text("sample_interval: ${EVERY}\n")
    out = io.StringIO()
    assert run(path, {"EVERY": "2s"}, out, io.StringIO(), whole=True) == 0
    assert parse(out.getvalue(), "f.yaml", {}) == Settings(sample_interval_seconds=2.0)


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)]
)
def test_colour_only_on_a_terminal(tmp_path: Path, environment: dict[str, str], coloured: bool) -> None:
    """The place stands out, unless the person asked for no colour (no-color.org)."""
    path = tmp_path / "h.yaml"
    path.write_text("listen: 1\n")
    err = Terminal()
    assert run(path, environment, io.StringIO(), err) == 1
    assert err.getvalue().startswith(f"\x1b[1;31m{path}:1:9:\x1b[0m listen: ") is coloured


def test_options() -> None:
    """A file and `--print`, both optional."""
    parsed = command_line()
    assert (parsed.file, parsed.whole) == (None, False)
    parsed = command_line("--print", "x.yaml")
    assert (parsed.file, parsed.whole) == (Path("x.yaml"), True)
    with pytest.raises(SystemExit) as caught:
        command_line("a", "b")
    assert caught.value.code == 2


def test_the_variable_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for the agent itself."""
    monkeypatch.setenv("HEAPWARDEN_CONFIG", str(tmp_path / "none.yaml"))
    parsed = command_line()
    assert parsed.handler(parsed) == 1
    assert f"{tmp_path / 'none.yaml'}: can't be read: No such file or directory" in capsys.readouterr().err


def test_the_real_command(tmp_path: Path) -> None:
    """The installed program: exit codes, and colour through a real terminal."""
    path = tmp_path / "h.yaml"
    command = [sys.executable, "-m", "heapwarden", "check-config", str(path)]
    path.write_text("listen: :1\n")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    path.write_text("listen: 1\n")
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ended = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, env=environment, check=False)
    assert ended.returncode == 1
    assert os.read(ours, 4096).startswith(b"\x1b[1;31m")
    os.close(ours)
    os.close(theirs)


def test_a_file_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    """A name may be any bytes; what is shown of it is safe for every terminal."""
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff\n.yaml"))
    out, err = io.StringIO(), io.StringIO()
    assert run(path, {}, out, err) == 1
    assert "/\\udcff\\n.yaml: can't be read" in err.getvalue()
    path.touch()
    assert run(path, {}, out, err) == 0
    assert out.getvalue().startswith(f"{tmp_path}/\\udcff\\n.yaml: right\n")
