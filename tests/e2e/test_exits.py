"""Every way for a real Node to end, and what Heapwarden calls it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.cgroups import MIB, inside, limited, needs_v1
from fakes.conditions import wait_for
from fakes.machine import APPS, HEAPWARDEN, NODE_MAJORS, AgentHandle, Program, agent, app, get, node, program

ENDS = APPS / "ends.cjs"
LEAK = APPS / "leak_to_death.cjs"
HEAP = "--max-old-space-size=64"
USR2, KILL, TERM = signal.SIGUSR2, signal.SIGKILL, signal.SIGTERM

pytestmark = pytest.mark.node


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[AgentHandle]:
    """An agent that samples often."""
    with agent(tmp_path, "sample_interval: 250ms\n") as started:
        yield started


@dataclass
class Ending:
    """A process that is watched, before its end."""

    program: Program
    name: dict[str, str]
    """The labels ``process`` and ``worker``."""


class Endings:
    """Starts processes under one agent, ends them, and asks for their names."""

    def __init__(self, watcher: AgentHandle, stack: ExitStack) -> None:
        """Nothing runs."""
        self.watcher, self._stack = watcher, stack

    def start(self, *command: str | Path, **environment: str) -> Ending:
        """A process that has told its figures."""
        started = self._stack.enter_context(app(self.watcher, *command, **environment))
        entry = wait_for(lambda: self._known(started.pid))
        started.line("waiting")
        return Ending(started, {"process": entry["process"], "worker": entry["worker"]})

    def _known(self, pid: int) -> dict[str, Any] | None:
        entry = self.watcher.process(pid)
        return entry if entry is not None and {"procfs", "cgroup", "reporter"} <= entry["sources"].keys() else None

    def reasons(self, ending: Ending) -> dict[str, float]:
        """What its end was counted as, once it was."""

        def found() -> dict[str, float]:
            series = self.watcher.metrics().items()
            labels = [(dict(labels), count) for (name, labels), count in series if name == "heapwarden_exits_total"]
            return {of["reason"]: count for of, count in labels if ending.name.items() <= of.items()}

        return wait_for(found)


@pytest.fixture
def endings(watcher: AgentHandle) -> Iterator[Endings]:
    """Processes under an agent."""
    with ExitStack() as stack:
        yield Endings(watcher, stack)


@pytest.mark.parametrize("major", [18, 22, 26])
def test_ends_and_their_names(endings: Endings, major: int) -> None:
    """Codes and signals, all at once: each is counted once, under its own worker and by its right name."""
    ways = [
        ("exit=0", USR2, "clean"),
        ("exit=3", USR2, "crash"),
        ("throw", USR2, "crash"),
        ("abort", USR2, "crash"),
        ("", KILL, "crash"),
        ("", TERM, "clean"),
    ]
    started = [endings.start(node(major), ENDS, END=end or "exit=0") for end, _, _ in ways]
    assert len({ending.name["worker"] for ending in started}) == len(ways)
    for ending, (_, number, _) in zip(started, ways, strict=True):
        ending.program.signal(number)
        ending.program.wait()
    for ending, (end, _, reason) in zip(started, ways, strict=True):
        assert endings.reasons(ending) == {reason: 1}, end
    assert sum(line.count('"exit": "') + line.count('"exit":"') for line in endings.watcher.program.err) == len(ways)


@needs_v1
def test_the_kernels_kill_is_cgroup_oom(endings: Endings) -> None:
    """A real limit, a real kill; another process of the same container that is killed later is a crash."""
    with limited(200 * MIB) as cgroup:
        neighbour = endings.start(*inside(cgroup, node(22), ENDS))
        victim = endings.start(*inside(cgroup, node(22), ENDS), END="grow")
        victim.program.signal(USR2)
        assert victim.program.wait(60) == -KILL
        assert endings.reasons(victim) == {"cgroup_oom": 1}
        kills = int((cgroup / "memory.oom_control").read_text().split()[-1])
        assert kills == 1
        line = endings.watcher.program.line("ended, cgroup_oom")
        assert json.loads(line)["level"] == "error"
        assert "no restart rule is set for it" in line
        labels = {**victim.name, "reason": "cgroup_oom"}
        assert endings.watcher.metric("heapwarden_exits_total", **labels) == 1
        wait_for(lambda: endings.watcher.process(neighbour.program.pid))
        _let_the_kill_grow_old(endings)
        neighbour.program.signal(KILL)
        assert endings.reasons(neighbour) == {"crash": 1}


def _let_the_kill_grow_old(endings: Endings) -> None:
    """A second: those that the kernel kills together end together."""
    for _ in range(4):
        ticks = endings.watcher.metric("heapwarden_agent_tick_seconds_count") or 0
        wait_for(lambda ticks=ticks: (endings.watcher.metric("heapwarden_agent_tick_seconds_count") or 0) > ticks)


@pytest.mark.timeout(240)
def test_v8_giving_up_is_heap_oom(watcher: AgentHandle) -> None:
    """Every major, a leak of 20 MB/s into a heap of 64 MB, with a real abort at its end."""
    with ExitStack() as stack:
        leaks = []
        for major in NODE_MAJORS:
            environment = {"LEAK_MB_PER_S": "20", "LEAK_PREFILL_MB": "40"}
            leaks.append(stack.enter_context(app(watcher, node(major), HEAP, LEAK, **environment)))
        for major, leak in zip(NODE_MAJORS, leaks, strict=True):
            assert leak.wait(120) == -signal.SIGABRT, f"Node {major}"
            assert any("heap out of memory" in line for line in leak.err), f"Node {major}"
        wait_for(lambda: sum(_counts(watcher).values()) == len(NODE_MAJORS))
        assert _counts(watcher) == {"heap_oom": len(NODE_MAJORS)}


def test_a_heap_that_fills_in_silence_is_heap_oom(endings: Endings) -> None:
    """Without one turn of the event loop there are no figures after the first; an abort by itself is a crash."""
    silent = endings.start(node(22), "--max-old-space-size=512", ENDS, END="spin")
    silent.program.signal(USR2)
    assert silent.program.wait(90) == -signal.SIGABRT
    assert endings.reasons(silent) == {"heap_oom": 1}


def test_a_worker_thread_that_runs_out_ends_no_process(endings: Endings) -> None:
    """The thread is gone, the process lives on; ended by SIGTERM it ends cleanly, whatever its worker's heap was."""
    ending = endings.start(node(22), HEAP, ENDS, END="worker")
    ending.program.signal(USR2)
    ending.program.line("ERR_WORKER_OUT_OF_MEMORY")
    assert endings.watcher.process(ending.program.pid) is not None
    ending.program.signal(TERM)
    assert endings.reasons(ending) == {"clean": 1}


def _counts(watcher: AgentHandle) -> dict[str, float]:
    """Exits by reason, of all workers."""
    counts: dict[str, float] = {}
    for (name, labels), count in watcher.metrics().items():
        if name == "heapwarden_exits_total":
            reason = dict(labels)["reason"]
            counts[reason] = counts.get(reason, 0) + count
    return counts


def test_an_end_is_known_without_reporter_and_before_the_next_tick(tmp_path: Path) -> None:
    """With a tick a minute: only a descriptor of the process can have told."""
    with program([node(22), ENDS]) as plain:
        plain.line("waiting")
        with agent(tmp_path, "sample_interval: 60s\ndefaults: {health: {stale_after: 120s}}\n") as watcher:
            wait_for(lambda: watcher.process(plain.pid))
            plain.signal(KILL)
            plain.wait()
            assert wait_for(lambda: _counts(watcher)) == {"crash": 1}
            assert watcher.process(plain.pid) is None


def _history(folder: Path) -> list[dict[str, Any]]:
    """Exits in the journal."""
    command = (*HEAPWARDEN, "history", "--json", "--kind", "exit", "--state-dir", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("end", "number", "told"),
    [
        pytest.param("exit=0", USR2, "clean: exit code 0", id="exit 0"),
        pytest.param("exit=3", USR2, "crash: exit code 3", id="exit 3"),
        pytest.param("exit=0", KILL, "crash: ended by SIGKILL", id="SIGKILL"),
    ],
)
@pytest.mark.parametrize("through", [(), ("sh", "-c", '"$@"; exit $?', "sh")], ids=["child", "grandchild"])
def test_the_journal_has_the_end_of_a_command(
    tmp_path: Path, end: str, number: int, told: str, through: tuple[str, ...]
) -> None:
    """`heapwarden run` ends with its command, and yet its history knows how."""
    own = ("--listen", "127.0.0.1:0", "--log-format", "json", "--state-dir", tmp_path)
    environment = {**os.environ, "END": end}
    with program((*HEAPWARDEN, "run", *own, "--", *through, node(22), ENDS), environment) as started:
        url = f"http://127.0.0.1:{json.loads(started.line(_PORT))['port']}"
        entry = wait_for(
            lambda: next((one for one in get(f"{url}/processes").json["processes"] if one["isolates"]), None)
        )
        started.line("waiting")
        os.kill(entry["pid"], number)
        started.wait()
    (event,) = _history(tmp_path)
    assert (event["process"], event["pid"]) == ("ends", entry["pid"])
    assert event["text"].startswith(f"ended, {told};")
    assert event["figures"]["heap_used"] > MIB


_PORT = '"port":'
