"""`heapwarden doctor`: its words, its JSON, its exit code, and who is asked."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.children import child
from fakes.machine import HEAPWARDEN, ROOT, free_port, node, reporting
from heapwarden.cli.doctor_text import written
from heapwarden.domain.checkup import ProblemCode

MIB = 2**20
SCRIPT = "console.log('up'); setInterval(() => {}, 1000)"


def doctor(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, without a terminal."""
    own = {name: value for name, value in os.environ.items() if name != "HEAPWARDEN_URL"}
    command = [*HEAPWARDEN, "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**own, **environment})


@contextmanager
def running(folder: Path, node_options: str = "") -> Iterator[int]:
    """A real Node with a reporter, and a socket at which nobody listens to it; its pid."""
    path = folder / "agent.sock"
    path.unlink(missing_ok=True)
    environment = reporting(path)
    environment["NODE_OPTIONS"] += f" {node_options}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with child([node(22), "-e", SCRIPT], env=environment) as started:
            started.hear()
            yield started.pid


def told(**more: Any) -> dict[str, Any]:
    """A report on one process, well save for what is given."""
    process = {
        "process": "api",
        "worker": "0",
        "pid": 4711,
        "startedAt": 1_700_000_000.0,
        "seenBy": "agent",
        "node": "22.23.3",
        "reporter": "0.1.0",
        "isolates": 1,
        "heapLimit": 560 * MIB,
        "heapEffectiveLimit": 512 * MIB,
        "semiSpace": 16 * MIB,
        "heapLimitFrom": "--max-old-space-size=512 (NODE_OPTIONS)",
        "heapOptions": [{"option": "--max-old-space-size", "value": "512", "from": "NODE_OPTIONS"}],
        "nodeOptions": ["--require", "--max-old-space-size"],
        "rss": 90 * MIB,
        "swap": 0,
        "containerMemory": 80 * MIB,
        "containerLimit": 768 * MIB,
        "problems": [],
        **more,
    }
    return {"version": "0.1.0", "agent": "http://x", "problems": len(process["problems"]), "processes": [process]}


PROBLEM = {"code": "swap_in_use", "severity": "warning", "text": "40 MiB are swapped out", "remedy": "keep it out"}


def test_a_process_in_words() -> None:
    """Its figures, where the limit comes from, and what was found with the next step."""
    assert written(told(problems=[PROBLEM]), colour=False) == (
        "api/0 (pid 4711, Node 22.23.3)\n"
        "  heap limit: 512 MiB and 3 semi-spaces of 16 MiB, from --max-old-space-size=512 (NODE_OPTIONS)\n"
        "  memory: RSS 90 MiB, swap 0 MiB; container 80 MiB, limit 768 MiB\n"
        "  NODE_OPTIONS: --require --max-old-space-size; heap options: --max-old-space-size=512 (NODE_OPTIONS)\n"
        "  warning: 40 MiB are swapped out\n"
        "    -> keep it out [swap_in_use]\n"
        "\n"
        "1 problem in 1 process\n"
    )


def test_what_is_not_known_in_words() -> None:
    """No guess, and no None."""
    figures = ("heapLimit", "heapEffectiveLimit", "semiSpace", "rss", "swap", "containerMemory", "containerLimit")
    unknown = dict.fromkeys((*figures, "worker", "pid", "node", "isolates", "heapLimitFrom", "nodeOptions"))
    text = written({**told(heapOptions=[], **unknown), "agent": None}, colour=False)
    assert text == (
        "api (in a PID namespace of its own)\n"
        "  heap limit: not known without the reporter\n"
        "  memory: RSS ?, swap ?; no container\n"
        "  NODE_OPTIONS: can't be read; heap options: none\n"
        "  nothing found\n"
        "\n"
        "no problem in 1 process\n"
        "no agent was asked: V8's own figures are not known (--url names its address)\n"
    )


def test_colour_and_folding_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written there is the same."""
    monkeypatch.setenv("COLUMNS", "50")
    report = told(problems=[PROBLEM])
    plain, painted = written(report, colour=False), written(report, colour=True)
    assert "\x1b[33m  warning:" in painted
    bare = re.sub(r"\x1b\[\d*m", "", painted)
    assert max(map(len, bare.splitlines())) <= 50
    assert bare.split() == plain.split()


def test_no_byte_of_a_stranger_reaches_the_terminal() -> None:
    """Names and options may hold anything."""
    text = written(told(process="a\x1b[2Jpi\n", nodeOptions=["--x\x07"]), colour=False)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 7


@pytest.mark.node
def test_a_process_without_agent(tmp_path: Path) -> None:
    """Exit code 1 where something was found. Values in NODE_OPTIONS are not told, save sizes of heaps."""
    with running(tmp_path, "--max-old-space-size=1073741824 --disable-warning=secret") as pid:
        found = doctor(pid, "--json", "--no-agent")
        text = doctor(pid, "--no-agent")
    assert found.returncode == 1, found.stderr
    report = json.loads(found.stdout)
    assert report["agent"] is None
    assert report["problems"] == 1
    (process,) = report["processes"]
    expected = {
        "process": "[eval]",
        "worker": None,
        "pid": pid,
        "seenBy": "doctor",
        "node": None,
        "heapLimit": None,
        "heapLimitFrom": "--max-old-space-size=1073741824 (NODE_OPTIONS)",
        "heapOptions": [{"option": "--max-old-space-size", "value": "1073741824", "from": "NODE_OPTIONS"}],
        "nodeOptions": ["--require", "--max-old-space-size", "--disable-warning"],
    }
    assert {key: process[key] for key in expected} == expected
    (problem,) = process["problems"]
    assert problem.keys() == {"code", "severity", "text", "remedy"}
    assert (problem["code"], problem["severity"]) == ("heap_limit_above_machine", "error")
    assert process.keys() == told()["processes"][0].keys()
    assert "secret" not in found.stdout + text.stdout
    assert text.returncode == 1
    assert "[heap_limit_above_machine]" in text.stdout
    assert "\x1b" not in text.stdout


@pytest.mark.node
def test_all_processes(tmp_path: Path) -> None:
    """With --all, and without a word; exit code 0 says that nothing was found in those asked for."""
    with running(tmp_path) as first, running(tmp_path) as second:
        for arguments in (("--all",), ()):
            found = doctor("--json", "--no-agent", *arguments)
            assert {first, second} <= {one["pid"] for one in json.loads(found.stdout)["processes"]}
        both = doctor(first, second, "--json", "--no-agent")
    assert both.returncode == 0
    assert [one["problems"] for one in json.loads(both.stdout)["processes"]] == [[], []]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("0",), "the number of a process is wanted", id="no pid"),
        pytest.param(("api",), "the number of a process is wanted", id="a name"),
        pytest.param(("1", "--all"), "exclude each other", id="both"),
        pytest.param(("--url", "x", "--no-agent"), "not allowed with", id="an agent and none"),
        pytest.param(("2147483646", "--no-agent"), "there is no process 2147483646", id="no process"),
        pytest.param((str(os.getpid()), "--no-agent"), "runs no Node app", id="no Node"),
        pytest.param(("--url", "ftp://x"), "an address such as", id="no address"),
    ],
)
def test_what_is_not_possible_is_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    """Nothing was looked at."""
    done = doctor(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_an_agent_that_was_named_must_answer() -> None:
    """By the option or by the variable; one that was not named need not be there."""
    url = f"http://127.0.0.1:{free_port()}"
    for done in (doctor("--url", url), doctor(HEAPWARDEN_URL=url)):
        assert done.returncode == 2
        assert f"no agent answers at {url}" in done.stderr


def test_importing_it_costs_other_commands_nothing() -> None:
    """What reads /proc is loaded when it is used."""
    code = "import sys, heapwarden.cli.main; print('heapwarden.cli.doctor_look' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_each_problem_is_explained() -> None:
    """docs/doctor.md has a section for each code, and for nothing else."""
    titles = re.findall(r"^### `(\w+)`", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    assert sorted(titles) == sorted(ProblemCode)
