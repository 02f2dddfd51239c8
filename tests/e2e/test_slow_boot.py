"""A successor that runs and reports long before it listens: it does not serve until it does."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, NODE_MAJORS, AgentHandle, Answer, Program, agent, free_port, get, node, program

AGAIN = 'while :; do "$@" & wait $!; done'
"""What a supervisor is at its smallest: it starts the command again whenever it ends."""
RULES = """
defaults:
  restart: {max_memory: {above: 200M, for: 0s}, min_uptime: 0s, drain: 1s, cooldown: 10m, successor_timeout: 5m}
"""
TICKS = "heapwarden_agent_tick_seconds_count"


@contextmanager
def _supervised(watcher: AgentHandle, major: int, folder: Path, port: int) -> Iterator[Program]:
    """The app under a shell that brings it back."""
    files = {"FIRST_MARK": str(folder / "first"), "GATE": str(folder / "gate")}
    environment = watcher.environment(PORT=str(port), FILL_MB="210", **files)
    command = ("sh", "-c", AGAIN, "sh", node(major), APPS / "slow_boot.cjs")
    with program(command, environment, start_new_session=True) as started:
        try:
            yield started
        finally:
            os.killpg(started.pid, signal.SIGKILL)


def _done(folder: Path) -> list[float]:
    """When restarts were done, by the journal."""
    with closing(sqlite3.connect(f"file:{folder / 'state' / 'journal.sqlite3'}?mode=ro", uri=True)) as database:
        return [
            wall for (wall,) in database.execute("SELECT wall FROM events WHERE kind = 'restart' AND what = 'done'")
        ]


def _pids(app: Program, word: str) -> list[int]:
    """Of all that said ``word``, in order."""
    return [int(line.split()[1]) for line in app.out if line.startswith(word)]


def _booting(app: Program, first: int) -> int:
    """The successor, once it runs."""
    return wait_for(lambda: next((pid for pid in _pids(app, "booting") if pid != first), 0), 60)


def _told(watcher: AgentHandle, pid: int) -> list[Answer]:
    """What is told of health from now until three ticks after the first report of ``pid``."""
    answers: list[Answer] = []
    ticks = set()

    def three_ticks_after_it_reported() -> bool:
        answers.extend(watcher.get(path) for path in ("/readyz", "/healthz"))
        if (watcher.process(pid) or {}).get("heapLimit"):
            ticks.add(watcher.metric(TICKS))
        return len(ticks) > 3

    wait_for(three_ticks_after_it_reported, 60)
    return answers


@pytest.mark.parametrize("major", [NODE_MAJORS[0], NODE_MAJORS[-1]])
def test_a_successor_does_not_serve_before_it_listens(tmp_path: Path, major: int) -> None:
    """Its reporter speaks, its port refuses: 503 that says what is awaited. It listens: 200, and then it is done."""
    port = free_port()
    with agent(tmp_path, RULES) as watcher, _supervised(watcher, major, tmp_path, port) as app:
        first = int(app.line("listening").split()[1])
        booting = _booting(app, first)
        answers = _told(watcher, booting)
        assert {answer.status for answer in answers} == {503}
        reasons = " ".join(answers[-1].json["reasons"])
        assert "does not listen yet" in reasons
        assert str(port) in reasons
        assert _pids(app, "listening") == [first]
        assert not _done(tmp_path)

        (tmp_path / "gate").touch()
        wait_for(lambda: watcher.get("/readyz").status == 200, 60)
        assert get(f"http://127.0.0.1:{port}/").text == f"{booting}\n"
        (done,) = wait_for(lambda: _done(tmp_path), 60)
        listened = app.line(f"listening {booting}")
        assert done * 1_000 >= int(listened.split()[3])
        assert _pids(app, "booting") == [first, booting]


def test_an_agent_that_dies_meanwhile_is_followed_by_one_that_waits_too(tmp_path: Path) -> None:
    """Which ports are awaited stands in the journal."""
    port = free_port()
    with agent(tmp_path, RULES) as watcher, _supervised(watcher, 22, tmp_path, port) as app:
        booting = _booting(app, int(app.line("listening").split()[1]))
        wait_for(lambda: watcher.process(booting), 60)
        watcher.program.signal(signal.SIGKILL)
        watcher.program.wait()
        with agent(tmp_path, RULES) as second:
            assert {answer.status for answer in _told(second, booting)} == {503}
            assert not _done(tmp_path)
            (tmp_path / "gate").touch()
            wait_for(lambda: second.get("/readyz").status == 200, 60)
            assert get(f"http://127.0.0.1:{port}/").text == f"{booting}\n"
            wait_for(lambda: _done(tmp_path), 60)
