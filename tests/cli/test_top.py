"""`heapwarden top` against real agents: printed once, as JSON, and live in a pseudo-terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import HEAPWARDEN, AgentHandle, agent, demo, free_port

TOP = (*HEAPWARDEN, "top")
OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


def top(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, without a terminal."""
    return subprocess.run(
        [*TOP, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHandle]:
    """An agent with a demo app, once every figure of it is there."""
    folder = tmp_path_factory.mktemp("agent")
    mark = f"top-{os.getpid()}"
    with agent(folder, "", "--command", f"{mark}$") as handle, demo(handle, 22, mark=mark) as (started, _):
        wait_for(
            lambda: (one := handle.process(started.pid)) and one["gc"] and one["loop"] and one["memoryUsage"]["rss"]
        )
        yield handle


class Terminal:
    """`heapwarden top` in a pseudo-terminal of its own, and all it has written."""

    def __init__(self, url: str, columns: int = 100, rows: int = 24) -> None:
        """Start it."""
        self.written = ""
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(TOP[0], [*TOP, "--url", url, "--interval", "0.2"])  # noqa: S606  no shell is wanted
        self.code: int | None = None

    def read(self) -> bool:
        """Take in what is there; False at its end."""
        if select.select([self._end], [], [], 0.05)[0]:
            try:
                piece = os.read(self._end, 65_536)
            except OSError:  # EIO: the last process of the terminal has ended
                return False
            self.written += piece.decode(errors="replace")
        return True

    def shows(self, text: str, seconds: float = 30) -> None:
        """Wait until it writes ``text`` anew."""
        begin = len(self.written)
        wait_for(lambda: (self.read(), text in seen(self.written[begin:]))[1], seconds, every=0)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._end, keys.encode())

    def ends(self) -> int:
        """Read to the end; its exit code."""
        wait_for(lambda: not self.read(), every=0)
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def restored(self) -> bool:
        """Own screen and cursor are as before."""
        screens = re.findall(r"\x1b\[\?1049[hl]", self.written)
        cursor = re.findall(r"\x1b\[\?25[hl]", self.written)
        return screens == [OTHER_SCREEN, OWN_SCREEN] and cursor[-1] == CURSOR_SHOWN

    def close(self) -> None:
        """End it by force if it still runs."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._end)


@contextmanager
def terminal(url: str, columns: int = 100, rows: int = 24) -> Iterator[Terminal]:
    """One that ends with the test."""
    started = Terminal(url, columns, rows)
    try:
        yield started
    finally:
        started.close()


def seen(text: str) -> str:
    """Without the terminal's commands."""
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)


def test_once_prints_a_table_with_true_figures(watching: AgentHandle) -> None:
    """Name, state, RSS, heap of its limit and GC/s of a real app; plain text where it goes into a pipe."""
    done = top("--once", "--url", watching.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("server/0"))
    one = watching.processes()[0]
    name, pid, health, rss, _, share, heap = row.split()[:7]
    assert (name, pid, health) == ("server/0", str(one["pid"]), "healthy")
    assert abs(int(rss.removesuffix("M")) - one["memoryUsage"]["rss"] / 2**20) < 16
    assert share.endswith("%")
    assert heap.endswith(f"/{one['heapEffectiveLimit'] / 2**30:.1f}G")
    assert re.fullmatch(r"\d+\.\d", row.split()[-3]), f"no collections a second in {row!r}"


def test_json_is_the_agents_own(watching: AgentHandle) -> None:
    """For scripts: the same document as /processes, and nothing else on either stream."""
    done = top("--json", "--url", watching.url)
    assert (done.returncode, done.stderr) == (0, "")
    found, direct = json.loads(done.stdout), watching.get("/processes").json
    assert set(found) == set(direct)
    assert [one["pid"] for one in found["processes"]] == [one["pid"] for one in direct["processes"]]


def test_without_a_terminal_it_is_printed_once(watching: AgentHandle) -> None:
    """`heapwarden top | less` must not run for ever and show nothing."""
    done = top("--url", watching.url, "--interval", "0.1")
    assert done.returncode == 0
    assert "server/0" in done.stdout


def test_the_address_may_stand_in_the_environment(watching: AgentHandle) -> None:
    """HEAPWARDEN_URL; a slash at its end does no harm."""
    assert top("--json", HEAPWARDEN_URL=f"{watching.url}/").returncode == 0


def test_a_proxy_is_not_asked(watching: AgentHandle) -> None:
    """Many laptops have http_proxy set; their own loopback is not behind it."""
    done = top("--json", "--url", watching.url, http_proxy="http://127.0.0.1:9", no_proxy="")
    assert done.returncode == 0, done.stderr


def test_an_output_that_knows_only_ascii_does_no_harm(watching: AgentHandle) -> None:
    """The bars are lost, the figures are not."""
    done = top("--once", "--url", watching.url, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert "healthy" in done.stdout


def test_live_the_table_renews_itself_and_ctrl_c_ends_it(watching: AgentHandle) -> None:
    """Several pictures on the other screen; Ctrl-C is how it ends, so that is success, and the terminal is restored."""
    with terminal(watching.url) as live:
        for _ in range(3):
            live.shows("server/0")
        live.type("\x03")
        assert live.ends() == 0
        assert live.restored(), live.written[-200:]
        assert "Traceback" not in live.written


def test_sigterm_restores_the_terminal(watching: AgentHandle) -> None:
    """`kill` leaves no shell without a cursor."""
    with terminal(watching.url) as live:
        live.shows("server/0")
        os.kill(live.pid, signal.SIGTERM)
        assert live.ends() == 143
        assert live.restored(), live.written[-200:]


@pytest.mark.parametrize("columns", [pytest.param(80, id="narrow"), pytest.param(160, id="wide")])
def test_live_every_line_fits_the_terminal(watching: AgentHandle, columns: int) -> None:
    """No row is wrapped or longer than the screen is wide."""
    with terminal(watching.url, columns) as live:
        live.shows("server/0")
        live.shows("server/0")
        pictures = live.written.split(OTHER_SCREEN)[1].split("\x1b[H")
        live.type("\x03")
        assert live.ends() == 0
        lines = [line for one in pictures for line in seen(one).splitlines()]
        assert max(len(line.rstrip()) for line in lines) <= columns
        row = next(line for line in lines if "server/0" in line)
        assert re.search(r"server/0 .*healthy .* (ms|s)$", row.rstrip()), row


def test_it_outlives_the_agent_and_finds_it_again(tmp_path: Path) -> None:
    """Agent gone: said, with the last picture still there; agent back at the address: the table goes on."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    scope, mark = ("--command", f"back-{port}$"), f"back-{port}"
    with agent(tmp_path, "", *scope, port=port):
        live = Terminal(url)
        try:
            live.shows("No Node process is watched yet")
        except BaseException:
            live.close()
            raise
    try:
        live.shows("asking again")
        with agent(tmp_path, "", *scope, port=port) as again, demo(again, 22, mark=mark):
            live.shows("server/0")
            live.shows("Ctrl-C ends")
            live.type("\x03")
            assert live.ends() == 0
            assert live.restored()
    finally:
        live.close()


class Stranger(BaseHTTPRequestHandler):
    """Some other program's HTTP."""

    status, body = 404, b"not here"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def stranger(answer_status: int, answer: bytes) -> Iterator[str]:
    """The address of such a program."""
    kind = type("Kind", (Stranger,), {"status": answer_status, "body": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def one_line(done: "subprocess.CompletedProcess[str]", said: str) -> None:
    """Exit code 1 and one clear printable line."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip("\n").isprintable()
    assert said in done.stderr


@pytest.mark.parametrize("option", ["--once", "--json"])
def test_an_agent_that_is_not_there_is_said_with_the_next_step(option: str) -> None:
    """One line, exit code 1."""
    one_line(top(option, "--url", f"http://127.0.0.1:{free_port()}"), "name its address with --url")


def test_live_an_agent_that_is_not_there_is_said_before_the_screen_is_taken() -> None:
    """The line stays in the terminal; nothing flickers."""
    with terminal(f"http://127.0.0.1:{free_port()}") as live:
        assert live.ends() == 1
        assert "name its address with --url" in live.written
        assert OTHER_SCREEN not in live.written


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(404, b"not here", id="404"),
        pytest.param(500, b"", id="500"),
        pytest.param(200, b"<html>", id="a web page"),
        pytest.param(200, b"[]", id="another JSON"),
        pytest.param(200, b'{"processes": 1}', id="processes are no list"),
        pytest.param(200, b"\xff\xfe", id="bytes"),
        pytest.param(200, b'{"processes": [{"process": "x"}], "at": 1}', id="figures are missing"),
        pytest.param(200, b'{"processes": ["x"], "at": 1}', id="processes are names"),
    ],
)
def test_another_programs_address_is_said(status: int, body: bytes) -> None:
    """What answers there is not Heapwarden, whatever it answers."""
    with stranger(status, body) as url:
        one_line(top("--once", "--url", url), url)


def test_a_program_that_speaks_no_http_is_said() -> None:
    """Its greeting is shown, and not obeyed."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(b"SSH-2.0-\x1b[2J\x07\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        done = top("--once", "--url", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    one_line(done, r"SSH-2.0-\x1b[2J\x07")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("localhost:9797", id="no scheme"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("http://", id="no host"),
        pytest.param("http://127.0.0.1:port", id="port in words"),
        pytest.param("http://[::1", id="half an IPv6 address"),
        pytest.param("http://a\x1b[2Jb", id="control characters"),
        pytest.param("http://" + "a" * 300 + ".invalid", id="a host too long for a name"),
    ],
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    """No traceback, whatever is given for one."""
    one_line(top("--once", "--url", url), "heapwarden: ")


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "soon", "0.01", "1e9"])
def test_an_interval_that_is_none_is_refused(interval: str) -> None:
    """Wrong use, exit code 2, and what would be right."""
    done = top("--interval", interval)
    assert done.returncode == 2
    assert "seconds from 0.1 to 3600 are wanted" in done.stderr


def test_without_rich_the_next_step_is_said(watching: AgentHandle, tmp_path: Path) -> None:
    """The table is an extra; --json works without it."""
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError(\"No module named 'rich'\", name='rich')\n")
    one_line(top("--once", "--url", watching.url, PYTHONPATH=str(tmp_path)), "pip install 'heapwarden[top]'")
    assert top("--json", "--url", watching.url, PYTHONPATH=str(tmp_path)).returncode == 0


def test_a_title_with_escape_sequences_reaches_the_screen_as_text(tmp_path: Path) -> None:
    """A settings file or a process names itself: the live table shows it, the terminal does not obey it."""
    with agent(tmp_path, "", "--command", str(tmp_path)) as handle, terminal(handle.url) as live:
        live.shows("No Node process")
        script = tmp_path / "x\x1b]0;owned\x07[red]y.js"
        script.write_text("setInterval(() => {}, 1000)")
        with subprocess.Popen(["node", script], env=handle.environment()) as process:
            try:
                wait_for(handle.processes)
                live.shows("1 process: 1 healthy")
                live.shows("1 process: 1 healthy")
            finally:
                process.kill()
        live.type("\x03")
        assert live.ends() == 0
        assert "\x1b]" not in live.written
        assert "\x07" not in live.written
