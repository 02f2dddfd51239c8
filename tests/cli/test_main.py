"""The command line as a whole: exit codes, versions, and `reporter install` as an init container uses it."""

import argparse
import importlib
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import DEMO, HEAPWARDEN, NODE_MAJORS, agent, node, program
from heapwarden import __version__
from heapwarden.domain.errors import (
    CommandNotStartedError,
    HeapwardenError,
    ListenError,
    SettingsError,
    SocketUnavailableError,
)

cli = importlib.import_module("heapwarden.cli.main")
"""The module: the package gives the function of that name."""


def heapwarden(*arguments: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    return subprocess.run(
        [*HEAPWARDEN, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        pytest.param(SettingsError("wrong"), 2, "heapwarden: wrong\n", id="settings"),
        pytest.param(CommandNotStartedError("x: not found", 127), 127, "heapwarden: x: not found\n", id="not found"),
        pytest.param(CommandNotStartedError("x: no", 126), 126, "heapwarden: x: no\n", id="not runnable"),
        pytest.param(ListenError("taken"), 1, "heapwarden: taken\n", id="address taken"),
        pytest.param(SocketUnavailableError("taken"), 1, "heapwarden: taken\n", id="socket taken"),
        pytest.param(HeapwardenError("other"), 1, "heapwarden: other\n", id="any other of ours"),
        pytest.param(KeyboardInterrupt(), 130, "", id="interrupted"),
    ],
)
def test_each_error_has_its_exit_code(
    raised: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And one line on standard error, with no traceback."""

    def handler(_: argparse.Namespace) -> int:
        raise raised

    parser = argparse.ArgumentParser()
    parser.set_defaults(handler=handler)
    monkeypatch.setattr(cli, "build_parser", lambda: parser)
    assert cli.main([]) == code
    assert capsys.readouterr() == ("", said)


def test_what_is_not_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the program shows its traceback: it is no message for a user to act on."""
    parser = argparse.ArgumentParser()
    parser.set_defaults(handler=lambda _: {}["missing"])
    monkeypatch.setattr(cli, "build_parser", lambda: parser)
    with pytest.raises(KeyError):
        cli.main([])


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(HEAPWARDEN, id="as a module"),
        pytest.param((str(Path(sys.executable).with_name("heapwarden")),), id="as a command"),
    ],
)
def test_the_version_is_said(command: Sequence[str]) -> None:
    """The same, however it is started."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"heapwarden {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="none"),
        pytest.param(("wacth",), id="unknown subcommand"),
        pytest.param(("top", "--no-such"), id="unknown option"),
        pytest.param(("reporter",), id="no action"),
        pytest.param(("reporter", "install"), id="no folder"),
        pytest.param(("watch", "--pid", "one"), id="pid in words"),
        pytest.param(("watch", "--pid", "1", "--children-of", "1"), id="two scopes"),
        pytest.param(("watch", "--log-level", "loud"), id="unknown level"),
        pytest.param(("watch", "--log-interval", "5"), id="a time without a unit"),
    ],
)
def test_wrong_use_is_code_two(arguments: Sequence[str]) -> None:
    """Said on standard error, nothing on standard output, no traceback."""
    done = heapwarden(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "heapwarden" in done.stderr
    assert "Traceback" not in done.stderr


def test_install_prints_the_environment_and_nothing_else(tmp_path: Path) -> None:
    """Two lines of NAME=VALUE with absolute paths; the file is there, whole, and readable for the app's user."""
    done = heapwarden("reporter", "install", "into/here", "--socket", "/run/x.sock", cwd=tmp_path)
    script = tmp_path / "into" / "here" / "heapwarden.cjs"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"NODE_OPTIONS=--require {script}\nHEAPWARDEN_SOCKET=/run/x.sock\n"
    assert script.stat().st_mode & 0o777 == 0o644


def test_without_a_socket_only_node_options_are_printed(tmp_path: Path) -> None:
    """One line."""
    assert heapwarden("reporter", "install", tmp_path).stdout == f"NODE_OPTIONS=--require {tmp_path}/heapwarden.cjs\n"


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("file", id="a file is there"),
        pytest.param("file/below", id="below a file"),
        pytest.param("n" * 300, id="a name too long"),
    ],
)
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, place: str) -> None:
    """Exit code 1, the place, and what to do; nothing that a shell could take for an environment."""
    (tmp_path / "file").write_text("")
    done = heapwarden("reporter", "install", tmp_path / place)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path) in done.stderr
    assert "choose a folder you may write" in done.stderr
    assert done.stderr.count("\n") == 1


def reports(environment: dict[str, str], major: int, folder: Path) -> None:
    """A Node that is started with exactly this environment, and PATH, reports its heap to a real agent."""
    mark = f"installed-{major}-{os.getpid()}"
    with (
        agent(folder, "", "--command", f"{mark}$") as handle,
        program((node(major), DEMO, "0", mark), {"PATH": os.environ["PATH"], **environment}) as app,
    ):
        one = wait_for(lambda: (found := handle.process(app.pid)) and found["isolates"] and found)
        assert one["source"] == "reporter"
        assert one["memoryUsage"]["heapUsed"] > 2**20


@pytest.mark.node
@pytest.mark.parametrize("major", NODE_MAJORS)
def test_as_an_env_file_it_makes_node_report(tmp_path: Path, major: int) -> None:
    """What is printed is read line by line, as `docker run --env-file` and Compose do."""
    done = heapwarden("reporter", "install", tmp_path / "shared", "--socket", tmp_path / "agent.sock")
    reports(dict(line.split("=", 1) for line in done.stdout.splitlines()), major, tmp_path)


def test_with_spaces_in_its_path_the_env_file_still_works(tmp_path: Path) -> None:
    """Node reads quotes within NODE_OPTIONS; an env-file's line has none of its own."""
    folder = tmp_path / "with space"
    done = heapwarden("reporter", "install", folder, "--socket", tmp_path / "agent.sock")
    reports(dict(line.split("=", 1) for line in done.stdout.splitlines()), 22, tmp_path)


def test_a_shell_can_export_what_is_printed(tmp_path: Path) -> None:
    """Read line by line, so that the space within NODE_OPTIONS stays in it."""
    install = shlex.join([*HEAPWARDEN, "reporter", "install", str(tmp_path), "--socket", str(tmp_path / "agent.sock")])
    script = f'while IFS= read -r line; do export "$line"; done < <({install}); env -0'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    variables = dict(item.split("=", 1) for item in done.stdout.split("\0") if "=" in item)
    wanted = {name: variables[name] for name in ("NODE_OPTIONS", "HEAPWARDEN_SOCKET")}
    assert wanted["NODE_OPTIONS"] == f"--require {tmp_path}/heapwarden.cjs"
    reports(wanted, 22, tmp_path)


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    """`check-config --print | head -1`: no traceback, and the exit code of a broken pipe."""
    script = "set -o pipefail; " + " ".join((*HEAPWARDEN, "check-config", "--print")) + " | head -c 1 >/dev/null"
    for _ in range(3):
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        assert done.returncode in (0, 141)
