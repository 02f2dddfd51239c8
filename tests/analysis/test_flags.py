"""Options that size the heap, read as Node itself reads them: held against real Nodes."""

import os
import subprocess

import pytest

from fakes.machine import node
from heapwarden.analysis.flags import heap_flags, option_names, preloads_reporter, sets_limit, words_of
from heapwarden.domain.checkup import HeapFlag, Origin

LINE, OPTIONS, SCRIPT = Origin.COMMAND_LINE, Origin.NODE_OPTIONS, Origin.SCRIPT_ARGUMENTS
OLD, PERCENTAGE, SEMI = "--max-old-space-size", "--max-old-space-size-percentage", "--max-semi-space-size"


@pytest.mark.parametrize(
    ("argv", "node_options", "expected"),
    [
        pytest.param("node server.js", "", [], id="none"),
        pytest.param("node --max-old-space-size=512 server.js", "", [(OLD, "512", LINE)], id="command line"),
        pytest.param("/usr/bin/node --max_old_space_size=512 a.js", "", [(OLD, "512", LINE)], id="underscores"),
        pytest.param("node a.js --max-old-space-size=512", "", [(OLD, "512", SCRIPT)], id="after the script"),
        pytest.param("node -- a.js --max-old-space-size=9", "", [(OLD, "9", SCRIPT)], id="after two dashes"),
        pytest.param("node -r x.js --max-old-space-size=9 a.js", "", [(OLD, "9", LINE)], id="after an option's value"),
        pytest.param("node -e 1 --max-old-space-size=9", "", [(OLD, "9", LINE)], id="after eval"),
        pytest.param(
            "node --max-semi-space-size=32 a.js",
            "--require ./x --max-old-space-size=9",
            [(OLD, "9", OPTIONS), (SEMI, "32", LINE)],
            id="both, NODE_OPTIONS first",
        ),
        pytest.param("node a.js", "--max-old-space-size= 512", [(OLD, "", OPTIONS)], id="a space too many"),
        pytest.param("node --max-old-space-size-percentage 50 a", "", [(PERCENTAGE, "50", LINE)], id="Node's own"),
        pytest.param("node a.js", '--require "/a b/--max-old-space-size=1"', [], id="within quotes"),
        pytest.param("node", None, [], id="environment not readable"),
        pytest.param("python --max-old-space-size=512", "", [], id="no Node"),
        pytest.param(f"node --max-old-space-size={'9' * 99}", "", [(OLD, "9" * 32, LINE)], id="cut"),
    ],
)
def test_options_are_found(argv: str, node_options: str | None, expected: list[tuple[str, str, Origin]]) -> None:
    """With their value and where they stand, in the order in which they hold."""
    assert heap_flags(tuple(argv.split()), node_options) == tuple(HeapFlag(*one) for one in expected)


def test_a_renamed_process_shows_no_options_of_its_own() -> None:
    """`process.title` has overwritten the command line; NODE_OPTIONS still speak."""
    assert heap_flags(("node /app/server.js --max-old-space-size=512",), "") == ()
    assert len(heap_flags(("node /app/server.js",), "--max-old-space-size=512")) == 1


def test_only_names_of_options_are_told() -> None:
    """A value may be secret."""
    assert option_names('--require "/a b/x.cjs" --title=secret -r y --require z') == ("--require", "--title", "-r")
    assert words_of(r'--require "a \" b" c') == ["--require", r"a \" b", "c"]


@pytest.mark.parametrize(
    ("argv", "node_options", "expected"),
    [
        pytest.param(("node", "a.js"), "--require /opt/heapwarden.cjs", True, id="NODE_OPTIONS"),
        pytest.param(("node", "-r", "/opt/heapwarden.cjs", "a.js"), "", True, id="command line"),
        pytest.param(("node", "a.js", "heapwarden.cjs"), "--require x.cjs", False, id="an argument of the script"),
    ],
)
def test_the_reporter_is_seen(argv: tuple[str, ...], node_options: str, expected: bool) -> None:
    """Wherever Node is told to load it."""
    assert preloads_reporter(argv, node_options) is expected


@pytest.mark.node
@pytest.mark.parametrize("major", [18, 22, 26])
def test_real_nodes_agree_on_what_holds(major: int) -> None:
    """Of contradicting options the one that we name is the one that V8 goes by."""
    script = "console.log(require('v8').getHeapStatistics().heap_size_limit / 1048576)"
    cases = [
        (["--max-old-space-size=700", "--max-old-space-size=300"], ""),
        (["--max-old-space-size=300"], "--max-old-space-size=700"),
        (["--max-old-space-size=0"], "--max-old-space-size=300"),
        (["--max-old-space-size=", "--max-semi-space-size=1"], ""),
    ]
    if major > 18:
        cases.append((["--max-old-space-size=300"], "--max-old-space-size-percentage=1"))
    for arguments, node_options in cases:
        argv = (node(major), *arguments, "--max-semi-space-size=1", "-e", script)
        told = _run(argv, node_options)
        flag = sets_limit(heap_flags(argv, node_options))
        if flag is None:
            assert told > 1_000, (arguments, node_options)
        elif flag.option == PERCENTAGE:
            assert told not in (303, 703), (arguments, node_options)
        else:
            assert told == flag.number + 3, (arguments, node_options)


def _run(argv: tuple[str, ...], node_options: str) -> float:
    environment = {**os.environ, "NODE_OPTIONS": node_options}
    run = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return float(run.stdout)
