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
from urllib.request import Request, urlopen

import psutil
import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, HEAPWARDEN, Program, free_port, get, node, program

NODE = node(22)
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


def under(policy: str | None, folder: Path, *command: str | Path) -> tuple[str | Path, ...]:
    """The command line of ``command`` under `heapwarden run --restart policy`, with its state in ``folder``."""
    options = ("--listen", "127.0.0.1:0", "--log-format", "json", "--state-dir", folder / "state")
    restart = ("--restart", policy) if policy else ()
    return (*HEAPWARDEN, "run", *options, *restart, "--", *command)


@contextmanager
def run(policy: str | None, folder: Path, *command: str | Path) -> Iterator[Program]:
    """The same, started in ``folder``."""
    with program(under(policy, folder, *command), cwd=folder) as started:
        yield started


def said(started: Program, text: str) -> list[str]:
    """Messages of the log that have ``text``."""
    messages = [json.loads(line)["message"] for line in started.err if line.startswith('{"time"')]
    return [message for message in messages if text in message]


def test_after_failures_it_is_started_again_and_after_success_it_is_not(tmp_path: Path) -> None:
    """An exit code, a signal, success: two more starts, each with its reason, and the last exit code."""
    script = f"{LIVES} if (life === 1) process.exit(3); if (life === 2) process.kill(process.pid, 'SIGKILL')"
    with run("on-failure", tmp_path, NODE, "-e", script) as started:
        assert started.wait(60) == 0
    assert (tmp_path / "lives").read_text() == "xxx"
    assert said(started, "again (") == [
        f"started {NODE} again (2nd time) after exit code 3",
        f"started {NODE} again (3rd time) after exit code 137",
    ]


def test_never_is_the_default(tmp_path: Path) -> None:
    """One life, and its exit code."""
    with run(None, tmp_path, NODE, "-e", f"{LIVES} process.exit(3)") as started:
        assert started.wait(60) == 3
    assert (tmp_path / "lives").read_text() == "x"


def test_always_means_after_success_too_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    """The agent stays up meanwhile; SIGTERM is handed on, and the app's own exit code comes back."""
    script = f"process.on('SIGTERM', () => process.exit(9)); process.on('SIGUSR2', () => process.exit(0)); {STAYS}"
    with run("always", tmp_path, NODE, "-e", script) as started:
        url = _url(started)
        first = int(started.line("ready ").split()[1])
        wait_for(lambda: _watched(url) == [first])
        started.signal(signal.SIGUSR2)
        started.line("again (2nd time) after exit code 0", 60)
        (second,) = wait_for(lambda: [pid for pid in _watched(url) if pid != first])
        wait_for(lambda: f"ready {second}" in started.out)
        started.signal(signal.SIGTERM)
        assert started.wait(60) == 9
    assert not said(started, "3rd time")


def _url(started: Program) -> str:
    port = json.loads(started.line('"port":'))["port"]
    return f"http://127.0.0.1:{port}"


def _watched(url: str) -> list[int]:
    return [one["pid"] for one in get(f"{url}/healthz").json["processes"]]


def test_a_crash_loop_backs_off_and_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """At a real terminal: each wait is said and twice the last; Ctrl-C in the middle of one ends it with 130."""
    command = [str(part) for part in under("always", tmp_path, NODE, "-e", "process.exit(1)")]
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
def test_a_stop_while_it_waits_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    """As if that signal had ended the command; one that stops nothing is dropped."""
    with run("on-failure", tmp_path, NODE, "-e", "process.exit(1)") as started:
        started.line("again in 4 s", 60)
        started.signal(signal.SIGUSR2)
        started.signal(number)
        assert started.wait(60) == 128 + number
    assert not said(started, "4th time")


def test_the_next_one_waits_for_the_port(tmp_path: Path) -> None:
    """A shell fails and leaves a server behind that holds the port: no second one is started before that has ended."""
    port = free_port()
    (tmp_path / "server.js").write_text(SERVER)
    script = f"test -e second && exec {NODE} server.js {port}; touch second; {NODE} server.js {port} & read _; exit 1"
    with run("on-failure", tmp_path, "sh", "-c", script) as started:
        first = int(started.line("listening ").split()[1])
        orphan = psutil.Process(first)
        started.line(f"waiting for what sh has left behind: pid {first}", 60)
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
    with run("on-failure", tmp_path, "sh", "-c", script) as started:
        first = int(started.line("listening ").split()[1])
        orphan = psutil.Process(first)
        try:
            started.line(f"its port may still be taken by pid {first}", 60)
            started.line("EADDRINUSE", 60)
            assert orphan.is_running()
            started.signal(signal.SIGTERM)
            started.process.wait(60)
            assert orphan.is_running()
        finally:
            orphan.kill()


def test_through_npm_the_app_comes_back_and_is_not_doubled(tmp_path: Path) -> None:
    """When npm is killed its app lives on, and the next `npm start` waits for it. The app is watched again."""
    (tmp_path / "package.json").write_text(
        json.dumps({"name": "x", "scripts": {"start": f"node api.js {free_port()}"}})
    )
    (tmp_path / "api.js").write_text(SERVER)
    with run("on-failure", tmp_path, "npm", "start") as started:
        url = _url(started)
        first = int(started.line("listening ").split()[1])
        orphan = psutil.Process(first)
        wait_for(lambda: _watched(url) == [first])
        os.kill(json.loads(started.line('"started npm"'))["pid"], signal.SIGKILL)
        waiting = started.line("waiting for what npm has left behind", 60)
        assert str(first) in waiting
        orphan.terminate()
        (second,) = wait_for(lambda: [pid for pid in _watched(url) if pid != first])
        again = psutil.Process(second)
        wait_for(lambda: f"listening {second}" in started.out)
        assert "EADDRINUSE" not in started.out
        started.signal(signal.SIGTERM)
        started.process.wait(60)
        with contextlib.suppress(psutil.NoSuchProcess):  # npm may end before its child
            again.kill()


def test_a_command_that_is_gone_may_come_back(tmp_path: Path) -> None:
    """As in the middle of a deployment: each vain start is said, and the next one is tried after a wait."""
    file = tmp_path / "app"
    file.write_text('#!/bin/sh\nrm -- "$0"\nexit 1\n')
    file.chmod(0o755)
    with run("on-failure", tmp_path, file) as started:
        started.line(f"{file}: not found", 60)
        new = tmp_path / "new"
        new.write_text("#!/bin/sh\nexit 0\n")
        new.chmod(0o755)
        new.rename(file)
        assert started.wait(60) == 0
    assert said(started, "after exit code 127")


def test_each_life_has_the_users_limit_of_open_files(tmp_path: Path) -> None:
    """The agent raises its own after the first start, and not the command's."""
    limited = ("sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh")
    script = "ulimit -Sn; test -e second && exit 0; touch second; exit 1"
    command = under("on-failure", tmp_path, "sh", "-c", script)
    with program((*limited, *command), cwd=tmp_path) as started:
        assert started.wait(60) == 0
    assert started.out == ["300", "300"]


def test_what_ran_before_is_not_waited_for(tmp_path: Path) -> None:
    """A script that has started something, and then calls exec: that is the script's, and no orphan of the command."""
    script = 'sleep 300 & echo $! > sleeper; exec "$@"'
    inner = "test -e second && exit 0; touch second; exit 1"
    command = ("sh", "-c", script, "sh", *under("on-failure", tmp_path, "sh", "-c", inner))
    with program(command, cwd=tmp_path, start_new_session=True) as started:
        try:
            assert started.process.wait(60) == 0
        finally:
            os.kill(int((tmp_path / "sleeper").read_text()), signal.SIGKILL)
    assert not said(started, "left behind")


def test_orphans_are_buried_though_it_is_not_pid_one(tmp_path: Path) -> None:
    """They are handed over to the agent, which knows only so what a command leaves behind; no zombie stays."""
    spawned = "['-c', 'sleep 300 & echo orphan $!'], {stdio: 'inherit'}"
    script = f"require('node:child_process').spawn('sh', {spawned}); {STAYS}"
    with run("never", tmp_path, NODE, "-e", script) as started:
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
    namespace = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    with program((*namespace, *under("on-failure", tmp_path, NODE, "-e", script)), cwd=tmp_path) as started:
        assert started.wait(60) == 0
    assert (tmp_path / "lives").read_text() == "xx"


TOKEN = "a-token-of-this-test"  # noqa: S105  it opens nothing else
RULE = "{max_memory: {above: 100M, for: 0s}, min_uptime: 0s, drain: 0s, budget: {restarts: 1, per: 1h}}"


def test_a_memory_restart_starts_it_again_under_never_too(tmp_path: Path) -> None:
    """At once, with the agent up; an end of its own thereafter is the end."""
    (tmp_path / "heapwarden.yaml").write_text(f"defaults: {{restart: {RULE}}}")
    environment = {"LEAK_MB_PER_S": "20"}
    with _restartable(tmp_path, environment, NODE, APPS / "restartable.cjs") as started:
        first = int(started.line("listening ").split()[1])
        _ends_of_itself_after_a_restart(started, first)


def test_a_requested_restart_starts_npm_again_under_never_too(tmp_path: Path) -> None:
    """The app is asked to end, npm ends with it, and both come back."""
    (tmp_path / "heapwarden.yaml").write_text(f"api: {{token: {TOKEN}}}\ndefaults: {{restart: {{drain: 0s}}}}")
    scripts = {"start": f"{NODE} {APPS / 'restartable.cjs'}"}
    (tmp_path / "package.json").write_text(json.dumps({"name": "x", "scripts": scripts}))
    with _restartable(tmp_path, {}, "npm", "start") as started:
        first = int(started.line("listening ").split()[1])
        wait_for(lambda: _watched(_url(started)) == [first])
        bearer = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = Request(f"{_url(started)}/processes/restartable/restart", b"{}", bearer)  # noqa: S310  loopback
        with urlopen(request, timeout=60) as answer:  # noqa: S310  as above
            assert answer.status == 202
        _ends_of_itself_after_a_restart(started, first)


@contextmanager
def _restartable(folder: Path, environment: dict[str, str], *command: str | Path) -> Iterator[Program]:
    """A command under the default policy, with the settings and a port that it always has."""
    more = {"PORT": str(free_port()), "HEAPWARDEN_CONFIG": str(folder / "heapwarden.yaml"), **environment}
    with program(under(None, folder, *command), {**os.environ, **more}, cwd=folder) as started:
        yield started


def _ends_of_itself_after_a_restart(started: Program, first: int) -> None:
    started.line("again (2nd time) after its restart by Heapwarden", 60)
    (second,) = wait_for(lambda: [pid for pid in _listening(started) if pid != first], 60)
    assert f"SIGTERM {first}" in "".join(started.out)
    wait_for(lambda: _watched(_url(started)) == [second], 60)
    os.kill(second, signal.SIGKILL)
    assert started.wait(60) == 137
    assert not said(started, "again in ")
    assert not said(started, "3rd time")


def _listening(started: Program) -> list[int]:
    return [int(line.split()[1]) for line in started.out if line.startswith("listening ")]


def test_an_unknown_policy_is_refused() -> None:
    """Exit code 2, and the known ones."""
    command = [*HEAPWARDEN, "run", "--restart", "sometimes", "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "'never', 'on-failure', 'always'" in done.stderr
