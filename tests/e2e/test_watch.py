"""`heapwarden watch`: which processes it watches, and what it writes."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import Program, agent, node, program

IDLE = "setInterval(() => {}, 1000); console.log('ready')"


@pytest.fixture
def family(tmp_path: Path) -> Iterator[dict[str, Program]]:
    """Three Nodes of this test alone: `api`, `worker`, and `child` below a shell."""
    with ExitStack() as stack:
        started = {}
        for name in ("api", "worker", "child"):
            script = tmp_path / f"{tmp_path.name}-{name}.js"
            script.write_text(IDLE)
            command = (node(22), script) if name != "child" else ("sh", "-c", f"{node(22)} {script}; true")
            started[name] = stack.enter_context(program(command, start_new_session=True))
            started[name].line("ready")
        yield started
        # The shell's child outlives its shell unless its whole session is ended.
        os.killpg(started["child"].pid, signal.SIGKILL)


def _names(tmp_path: Path, *scope: str, config: str = "") -> set[str]:
    with agent(tmp_path, f"sample_interval: 200ms\n{config}", *scope) as watcher:
        wait_for(lambda: watcher.get("/livez").json["lastTickAge"] is not None)
        listed = wait_for(watcher.processes)
        return {one["process"].removeprefix(f"{tmp_path.name}-") for one in listed}


def test_a_pid(family: dict[str, Program], tmp_path: Path) -> None:
    """Only that one."""
    assert _names(tmp_path, "--pid", str(family["api"].pid)) == {"api"}


def test_a_command(family: dict[str, Program], tmp_path: Path) -> None:
    """All whose command line has it."""
    assert family
    assert _names(tmp_path, "--command", rf"{tmp_path.name}-(api|worker)\.js") == {"api", "worker"}


def test_children_of_a_process(family: dict[str, Program], tmp_path: Path) -> None:
    """What runs below it, whether it is Node itself or not."""
    assert _names(tmp_path, "--children-of", str(family["child"].pid)) == {"child"}


def test_settings_name_and_leave_out(family: dict[str, Program], tmp_path: Path) -> None:
    """Rules by pid, command and parent, each with a name; the rest is ignored when that is asked for."""
    rules = [
        {"name": "front", "match": {"pid": family["api"].pid}},
        {"name": "below", "match": {"children_of": f"{tmp_path.name}-child"}},
    ]
    config = f"unmatched: ignore\nprocesses: {json.dumps(rules)}\n"
    assert _names(tmp_path, "--command", tmp_path.name, config=config) == {"front", "below"}


def test_the_memory_line(family: dict[str, Program], tmp_path: Path) -> None:
    """Written again and again at `--log-interval`, as JSON where nobody looks on."""
    scope = ("--pid", str(family["api"].pid), "--log-interval", "200ms")
    with agent(tmp_path, "sample_interval: 200ms\n", *scope) as watcher:

        def lines() -> list[dict[str, object]]:
            return [json.loads(line) for line in watcher.program.err if '"memory": {"rss"' in line]

        wait_for(lambda: len(lines()) >= 2)
        assert lines()[0]["memory"]["rss"] > 2**20  # type: ignore[index,operator]  JSON of our own
