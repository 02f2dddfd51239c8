"""`heapwarden history`."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import journalled
from fakes.journalled import WALL, a_restart, an_event, be_patient, journal_in
from heapwarden.cli import history as history_command
from heapwarden.cli import main
from heapwarden.cli.history_lines import as_json, as_table
from heapwarden.domain.event import Event, EventKind
from heapwarden.domain.restart import Outcome, Restart, Stage
from heapwarden.journal import FILE_NAME
from heapwarden.journal.reading import Entry

KEYS = [
    *("time", "wall", "kind", "what", "text", "process", "worker", "pid", "restart"),
    *("reason", "trigger", "method", "dryRun", "outcome", "figures"),
]
HISTORY = (
    Event(WALL, EventKind.AGENT, "started", "heapwarden 0.1.0"),
    an_event("unhealthy", kind=EventKind.HEALTH, text="heap is at 95 %", restart="", figures={"pressure": 0.951}),
    Event(WALL + 1, EventKind.HELD, "budget", "budget spent", "api", "0", 4242),
    an_event("drain", wall=WALL + 2, text="is to be drained"),
    an_event("terminate", wall=WALL + 3, text="was asked to end", figures={}),
    Event(
        *(WALL + 4, EventKind.EXIT, "cgroup_oom", "ended, cgroup_oom: oom_kill 0 → 1", "worker", "12", 77, ""),
        {"rss": 512 * 2**20, "exit_code": 137, "limit_in_seconds": 0.25, "nearer": "container"},
    ),
    Event(
        *(WALL + 4, EventKind.HEALTH, "unhealthy", "unhealthy", "worker", "12", 77, ""),
        {"rss": 512 * 2**20, "exit_code": 137, "limit_in_seconds": 0.25, "nearer": "container"},
    ),
)


@pytest.fixture
def in_kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is five and a half hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal's deadlines are not the subject here."""
    be_patient(monkeypatch)


def journal(folder: Path, events: Sequence[Event] = HISTORY, restarts: Sequence[Restart] = ()) -> Path:
    """One with these in it, closed."""

    async def write() -> None:
        async with journal_in(folder) as made:
            for event in events:
                made.append(event)
            for restart in restarts:
                assert await made.save(restart, an_event(restart.stage, restart=restart.id, wall=restart.wall))
            assert len(await made.recent(10_000)) == len(events) + len(restarts)

    asyncio.run(write())
    return folder


def history(*arguments: str | Path) -> int:
    """The exit code of ``heapwarden history …``."""
    return main(["history", *map(str, arguments)])


@pytest.mark.usefixtures("in_kolkata")
def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Newest last, in local time; why and with which figures below it, once a restart."""
    restart = a_restart("r1", stage=Stage.SUCCESSOR, wall=WALL + 5)
    assert history("--state-dir", journal(tmp_path, restarts=[restart])) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines() == [
        "2026-09-21 19:43:20  agent    -          started     heapwarden 0.1.0",
        "2026-09-21 19:43:20  health   api/0      unhealthy   heap is at 95 %",
        "                     pressure 95.1%",
        "2026-09-21 19:43:21  held     api/0      budget      budget spent",
        "2026-09-21 19:43:22  restart  api/0      drain       is to be drained",
        "                     because RSS is 231 MiB, max_memory 200 MiB (max_memory)",
        "                     rss 231 MiB",
        "2026-09-21 19:43:23  restart  api/0      terminate   was asked to end",
        "                     rss 231 MiB, heap 50.0%, limit unknown",
        "2026-09-21 19:43:24  exit     worker/12  cgroup_oom  ended, cgroup_oom: oom_kill 0 → 1",
        "                     rss 512 MiB, exit code 137, limit in 0.2 s, nearer container",
        "2026-09-21 19:43:24  health   worker/12  unhealthy   unhealthy",
        "2026-09-21 19:43:25  restart  api/0      successor   draining",
        "                     rss 231 MiB",
    ]


def test_figures_have_units() -> None:
    """Bytes, seconds and ratios by their names; what is used of a limit, with the limit."""
    figures = {
        "rss": 99 * 2**20,
        "heap_used": 1_500 * 2**20,
        "heap_limit": 4_096 * 2**20,
        "container_limit": 2**30,
        "pressure": 0.375,
        "limit_in_seconds": 7_300.0,
        "grace_seconds": 1.25,
        "oom_kills": 12_345,
        "load": 0.5,
        "nearer": "heap",
        "heap_live": None,
    }
    (_, line) = as_table([Entry(an_event(figures=figures))], colour=False)
    assert line.strip() == (
        "rss 99.0 MiB, heap 1,500 of 4,096 MiB, container limit 1,024 MiB, pressure 37.5%, limit in 2 h, grace 1.2 s, "
        "oom kills 12,345, load 0.5, nearer heap, heap live unknown"
    )


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An object a line, always with the same keys; null where one does not apply."""
    restart = a_restart("r1", outcome=Outcome.DONE, wall=WALL + 5)
    assert history("--json", "--state-dir", journal(tmp_path, restarts=[restart])) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(HISTORY) + 1
    assert all(list(line) == KEYS for line in lines)
    assert [lines[0][key] for key in KEYS] == [
        *("2026-09-21T14:13:20.000Z", WALL, "agent", "started", "heapwarden 0.1.0", None, None, None, None),
        *(None, None, None, None, None, {}),
    ]
    assert [lines[-1][key] for key in KEYS] == [
        *("2026-09-21T14:13:25.000Z", WALL + 5, "restart", "drain", "draining", "api", "0", 4242, "r1"),
        *("max_memory", "RSS is 231 MiB, max_memory 200 MiB", "signal", False, "done"),
        {"rss_bytes": 231 * 2**20, "heap_ratio": 0.5, "limit": None},
    ]


@pytest.mark.parametrize(
    ("arguments", "whats"),
    [
        pytest.param(["--process", "worker"], ["cgroup_oom", "unhealthy"], id="process"),
        pytest.param(["--kind", "held", "--kind", "exit"], ["budget", "cgroup_oom"], id="kinds"),
        pytest.param(["--limit", "2"], ["cgroup_oom", "unhealthy"], id="limit"),
        pytest.param(["--process", "none"], [], id="nothing"),
    ],
)
def test_filters(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], whats: list[str]) -> None:
    """The newest of what is wanted; that there is none of it is said on standard error."""
    assert history("--json", "--state-dir", journal(tmp_path), *arguments) == 0
    printed = capsys.readouterr()
    assert [json.loads(line)["what"] for line in printed.out.splitlines()] == whats
    assert ("no such events" in printed.err) is (not whats)


def test_since(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the clock of whoever asks."""
    now = time.time()
    events = [an_event("old", wall=now - 7_200), an_event("new", wall=now - 60)]
    assert history("--json", "--state-dir", journal(tmp_path, events), "--since", "1h30m") == 0
    assert [json.loads(line)["what"] for line in capsys.readouterr().out.splitlines()] == ["new"]


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default a page of it."""
    journal(tmp_path, [an_event(str(number)) for number in range(101)])
    assert history("--json", "--state-dir", tmp_path) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 100
    assert printed.err == "heapwarden: the newest 100; --limit shows more\n"


def test_the_settings_name_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`state_dir` of the file that --config names, or of the one that the agent would take."""
    settings = tmp_path / "h.yaml"
    settings.write_text(f"state_dir: {journal(tmp_path / 'state')}\n")
    assert history("--config", settings, "--limit", "1") == 0
    monkeypatch.setenv("HEAPWARDEN_CONFIG", str(settings))
    assert history("--limit", "1") == 0
    assert capsys.readouterr().out.count("worker/12  unhealthy") == 2


def test_a_users_own_journal_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `heapwarden run` kept it because it could not write to the usual folder; never in place of that one's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    usual, own = tmp_path / "usual", tmp_path / "home" / "heapwarden"
    assert history_command._own(usual, usual) is None
    journal(own)
    assert history_command._own(usual, usual) == own
    assert history_command._own(tmp_path / "named", usual) is None
    journal(usual)
    assert history_command._own(usual, usual) is None


@pytest.mark.parametrize("by", ["--state-dir", "--config"])
def test_no_journal_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str) -> None:
    """It says where it looked, why there, and how to name another place."""
    folder, settings = tmp_path / "state", tmp_path / "h.yaml"
    settings.write_text(f"state_dir: {folder}\n")
    origin = "what --state-dir says" if by == "--state-dir" else f"`state_dir` of {settings}"
    assert history(by, folder if by == "--state-dir" else settings) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"heapwarden:\nno journal at {folder / FILE_NAME}\n"
        f"{folder} is {origin}; name another folder with --state-dir, or the agent's settings with --config\n"
    )


def test_wrong_settings_are_told_as_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with path, line and column."""
    settings = tmp_path / "h.yaml"
    settings.write_text("state_dir: var\n")
    assert history("--config", settings) == 2
    assert f"{settings}:1:12: state_dir:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--limit", "0"], id="limit 0"),
        pytest.param(["--limit", "x"], id="limit x"),
        pytest.param(["--kind", "x"], id="kind"),
        pytest.param(["--state-dir", "/a", "--config", "/b"], id="both"),
    ],
)
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, before anything is read."""
    with pytest.raises(SystemExit) as caught:
        history(*arguments)
    assert caught.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_a_time_without_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in the settings."""
    assert history("--state-dir", tmp_path, "--since", "24") == 2
    assert '--since: "24" has no unit; write 24s' in capsys.readouterr().err


def test_control_characters_are_shown_and_not_obeyed() -> None:
    """A process chooses its own name, and a reason for a restart comes over HTTP."""
    event = an_event("dr\x1b[2Jain", text="a\x1b]0;title\x07\nb", process="\x9b31mapi", figures={"x\r": "y\x1b"})
    (line, figures) = as_table([Entry(event)], colour=False)
    assert line.endswith("restart  \\x9b31mapi/0  dr\\x1b[2Jain  a\\x1b]0;title\\x07\\nb")
    assert figures.strip() == "x\\r y\\x1b"


@given(events=st.lists(journalled.events, max_size=3), restart=st.none() | journalled.restarts)
def test_any_history_can_be_shown(events: list[Event], restart: Restart | None) -> None:
    """Times that no calendar has, any text, any figure: lines without control characters, and JSON without NaN."""
    entries = [Entry(event, restart) for event in events]
    for line in as_table(entries, colour=False):
        assert line.isprintable()
    for line in as_json(entries):
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False), ("", True)])
def test_colour_on_a_real_terminal(tmp_path: Path, no_color: str | None, coloured: bool) -> None:
    """What happened stands out, unless the person asked for no colour (no-color.org)."""
    journal(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    if no_color is not None:
        environment["NO_COLOR"] = no_color
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "heapwarden", "history", "--state-dir", str(tmp_path), "--kind", "exit"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = os.read(ours, 65_536)
    os.close(ours)
    os.close(theirs)
    assert (b"\x1b[31mcgroup_oom\x1b[0m" in shown) is coloured
    assert (b"\x1b" in shown) is coloured


def test_an_output_that_knows_only_ascii(tmp_path: Path) -> None:
    """What it can't show is replaced."""
    journal(tmp_path, [an_event(text="日本 → é")])
    done = subprocess.run(
        [sys.executable, "-m", "heapwarden", "history", "--state-dir", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?? ? ?" in done.stdout


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """It answers at once: neither the web part nor settings from a file are needed."""
    journal(tmp_path)
    code = (
        "import sys; from heapwarden.cli import main; main(sys.argv[1:]);"
        "sys.exit(bool({'fastapi', 'pydantic', 'uvicorn', 'rich', 'prometheus_client'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "history", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "cgroup_oom" in done.stdout
