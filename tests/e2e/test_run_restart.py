"""`heapwarden run --restart`: a command that is started again, with real Node processes, signals, ports and orphans."""

import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fakes.conditions import wait_for
from fakes.machine import HEAPWARDEN, Program, free_port, get, node, program

NODE = node(22)
LOOPBACK = ("--listen", "127.0.0.1:0", "--log-format", "json")
STAYS = "setInterval(() => {}, 1000); console.log('ready ' + process.pid)"

LIVES = """
const fs = require('node:fs');
fs.appendFileSync('lives', 'x');
const life = fs.readFileSync('lives').length;
"""
"""Lives are counted in a file of the working directory."""

SERVER = """
require('node:http').createServer((_, answer) => answer.end(String(process.pid))).listen(Number(process.argv[2]),
  '127.0.0.1', () => console.log('listening ' + process.pid)).on('error', (error) => {
  console.log(error.code); process.exit(1) })
"""


@contextmanager
def run(policy: str, *command: str | Path, folder: Path | None = None) -> Iterator[Program]:
    """A command under `heapwarden run --restart policy`."""
    with program((*HEAPWARDEN, "run", *LOOPBACK, "--restart", policy, "--", *command), cwd=folder) as started:
        yield started


def said(started: Program, text: str) -> list[str]:
    """Messages of the log that have ``text``."""
    messages = [json.loads(line)["message"] for line in started.err if line.startswith('{"time"')]
    return [message for message in messages if text in message]


def test_after_failures_it_is_started_again_and_after_success_it_is_not(tmp_path: Path) -> None:
    """An exit code, a signal, success: two more starts, each with its reason, and the last exit code."""
    script = f"{LIVES} if (life === 1) process.exit(3); if (life === 2) process.kill(process.pid, 'SIGKILL')"
    with run("on-failure", NODE, "-e", script, folder=tmp_path) as started:
        assert started.wait() == 0
    assert (tmp_path / "lives").read_text() == "xxx"
    assert said(started, "again (") == [
        f"started {NODE} again (2nd time) after exit code 3",
        f"started {NODE} again (3rd time) after exit code 137",
    ]


def test_never_is_the_default(tmp_path: Path) -> None:
    """One life, and its exit code."""
    with program(
        (*HEAPWARDEN, "run", *LOOPBACK, "--", NODE, "-e", f"{LIVES} process.exit(3)"), cwd=tmp_path
    ) as started:
        assert started.wait() == 3
    assert (tmp_path / "lives").read_text() == "x"


def test_always_means_after_success_too_until_it_is_asked_to_stop() -> None:
    """The agent stays up meanwhile; SIGTERM is handed on, and the app's own exit code comes back."""
    script = f"process.on('SIGTERM', () => process.exit(9)); process.on('SIGUSR2', () => process.exit(0)); {STAYS}"
    with run("always", NODE, "-e", script) as started:
        url = _url(started)
        first = int(started.line("ready ").split()[1])
        wait_for(lambda: _watched(url) == [first])
        started.signal(signal.SIGUSR2)
        started.line("again (2nd time) after exit code 0")
        (second,) = wait_for(lambda: [pid for pid in _watched(url) if pid != first])
        wait_for(lambda: f"ready {second}" in started.out)
        started.signal(signal.SIGTERM)
        assert started.wait() == 9
    assert not said(started, "3rd time")


def _url(started: Program) -> str:
    port = json.loads(started.line('"port":'))["port"]
    return f"http://127.0.0.1:{port}"


def _watched(url: str) -> list[int]:
    return [one["pid"] for one in get(f"{url}/healthz").json["processes"]]


def test_a_crash_loop_backs_off_and_ctrl_c_ends_it_at_once() -> None:
    """At a real terminal: each wait is said and twice the last; Ctrl-C in the middle of one ends it with 130."""
    command = [*HEAPWARDEN, "run", *LOOPBACK, "--restart", "always", "--", NODE, "-e", "process.exit(1)"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)  # noqa: S606  no shell is wanted
    output = b""
    while b"again in 4 s" not in output:
        output += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    try:
        while more := os.read(terminal, 4096):
            output += more
    except OSError:  # EIO: the last process of the terminal has ended
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, output
    os.close(terminal)
    for wait in (1, 2, 4):
        assert output.count(b"again in %d s" % wait) == 1
    assert b"again in 8 s" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_while_it_waits_ends_it(number: signal.Signals) -> None:
    """As if that signal had ended the command; one that stops nothing is dropped."""
    with run("on-failure", NODE, "-e", "process.exit(1)") as started:
        started.line("again in 4 s")
        started.signal(signal.SIGUSR2)
        started.signal(number)
        assert started.wait() == 128 + number
    assert not said(started, "4th time")


def test_the_next_one_waits_for_the_port(tmp_path: Path) -> None:
    """A shell fails and leaves a server behind that holds the port: no second one is started before that has ended."""
    port = free_port()
    (tmp_path / "server.js").write_text(SERVER)
    script = f"test -e second && exec {NODE} server.js {port}; touch second; {NODE} server.js {port} & read _; exit 1"
    command = (*HEAPWARDEN, "run", *LOOPBACK, "--restart", "on-failure", "--", "sh", "-c", script)
    with program(command, cwd=tmp_path) as started:
        first = int(started.line("listening ").split()[1])
        orphan = psutil.Process(first)
        started.line(f"waiting for what sh has left behind: pid {first}")
        assert get(f"http://127.0.0.1:{port}").text == str(first)
        orphan.terminate()
        second = wait_for(lambda: next((line for line in started.out if line != f"listening {first}"), None))
        assert second.startswith("listening ")
        assert get(f"http://127.0.0.1:{port}").text == second.split()[1]
    assert not said(started, "may still be taken")


def test_an_orphan_that_stays_is_named_and_never_killed(tmp_path: Path) -> None:
    """After ten seconds the command is started all the same; it finds its port taken, and the log says by whom."""
    port = free_port()
    (tmp_path / "server.js").write_text(SERVER)
    script = f"test -e second && exec {NODE} server.js {port}; touch second; {NODE} server.js {port} & read _; exit 1"
    command = (*HEAPWARDEN, "run", *LOOPBACK, "--restart", "on-failure", "--", "sh", "-c", script)
    with program(command, cwd=tmp_path) as started:
        first = int(started.line("listening ").split()[1])
        orphan = psutil.Process(first)
        try:
            started.line(f"its port may still be taken by pid {first}")
            started.line("EADDRINUSE")
            assert orphan.is_running()
            started.signal(signal.SIGTERM)
            started.process.wait(30)
            assert orphan.is_running()
        finally:
            orphan.kill()


def test_through_npm_the_app_comes_back_and_is_not_doubled(tmp_path: Path) -> None:
    """When npm is killed its app lives on, and the next `npm start` waits for it. The app is watched again."""
    (tmp_path / "package.json").write_text(
        json.dumps({"name": "x", "scripts": {"start": f"node api.js {free_port()}"}})
    )
    (tmp_path / "api.js").write_text(SERVER)
    with run("on-failure", "npm", "start", "--prefix", tmp_path) as started:
        url = _url(started)
        first = int(started.line("listening ").split()[1])
        orphan = psutil.Process(first)
        wait_for(lambda: _watched(url) == [first])
        os.kill(json.loads(started.line('"started npm"'))["pid"], signal.SIGKILL)
        waiting = started.line("waiting for what npm has left behind")
        assert str(first) in waiting
        orphan.terminate()
        (second,) = wait_for(lambda: [pid for pid in _watched(url) if pid != first])
        again = psutil.Process(second)
        wait_for(lambda: f"listening {second}" in started.out)
        assert "EADDRINUSE" not in started.out
        started.signal(signal.SIGTERM)
        started.process.wait(30)
        with contextlib.suppress(psutil.NoSuchProcess):  # npm may end before its child
            again.kill()


def test_a_command_that_is_gone_may_come_back(tmp_path: Path) -> None:
    """As in the middle of a deployment: each vain start is said, and the next one is tried after a wait."""
    file = tmp_path / "app"
    file.write_text('#!/bin/sh\nrm -- "$0"\nexit 1\n')
    file.chmod(0o755)
    with run("on-failure", file) as started:
        started.line(f"{file}: not found")
        new = tmp_path / "new"
        new.write_text("#!/bin/sh\nexit 0\n")
        new.chmod(0o755)
        new.rename(file)
        assert started.wait() == 0
    assert said(started, "after exit code 127")


def test_each_life_has_the_users_limit_of_open_files(tmp_path: Path) -> None:
    """The agent raises its own after the first start, and not the command's."""
    limited = ("sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh")
    script = "ulimit -Sn; test -e second && exit 0; touch second; exit 1"
    command = (*limited, *HEAPWARDEN, "run", *LOOPBACK, "--restart", "on-failure", "--", "sh", "-c", script)
    with program(command, cwd=tmp_path) as started:
        assert started.wait() == 0
    assert started.out == ["300", "300"]


def test_what_ran_before_is_not_waited_for(tmp_path: Path) -> None:
    """A script that has started something, and then calls exec: that is the script's, and no orphan of the command."""
    script = 'sleep 300 & echo $! > sleeper; exec "$@"'
    inner = "test -e second && exit 0; touch second; exit 1"
    command = (
        "sh",
        "-c",
        script,
        "sh",
        *HEAPWARDEN,
        "run",
        *LOOPBACK,
        "--restart",
        "on-failure",
        "--",
        "sh",
        "-c",
        inner,
    )
    with program(command, cwd=tmp_path, start_new_session=True) as started:
        try:
            assert started.process.wait(30) == 0
        finally:
            os.kill(int((tmp_path / "sleeper").read_text()), signal.SIGKILL)
    assert not said(started, "left behind")


def test_orphans_are_buried_though_it_is_not_pid_one() -> None:
    """They are handed over to the agent, which knows only so what a command leaves behind; no zombie stays."""
    spawned = "['-c', 'sleep 300 & echo orphan $!'], {stdio: 'inherit'}"
    with run("never", NODE, "-e", f"require('node:child_process').spawn('sh', {spawned}); {STAYS}") as started:
        orphan = psutil.Process(int(started.line("orphan ").split()[1]))
        wait_for(lambda: orphan.ppid() == started.pid)
        orphan.kill()
        wait_for(lambda: not psutil.pid_exists(orphan.pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make PID namespaces")
def test_as_pid_one_it_buries_orphans_between_two_lives(tmp_path: Path) -> None:
    """The first life leaves some and fails; the second succeeds once it sees PID 1 and itself alone, no zombie."""
    script = f"""{LIVES}
    const {{ spawn }} = require('node:child_process');
    if (life === 1) {{
      for (let i = 0; i < 3; i += 1) spawn('sleep', ['0.5'], {{ stdio: 'ignore' }});
      setImmediate(() => process.exit(1));
    }} else setInterval(() => {{
      const pids = fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name));
      if (pids.length === 2) process.exit(0);
    }}, 20);"""
    inner = (*HEAPWARDEN, "run", *LOOPBACK, "--restart", "on-failure", "--", NODE, "-e", script)
    with program(("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *inner), cwd=tmp_path) as started:
        assert started.wait() == 0
    assert (tmp_path / "lives").read_text() == "xx"


def test_an_unknown_policy_is_refused() -> None:
    """Exit code 2, and the known ones."""
    command = [*HEAPWARDEN, "run", "--restart", "sometimes", "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "'never', 'on-failure', 'always'" in done.stderr
