"""Programs that the agent runs: real ones, with real signals, sessions and floods."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.judged import ended
from heapwarden.actuators import own
from heapwarden.actuators.programs import OUTPUT_BYTES, Ended, Program, clean_environment
from heapwarden.actuators.supervise import Child
from heapwarden.domain.exit import ExitStatus

LONG = 60.0


def run(*command: str, seconds: float = LONG, **environment: str) -> Ended:
    """Run it to its end."""
    return Program(command, clean_environment(**environment), seconds).ended.result(2 * LONG)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(["true"], Ended(ok=True, how="exit code 0"), id="success"),
        pytest.param(["sh", "-c", "echo no >&2; exit 3"], Ended(ok=False, how="exit code 3", output="no"), id="code"),
        pytest.param(["sh", "-c", "kill -SEGV $$"], Ended(ok=False, how="killed by SIGSEGV"), id="signal"),
        pytest.param(["sh", "-c", "kill -40 $$"], Ended(ok=False, how="killed by signal 40"), id="signal without name"),
        pytest.param(
            ["/no/such"],
            Ended(ok=False, how="not started: No such file or directory", started=False),
            id="no such program",
        ),
        pytest.param(
            ["/etc/passwd"], Ended(ok=False, how="not started: Permission denied", started=False), id="not a program"
        ),
    ],
)
def test_how_a_program_ended(command: list[str], expected: Ended) -> None:
    """In words, and whether it went well."""
    assert run(*command) == expected


def test_arguments_that_no_program_can_be_given_are_no_crash() -> None:
    """A NUL, for one."""
    assert "null byte" in run("echo", "a\0b").how


def test_output_is_one_clean_line() -> None:
    """Escape sequences and line ends would disturb logs and terminals."""
    assert (
        run("printf", r"one\n\n\033[31mtwo\r\n\000three\377").text
        == "exit code 0: one two three\N{REPLACEMENT CHARACTER}"
    )


def test_only_the_end_of_the_output_is_kept() -> None:
    """A flood costs neither memory nor time."""
    flood = run("sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert flood.ok
    assert flood.output.endswith("x the end")
    assert len(flood.output) <= OUTPUT_BYTES


def test_what_was_left_in_the_background_does_not_hold_it() -> None:
    """A daemon that keeps the output open is not waited for."""
    started = run("sh", "-c", "sleep 300 & echo $!")
    pid = int(started.output)
    assert started.ok
    assert not ended(pid)
    os.kill(pid, signal.SIGKILL)


def out_of_time(script: str, ready: Path) -> Ended:
    """Run ``script`` out of time, but not before it is ``ready``: a busy machine gets more time."""
    for seconds in (0.5, 5.0, LONG):
        ready.unlink(missing_ok=True)
        done = run("bash", "-c", script, seconds=seconds)
        assert done.how == f"not done after {seconds:g} s"
        if ready.exists():
            return done
    raise AssertionError("never ready")


def test_out_of_time_the_whole_session_is_ended(tmp_path: Path) -> None:
    """The program and what it has started, also where they ignore SIGTERM."""
    pids = tmp_path / "pids"
    script = (
        f"trap '' TERM; sleep 300 & sleep 300 & echo hello; echo $! $$ $(jobs -p) > {pids}.new; mv {pids}.new {pids}"
    )
    assert out_of_time(f"{script}; wait", pids).output == "hello"
    wait_for(lambda: all(ended(int(pid)) for pid in pids.read_text().split()), LONG)


def test_out_of_time_it_may_end_in_good_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM first, and a while for those who clean up."""
    monkeypatch.setattr("heapwarden.actuators.programs.TERM_SECONDS", LONG)
    ready, mark = tmp_path / "ready", tmp_path / "mark"
    out_of_time(f"trap 'touch {mark}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done", ready)
    assert mark.exists()


def test_it_can_be_killed(tmp_path: Path) -> None:
    """With all that it has started."""
    pids = tmp_path / "pids"
    program = Program(["bash", "-c", f"sleep 300 & echo $! $$ > {pids}; wait"], clean_environment(), LONG)
    wait_for(lambda: pids.exists() and pids.read_text().endswith("\n"))
    program.kill()
    assert program.ended.result(LONG).how == "killed by SIGKILL"
    wait_for(lambda: all(ended(int(pid)) for pid in pids.read_text().split()), LONG)
    program.kill()


def test_one_killed_before_it_has_started_does_not_run_on() -> None:
    """Whoever asked for it may be gone before its thread has turned."""
    program = Program(["sleep", "300"], clean_environment(), LONG)
    program.kill()
    assert program.ended.result(LONG).how == "killed by SIGKILL"


@pytest.fixture
def blocked() -> Iterator[None]:
    """Signals blocked as `heapwarden run` does in all its threads."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR2})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("blocked")
def test_no_signal_is_blocked_or_ignored() -> None:
    """Neither the agent's mask nor Python's ignored SIGPIPE are handed down."""
    lines = run("grep", "-E", "SigBlk|SigIgn", "/proc/self/status").output.split()
    assert int(lines[1], 16) == 0
    assert int(lines[3], 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0


def test_it_has_a_session_of_its_own_and_nothing_to_read() -> None:
    """No terminal's Ctrl-C reaches it, and it can't wait for input."""
    done = run("sh", "-c", "readlink /proc/self/fd/0; ps -o sid= -p $$ | tr -d ' '; echo $$; cat")
    assert done.ok
    stdin, session, pid = done.output.split()
    assert stdin == "/dev/null"
    assert session == pid


def test_no_file_of_the_agent_is_open_in_it() -> None:
    """Not even one that the agent itself was started with."""
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        numbers = run("sh", "-c", "ls /proc/$$/fd").output.split()
    finally:
        os.close(reader)
        os.close(writer)
    assert numbers == ["0", "1", "2"]


def test_its_environment_has_nothing_of_the_watched_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in Node would report, or take itself for somebody's worker; the rest is kept."""
    monkeypatch.setenv("NODE_OPTIONS", "--require /heapwarden.cjs")
    monkeypatch.setenv("HEAPWARDEN_SOCKET", "/run/agent.sock")
    monkeypatch.setenv("NODE_CHANNEL_FD", "3")
    monkeypatch.setenv("KEPT", "yes")
    names = ("KEPT", "HEAPWARDEN_PID", "NODE_OPTIONS", "HEAPWARDEN_SOCKET", "NODE_CHANNEL_FD")
    script = "; ".join(f"echo ${{{name}-unset}}" for name in names)
    assert run("sh", "-c", script, HEAPWARDEN_PID="7").output == "yes 7 unset unset unset"


def test_the_token_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs may be anybody's, and may write their environment into logs."""
    monkeypatch.setenv("HEAPWARDEN_TOKEN", "0123456789abcdef")
    assert "0123456789abcdef" not in run("env").output
    assert run("sh", "-c", "echo ${HEAPWARDEN_TOKEN-unset}").output == "unset"


def test_whoever_buries_orphans_leaves_programs_alone() -> None:
    """As PID 1 the agent waits for all children at each SIGCHLD: no program's exit code is lost to that."""
    command = Child(os.posix_spawnp("sleep", ["sleep", "300"], {}))
    programs = [Program(["sh", "-c", "exit 7"], clean_environment(), LONG) for _ in range(40)]
    orphan = os.posix_spawnp("true", ["true"], {})
    while not all(program.ended.done() for program in programs):
        command.reap_others()
    assert {program.ended.result().how for program in programs} == {"exit code 7"}

    def buried() -> bool:
        command.reap_others()
        return not Path(f"/proc/{orphan}").exists()

    wait_for(buried)
    assert own.pids() == frozenset()
    command.signal(signal.SIGKILL)
    assert asyncio.run(command.wait()) == ExitStatus(signal=signal.SIGKILL)


def test_nobody_is_buried_while_a_program_is_being_started() -> None:
    """Its pid is not known yet; its end brings the next SIGCHLD, and then everybody is looked at again."""
    with own.starting(), own.settled() as programs:
        assert programs is None
    with own.settled() as programs:
        assert programs == frozenset()
