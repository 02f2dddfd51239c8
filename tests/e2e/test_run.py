"""`heapwarden run`: the parent of one command, as a shell sees it."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, DEMO, HEAPWARDEN, ROOT, Program, get, node, program

NODE = node(22)
STATE = tempfile.TemporaryDirectory(prefix="heapwarden-test-")
"""Removed when the tests are over."""
LOOPBACK = ("--listen", "127.0.0.1:0", "--log-format", "json", "--state-dir", STATE.name)


@contextmanager
def run(*command: str | Path, environment: dict[str, str] | None = None) -> Iterator[tuple[Program, str]]:
    """A command under `heapwarden run`, and the agent's address."""
    with program((*HEAPWARDEN, "run", *LOOPBACK, "--", *command), environment) as started:
        line = json.loads(started.line('"port":'))
        yield started, f"http://127.0.0.1:{line['port']}"


def finish(*command: str | Path, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run to the end."""
    whole = [str(part) for part in (*HEAPWARDEN, "run", *LOOPBACK, "--", *command)]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_the_whole_straight_way() -> None:
    """From a real Node process to figures, health and metrics, under the script's name."""
    with run(NODE, DEMO, "0") as (started, url):
        started.line("demo app on ")
        body = wait_for(lambda: (now := get(f"{url}/healthz").json)["status"] == "healthy" and now)
        assert body["memoryUsage"]["heapUsed"] > 2**20
        assert [one["process"] for one in body["processes"]] == ["server"]
        assert 'heapwarden_heap_used_bytes{process="server",worker="0",thread="main"}' in get(f"{url}/metrics").text
        started.signal(signal.SIGTERM)
        assert started.wait() == 0


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param("process.exit(0)", 0, id="success"),
        pytest.param("process.exit(42)", 42, id="its own code"),
        pytest.param("process.kill(process.pid, 'SIGKILL')", 137, id="killed"),
        pytest.param("throw new Error('boom')", 1, id="uncaught"),
    ],
)
def test_it_ends_as_the_command_ends(script: str, code: int) -> None:
    """The child's exit code, or 128 + the signal."""
    assert finish(NODE, "-e", script).returncode == code


def test_the_token_stays_with_the_agent() -> None:
    """An app that is watched has no say over it; the rest of the environment is the app's."""
    environment = {**os.environ, "HEAPWARDEN_TOKEN": "0123456789abcdef", "KEPT": "yes"}
    done = finish("sh", "-c", "echo ${HEAPWARDEN_TOKEN-unset} $KEPT", environment=environment)
    assert done.stdout == "unset yes\n"


def test_a_command_that_is_not_there_is_said() -> None:
    """127, as in a shell, and no traceback."""
    done = finish("no-such-command")
    assert done.returncode == 127
    assert "no-such-command: not found" in done.stderr
    assert "Traceback" not in done.stderr


def test_streams_are_the_commands_own() -> None:
    """Input, output and errors pass through byte by byte."""
    script = "process.stdin.on('data', d => { process.stdout.write('out ' + d); process.stderr.write('err ' + d) })"
    command = [str(part) for part in (*HEAPWARDEN, "run", *LOOPBACK, "--log-level", "error", "--", NODE, "-e", script)]
    done = subprocess.run(command, input="hello", capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("out hello", "err hello")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2])
def test_signals_are_handed_on_once(number: signal.Signals) -> None:
    """The app's own handler runs, exactly once, and its exit code comes back."""
    name = signal.Signals(number).name
    script = (
        f"let n = 0; process.on('{name}', () => {{ n += 1; setTimeout(() => process.exit(20 + n), 300) }});"
        "setInterval(() => {}, 1000); console.log('ready')"
    )
    with run(NODE, "-e", script) as (started, _):
        started.line("ready")
        started.signal(number)
        assert started.wait() == 21


def test_a_ctrl_c_at_a_terminal_reaches_the_app_once() -> None:
    """The terminal signals the whole foreground group; the agent must not make two of it."""
    script = (
        "let n = 0; process.on('SIGINT', () => { n += 1; setTimeout(() => process.exit(20 + n), 300) });"
        "setInterval(() => {}, 1000); console.log('ready')"
    )
    command = [str(part) for part in (*HEAPWARDEN, "run", *LOOPBACK, "--", NODE, "-e", script)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)  # noqa: S606  no shell is wanted
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    code = os.waitstatus_to_exitcode(_reap(pid, terminal))
    os.close(terminal)
    assert code == 21, said


def _reap(pid: int, terminal: int) -> int:
    """Read on until the terminal closes, then the wait status."""
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # EIO: the last process of the terminal has ended
        pass
    return os.waitpid(pid, 0)[1]


def test_the_users_node_options_are_kept() -> None:
    """What was set stays in force, and comes first."""
    environment = {**os.environ, "NODE_OPTIONS": "--max-old-space-size=123"}
    script = "console.log(process.env.NODE_OPTIONS); console.log(v8.getHeapStatistics().heap_size_limit >> 20)"
    done = finish(NODE, "-e", script, environment=environment)
    options, limit = done.stdout.split("\n")[:2]
    assert options.startswith("--max-old-space-size=123 --require ")
    assert 123 <= int(limit) < 400


def test_through_npm_the_app_is_watched_and_npm_is_not(tmp_path: Path) -> None:
    """`npm start`: the app under its own name; npm recognised, not judged."""
    (tmp_path / "package.json").write_text(json.dumps({"name": "x", "scripts": {"start": "node api.js"}}))
    (tmp_path / "api.js").write_text("setInterval(() => {}, 1000)")
    with run("npm", "start", "--prefix", tmp_path) as (started, url):
        wait_for(lambda: [one["process"] for one in get(f"{url}/healthz").json["processes"]] == ["api"])
        wait_for(lambda: get(f"{url}/processes").json["wrappers"])
        (api,) = get(f"{url}/healthz").json["processes"]
        started.signal(signal.SIGTERM)
        started.wait()
        with contextlib.suppress(ProcessLookupError):  # npm may end before its child
            os.kill(api["pid"], signal.SIGKILL)


def test_as_pid_one_it_buries_orphans() -> None:
    """In a PID namespace of its own: zombies that a shell left behind do not pile up."""
    file = APPS / "orphans.cjs"
    inner = (*HEAPWARDEN, "run", *LOOPBACK, "--", NODE, file)
    with program(("unshare", "--pid", "--fork", "--mount-proc", *inner)) as started:
        started.line("clean")
        assert started.wait() == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("private", [False, True], ids=["package for all", "package for root alone"])
def test_a_command_that_changes_its_user_starts_and_reports(tmp_path: Path, private: bool) -> None:
    """As `gosu` and `su-exec` do in containers: the preload and the socket are within the new user's reach."""
    environment = dict(os.environ)
    if private:
        shutil.copytree(ROOT / "agent" / "heapwarden", tmp_path / "private" / "heapwarden")
        (tmp_path / "private").chmod(0o700)
        environment["PYTHONPATH"] = str(tmp_path / "private")
    become = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with run(*become, NODE, "-e", "setInterval(() => {}, 1000)", environment=environment) as (_, url):
        wait_for(lambda: get(f"{url}/healthz").json["memoryUsage"]["heapUsed"])


def test_the_commands_limits_are_its_own() -> None:
    """The agent may raise its own limit of open files, and not the command's."""
    limited = ("sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh")
    whole = [*limited, *(str(part) for part in HEAPWARDEN), "run", *LOOPBACK, "--", "sh", "-c", "ulimit -Sn"]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "300\n"


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    """Exit code 1, the address, the next step; the command was not started."""
    with run(NODE, "-e", "setInterval(() => {}, 1000)") as (_, url):
        address = url.removeprefix("http://")
        command = [*HEAPWARDEN, "run", "--listen", address, "--", NODE, "-e", "console.log('started')"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert address in done.stderr
    assert "--listen" in done.stderr
    assert "started" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(("run",), 2, "no command given", id="no command"),
        pytest.param(("run", "--listen", "nonsense", "--", "true"), 2, "nonsense", id="bad address"),
        pytest.param(("run", "--config", "/no/such.yaml", "--", "true"), 2, "/no/such.yaml", id="no settings"),
        pytest.param(("watch", "--command", "(", "--listen", "127.0.0.1:0"), 2, "regular expression", id="bad regex"),
    ],
)
def test_wrong_use_is_said_with_the_next_step(arguments: Sequence[str], code: int, said: str) -> None:
    """Exit code 2, one clear line, no traceback."""
    done = subprocess.run([*HEAPWARDEN, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["", "run", "watch", "top", "check-config", "reporter", "reporter install"])
def test_help_is_complete(command: str) -> None:
    """Every subcommand explains itself."""
    done = subprocess.run(
        [*HEAPWARDEN, *command.split(), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "usage: heapwarden" in done.stdout
    assert sys.executable not in done.stdout
