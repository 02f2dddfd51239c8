"""Restarts of real processes: what leads to them, how they end, and what an agent's death in the middle changes."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import (
    APPS,
    HEAPWARDEN,
    SPREAD_MAJORS,
    AgentHandle,
    Program,
    agent,
    app,
    free_port,
    get,
    node,
    program,
)

APP = APPS / "restartable.cjs"
MAJOR = 22
AGAIN = 'while :; do "$@" & wait $!; done'
"""What a supervisor is at its smallest: it starts the command again whenever it ends."""


def _rules(**keys: object) -> str:
    """Settings: a limit of 200 MiB that counts at once, for processes of any age."""
    rules = {"max_memory": "{above: 200M, for: 0s}", "min_uptime": "0s", "drain": "1s", "cooldown": "0s", **keys}
    return f"defaults: {{restart: {{{', '.join(f'{key}: {value}' for key, value in rules.items())}}}}}\n"


@contextmanager
def _supervised(watcher: AgentHandle, *options: str, **environment: str) -> Iterator[Program]:
    """The app under a shell that brings it back."""
    command = ("sh", "-c", AGAIN, "sh", node(MAJOR), *options, APP)
    with program(command, watcher.environment(**environment), start_new_session=True) as started:
        try:
            yield started
        finally:
            os.killpg(started.pid, signal.SIGKILL)


def _history(folder: Path) -> list[dict[str, object]]:
    """What the journal has of restarts and exits, oldest first; nothing while there is none."""
    file = folder / "state" / "journal.sqlite3"
    if not file.exists():
        return []
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        try:
            rows = database.execute("SELECT * FROM events WHERE kind IN ('restart', 'exit', 'held') ORDER BY rowid")
            return [dict(row) for row in rows]
        except sqlite3.OperationalError:
            return []


def _whats(folder: Path, kind: str = "restart") -> list[object]:
    """Stages and outcomes in order, each once in a row."""
    whats = [event["what"] for event in _history(folder) if event["kind"] == kind]
    return [what for place, what in enumerate(whats) if place == 0 or whats[place - 1] != what]


def test_a_leak_is_restarted_before_it_hurts_and_the_history_says_why(tmp_path: Path) -> None:
    """503 while it is drained, SIGTERM once, a new process in its place, each stage with its figures."""
    with agent(tmp_path, _rules()) as watcher, _supervised(watcher, FILL_MB="150", LEAK_MB_PER_S="20") as app:
        first = int(app.line("listening").split()[1])
        wait_for(lambda: watcher.get("/readyz").status == 503, 60)
        told = watcher.get("/readyz").json
        assert "max_memory 200 MiB" in " ".join(told["reasons"])
        app.line(f"SIGTERM {first}", 60)
        wait_for(lambda: "done" in _whats(tmp_path), 60)
        assert _whats(tmp_path)[:4] == ["drain", "terminate", "successor", "done"]
        labels = {"process": "restartable", "worker": "0"}
        assert watcher.metric("heapwarden_restarts_total", **labels, reason="max_memory", dry_run="false") == 1
        wait_for(lambda: watcher.metric("heapwarden_exits_total", **labels, reason="memory_restart") == 1)
        begun = json.loads(str(_history(tmp_path)[0]["figures"]))
        assert 200 * 2**20 <= begun["rss"] <= 230 * 2**20
        assert sum(f"SIGTERM {first}" in line for line in app.out) == 1


def test_one_that_ignores_the_signal_dies_at_the_end_of_its_grace(tmp_path: Path) -> None:
    """SIGTERM, grace, SIGKILL; and its successor serves."""
    rules = _rules(grace="2s")
    with agent(tmp_path, rules) as watcher, _supervised(watcher, FILL_MB="210", STUBBORN="1") as app:
        app.line("SIGTERM", 60)
        wait_for(lambda: "done" in _whats(tmp_path), 60)
        assert _whats(tmp_path)[:5] == ["drain", "terminate", "kill", "successor", "done"]


def test_one_that_ends_by_itself_while_it_is_drained_is_not_signalled(tmp_path: Path) -> None:
    """It hears that it is drained and leaves: clean, and no SIGTERM for it or its successor."""
    rules = _rules(drain="60s", cooldown="10m")
    with agent(tmp_path, rules) as watcher, _supervised(watcher, FILL_MB="210", LEAVES="1") as app:
        app.line("drain", 60)
        wait_for(lambda: "done" in _whats(tmp_path), 60)
        assert _whats(tmp_path) == ["drain", "successor", "done"]
        wait_for(lambda: "clean" in _whats(tmp_path, "exit"))
        assert not any("SIGTERM" in line for line in app.out)


def test_a_fast_leak_ends_gracefully_before_its_heap_is_full(tmp_path: Path) -> None:
    """`for: 1m` and `drain: 1m`, and V8 would give up within seconds: neither is waited for."""
    rules = _rules(max_memory="10G", heap_usage="{above: 60%, for: 1m}", drain="1m")
    environment = {"HEAP_LEAK_MB_PER_S": "25"}
    with agent(tmp_path, rules) as watcher, _supervised(watcher, "--max-old-space-size=256", **environment) as app:
        app.line("SIGTERM", 60)
        wait_for(lambda: _whats(tmp_path, "exit"), 60)
        assert _whats(tmp_path, "exit")[0] == "memory_restart"
        assert not any("heap out of memory" in line for line in app.err)


def test_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    """Decided, counted apart, said; the process goes on and stays in service."""
    with agent(tmp_path, _rules(dry_run="true")) as watcher, _supervised(watcher, FILL_MB="210") as app:
        app.line("listening")
        labels = {"process": "restartable", "worker": "0", "reason": "max_memory", "dry_run": "true"}
        wait_for(lambda: watcher.metric("heapwarden_restarts_total", **labels), 60)
        assert watcher.get("/readyz").status == 200
        assert not any("SIGTERM" in line for line in app.out)


@pytest.mark.parametrize("stage", ["drain", "before", "terminate", "kill", "successor", "after"])
def test_an_agent_that_is_killed_at_a_stage_is_followed_by_one_that_goes_on(tmp_path: Path, stage: str) -> None:
    """Kill -9 of the agent; the next comes to the end of the same restart, and no process gets its signal twice."""
    gate = tmp_path / "gate"
    waits = f"[sh, -c, 'while [ ! -e {gate} ]; do sleep 0.05; done']"
    keys: dict[str, object] = {"drain": "3s", "grace": "4s", "cooldown": "10m"}
    if stage in ("before", "after"):
        keys[stage] = f"[{{command: {waits}, timeout: 5m}}]"
    rules = _rules(**keys)
    stubborn = {"STUBBORN": "1"} if stage in ("terminate", "kill") else {}
    script = AGAIN.replace("; done", f'; while [ "{stage}" = successor ] && [ ! -e {gate} ]; do sleep 0.05; done; done')
    with agent(tmp_path, rules) as watcher:
        environment = watcher.environment(FILL_MB="210", **stubborn)
        command = ("sh", "-c", script, "sh", node(MAJOR), APP)
        with program(command, environment, start_new_session=True) as app:
            try:
                wait_for(lambda: stage in _whats(tmp_path), 60, every=0.005)
                if stage == "terminate":
                    app.line("SIGTERM")
                    wait_for(
                        lambda: [event["what"] for event in _history(tmp_path)].count("terminate") == 2
                    )  # written down
                watcher.program.signal(signal.SIGKILL)
                watcher.program.wait()
                gate.touch()
                with agent(tmp_path, rules) as second:
                    second.program.line("taken up again", 60)
                    wait_for(lambda: "done" in _whats(tmp_path), 90)
                    assert len({event["restart"] for event in _history(tmp_path) if event["kind"] == "restart"}) == 1
                    signalled = [line.split()[1] for line in app.out if "SIGTERM" in line]
                    assert len(signalled) == len(set(signalled)) == 1
            finally:
                os.killpg(app.pid, signal.SIGKILL)


def test_an_agent_that_dies_again_and_again_makes_no_more_restarts_than_its_budget(tmp_path: Path) -> None:
    """Every process is over its limit from the start; six agents, each killed after what it did, and two restarts."""
    rules = _rules(budget="{restarts: 2, per: 1h}", drain="0s")
    with agent(tmp_path, rules) as watcher, _supervised(watcher, FILL_MB="210") as app:
        wait_for(lambda: "done" in _whats(tmp_path), 60)
        watcher.program.signal(signal.SIGKILL)
        watcher.program.wait()
        for _ in range(5):
            held = len([event for event in _history(tmp_path) if event["what"] == "budget"])
            with agent(tmp_path, rules) as next_agent:
                wait_for(lambda held=held: sum(e["what"] == "budget" for e in _history(tmp_path)) > held, 60)  # type: ignore[misc]
                next_agent.program.signal(signal.SIGKILL)
                next_agent.program.wait()
        assert len([line for line in app.out if "SIGTERM" in line]) == 2


def test_a_cluster_is_restarted_one_worker_at_a_time(tmp_path: Path) -> None:
    """Four over their limit: all replaced, never fewer than three that serve, no request lost, and 200 throughout."""
    port = free_port()
    watched = 'processes: [{name: web, match: {command: "cluster"}}]\n'
    with ExitStack() as stack:
        watcher = stack.enter_context(agent(tmp_path, _rules(drain="1s") + watched))
        environment = {"PORT": str(port), "FILL_MB": "210"}
        cluster = stack.enter_context(app(watcher, node(MAJOR), APPS / "cluster.cjs", **environment))
        wait_for(lambda: sum("listening" in line for line in cluster.out) == 4)
        first = {int(line.split()[1]) for line in cluster.out if "listening" in line}
        serving, answers, statuses = [], [], set()

        def all_replaced() -> bool:
            workers = [one for one in watcher.processes() if one["heapLimit"] and one["pid"] != cluster.pid]
            if len(answers) > 20:
                serving.append(sum(1 for one in workers if one["serving"]))
                statuses.add(watcher.get("/healthz").status)
            answers.append(get(f"http://127.0.0.1:{port}/").status)
            done = [event for event in _history(tmp_path) if event["what"] == "done"]
            return len(done) == 4 and not first & {one["pid"] for one in workers}

        wait_for(all_replaced, 110)
        assert set(answers) == {200}
        assert min(serving) >= 3
        assert statuses == {200}


def test_without_a_journal_it_watches_on_and_restarts_nothing_it_could_forget(tmp_path: Path) -> None:
    """`state_dir` can't be made: health as ever, the errors are counted, and the restart is held and said."""
    (tmp_path / "state").write_text("a file where a folder should be")
    with agent(tmp_path, _rules()) as watcher, _supervised(watcher, FILL_MB="210") as app:
        first = int(app.line("listening").split()[1])
        wait_for(lambda: (watcher.process(first) or {}).get("held"), 60)
        held = watcher.process(first)
        assert held is not None
        assert held["held"]["code"] == "journal"
        assert watcher.get("/readyz").status == 200
        assert (watcher.metric("heapwarden_agent_journal_errors_total") or 0) > 0
        assert not any("SIGTERM" in line for line in app.out)


def test_run_brings_its_command_back_after_a_restart_and_ends_as_it_ends(tmp_path: Path) -> None:
    """`--restart never` is for exits of its own; a restart by rule starts the command again, on the same port."""
    port, config = free_port(), tmp_path / "heapwarden.yaml"
    config.write_text(_rules(cooldown="10m"))
    options = ("--config", config, "--state-dir", tmp_path / "state", "--listen", "127.0.0.1:0", "--log-format", "json")
    environment = {**os.environ, "PORT": str(port), "FILL_MB": "210"}
    with program((*HEAPWARDEN, "run", *options, "--", node(MAJOR), APP), environment) as run:
        run.line("listening")
        wait_for(lambda: sum("listening" in line for line in run.out) == 2, 60)
        wait_for(lambda: "done" in _whats(tmp_path), 60)
        assert get(f"http://127.0.0.1:{port}/").status == 200
        assert _whats(tmp_path, "exit")[:1] == ["memory_restart"]
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
        assert len({line.split()[1] for line in run.out if "SIGTERM" in line}) == 2


@pytest.mark.parametrize("major", SPREAD_MAJORS)
def test_garbage_is_no_reason_where_a_collection_is_asked_for_first(tmp_path: Path, major: int) -> None:
    """Most of the heap is full of what the app has just let go of: collected, no restart. What it holds: restarted."""
    rules = _rules(max_memory="10G", heap_usage="{above: 72%, for: 0s}", confirm_with_gc="true", cooldown="10m")
    with agent(tmp_path, rules) as watcher, ExitStack() as stack:
        option = "--max-old-space-size=256"
        caching = stack.enter_context(app(watcher, node(major), option, APP, CACHE_MB="210"))
        pid = int(caching.line("listening").split()[1])
        caching.line("let go of", 60)
        wait_for(lambda: "confirmation" in _whats(tmp_path, "held"), 60)
        wait_for(lambda: watcher.process(pid)["memoryUsage"]["heapUsed"] < 40 * 2**20, 60)  # type: ignore[index]  it runs
        assert "drain" not in _whats(tmp_path)
        holding = stack.enter_context(app(watcher, node(major), option, APP, HEAP_MB="210"))
        holding.line("SIGTERM", 60)
        assert not any("SIGTERM" in line for line in caching.out)
