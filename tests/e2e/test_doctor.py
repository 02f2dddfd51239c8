"""Doctor on real Nodes in real containers: what it finds, that its advice puts it right, and what it may not see."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.cgroups import MIB, apart, inside, limited, needs_v1
from fakes.conditions import wait_for
from fakes.machine import APPS, HEAPWARDEN, AgentHandle, agent, app, get, node, program, reporting
from heapwarden import __version__
from heapwarden.reporter.install import SCRIPT

NOBODY = 65_534
QUIET = APPS / "ends.cjs"
"""Says that it waits, and waits."""
PORT = '"port":'
ABOVE, BELOW = "heap_limit_above_container", "heap_limit_below_container"

pytestmark = [pytest.mark.node, needs_v1]


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHandle]:
    """An agent for all."""
    with agent(tmp_path_factory.mktemp("agent"), "sample_interval: 250ms\n") as started:
        yield started


def doctor(*arguments: object, prefix: tuple[str, ...] = (), **options: Any) -> tuple[int, list[dict[str, Any]]]:
    """Exit code, and the processes in its JSON."""
    command = [*prefix, *HEAPWARDEN, "doctor", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)["processes"]


def codes(process: Mapping[str, Any]) -> list[str]:
    """Of its problems."""
    return [problem["code"] for problem in process["problems"]]


def advised(process: Mapping[str, Any]) -> list[str]:
    """The options that its one problem's remedy says to set."""
    (problem,) = process["problems"]
    return re.findall(r"--max-(?:old|semi)-space-size=\d+", problem["remedy"].partition(" in place of ")[0])


def published(watcher: AgentHandle) -> set[tuple[str, str]]:
    """Workers and problems in the metrics."""
    labels = [dict(labels) for name, labels in watcher.metrics() if name == "heapwarden_config_problem"]
    return {(one["worker"], one["problem"]) for one in labels}


def by_agent(watcher: AgentHandle, commands: Mapping[str, list[str]], stack: ExitStack) -> dict[str, dict[str, Any]]:
    """What doctor says, through the agent, of apps that are started together; each under its key."""
    started = {key: stack.enter_context(app(watcher, *command)) for key, command in commands.items()}
    pids = {one.pid: key for key, one in started.items()}
    for one in started.values():
        one.line("waiting")
    wait_for(lambda: all(_known(watcher.process(pid)) for pid in pids))
    code, processes = doctor(*pids, "--url", watcher.url)
    assert code == any(one["problems"] for one in processes)
    assert {one["seenBy"] for one in processes} == {"agent"}
    expected = {(one["worker"], problem) for one in processes for problem in codes(one)}
    wait_for(lambda: published(watcher) == expected)
    return {pids[one["pid"]]: one for one in processes}


def _known(entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and entry["setup"] is not None and entry["setup"]["heapKnown"]


def test_the_advice_puts_real_nodes_right(watcher: AgentHandle) -> None:
    """Majors in containers of their own, with a limit far too high or too low; then with what was advised."""
    high = {f"{major}>": (major, "--max-old-space-size=4096") for major in (18, 22, 24, 26)}
    low = {f"{major}<": (major, "--max-old-space-size=100") for major in (18, 22, 24, 26)}
    wrong = high | low | {"26%": (26, "--max-old-space-size-percentage=99"), "18": (18,)}
    with ExitStack() as containers:
        cgroups = {key: containers.enter_context(limited(400 * MIB)) for key in wrong}
        with ExitStack() as stack:
            commands = {
                key: inside(cgroups[key], node(major), *options, QUIET) for key, (major, *options) in wrong.items()
            }
            before = by_agent(watcher, commands, stack)
            for key, process in before.items():
                assert codes(process) == [BELOW if key in low else ABOVE], key
                origin = "V8's default" if key == "18" else f"{wrong[key][1]} (the command line)"
                assert process["heapLimitFrom"] == origin
        with ExitStack() as stack:
            commands = {
                key: inside(cgroups[key], node(wrong[key][0]), *advised(process), QUIET)
                for key, process in before.items()
            }
            after = by_agent(watcher, commands, stack)
            assert {key: codes(process) for key, process in after.items()} == {key: [] for key in wrong}
            for key, process in after.items():
                assert process["heapEffectiveLimit"] == int(advised(before[key])[0].partition("=")[2]) * MIB


def test_processes_that_share_a_container_are_advised_together(watcher: AgentHandle) -> None:
    """Three of them, with V8's own half of it each."""
    with limited(768 * MIB) as cgroup:
        with ExitStack() as stack:
            three = {str(n): inside(cgroup, node(22), "--max-old-space-size=384", QUIET) for n in range(3)}
            before = by_agent(watcher, three, stack)
            assert [codes(process) for process in before.values()] == [[ABOVE]] * 3
            assert len({tuple(advised(process)) for process in before.values()}) == 1
        with ExitStack() as stack:
            right = {key: inside(cgroup, node(22), *advised(process), QUIET) for key, process in before.items()}
            assert [codes(process) for process in by_agent(watcher, right, stack).values()] == [[]] * 3


def test_without_agent_and_reporter() -> None:
    """NODE_OPTIONS and the cgroup are read here; V8's own choice is not known."""
    environment = {**os.environ, "NODE_OPTIONS": "--max-old-space-size=4096"}
    with limited(400 * MIB) as cgroup, program(inside(cgroup, node(20), QUIET), environment) as started:
        started.line("waiting")
        code, (process,) = doctor(started.pid, "--no-agent")
    assert code == 1
    assert codes(process) == [ABOVE, "reporter_absent"]
    assert process["containerLimit"] == 400 * MIB
    assert process["heapLimit"] is None
    assert process["heapLimitFrom"] == "--max-old-space-size=4096 (NODE_OPTIONS)"
    assert "--max-old-space-size=4096 (NODE_OPTIONS)" in process["problems"][0]["remedy"]


def test_the_advice_turns_the_kernels_kill_into_v8s_own_end() -> None:
    """A leak in 160 MiB: with the limit that was too high nobody says a word, with the advised one V8 does."""
    options, ends = ["--max-old-space-size=4096"], []
    with limited(160 * MIB) as cgroup:
        with program(inside(cgroup, node(22), *options, QUIET)) as started:
            started.line("waiting")
            _, (process,) = doctor(started.pid, "--no-agent")
        process["problems"] = [one for one in process["problems"] if one["code"] == ABOVE]
        environment = {**os.environ, "LEAK_MB_PER_S": "150", "LEAK_PREFILL_MB": "60"}
        for chosen in (options, advised(process)):
            with program(inside(cgroup, node(22), *chosen, APPS / "leak_to_death.cjs"), environment) as leak:
                ends.append(leak.wait(90))
    assert ends == [-signal.SIGKILL, -signal.SIGABRT]


def test_a_reporter_whose_socket_is_not_there(tmp_path: Path) -> None:
    """Seen without an agent: it is loaded, and talks to nobody."""
    path = tmp_path / "nowhere" / "agent.sock"
    with program((node(22), QUIET), reporting(path)) as started:
        started.line("waiting")
        _, (process,) = doctor(started.pid, "--no-agent")
    assert codes(process) == ["reporter_silent"]
    assert f"its socket {path} is not there" in process["problems"][0]["text"]


def test_an_old_reporter_in_a_pid_namespace_of_its_own(tmp_path: Path) -> None:
    """A sidecar that shares none: the agent's word alone, with the line that is missing."""
    old = tmp_path / "heapwarden.cjs"
    old.write_text(SCRIPT.read_text().replace(f"VERSION = '{__version__}'", "VERSION = '0.0.9'"))
    path, environment = tmp_path / "agent.sock", reporting(tmp_path / "agent.sock")
    environment["NODE_OPTIONS"] = f"--require {old}"
    options = ("--socket", path, "--state-dir", tmp_path, "--listen", "127.0.0.1:0", "--log-format", "json")
    inner = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *HEAPWARDEN, "watch", *options)
    with program(inner) as started:
        url = f"http://127.0.0.1:{json.loads(started.line(PORT))['port']}"
        with program((node(22), QUIET), environment):
            wait_for(lambda: get(f"{url}/processes").json["processes"])
            _, processes = doctor("--all", "--url", url)
        for child in Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)  # unshare hands no signal on
    (process,) = [one for one in processes if one["seenBy"] == "agent"]
    assert codes(process) == ["process_hidden", "reporter_old"]
    assert (process["pid"], process["reporter"]) == (None, "0.0.9")
    assert "shareProcessNamespace: true" in process["problems"][0]["remedy"]


def test_another_user_is_told_what_gives_the_permissions() -> None:
    """Nobody looks at a process of root: from beside it, and from a container that shows only its own cgroup."""
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    probe = subprocess.run([*as_nobody, *HEAPWARDEN, "--version"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("another user may not run what was checked out here")
    with limited(400 * MIB) as cgroup, limited(400 * MIB) as other, program(inside(cgroup, node(22), QUIET)) as started:
        started.line("waiting")
        _, (beside,) = doctor(started.pid, "--no-agent", prefix=as_nobody)
        _, (within,) = doctor(started.pid, "--no-agent", prefix=_contained(other, as_nobody))
    unseen = ["environ_unreadable", "reporter_absent", "signal_not_permitted"]
    assert codes(beside) == unseen
    assert codes(within) == ["container_unreadable", *unseen]
    assert beside["containerLimit"] == 400 * MIB
    assert within["containerLimit"] is None
    assert "`runAsUser: 0` and `runAsGroup: 0`" in within["problems"][0]["remedy"]


def _contained(cgroup: Path, then: tuple[str, ...]) -> tuple[str, ...]:
    """In front of a command: in a cgroup, with mounts that show just that one."""
    return (*inside(cgroup, *apart()), *then)
