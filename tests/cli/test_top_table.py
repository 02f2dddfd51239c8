"""The picture that `heapwarden top` draws, from what the agent's own pages give."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fakes.snapshots import MIB, NOW, heap, isolate, snapshot, verdict, watched
from heapwarden.cli.top_table import Json, Rates, picture, plain, size
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.snapshot import Snapshot
from heapwarden.web.listing import listing


def look(taken: Snapshot) -> Json:
    """`/processes` of a snapshot, as `top` reads it."""
    found: Json = json.loads(b"".join(listing(taken, taken.processes, NOW).pieces))
    return found


def drawn(now: Json, width: int = 120, height: int | None = None, rates: Rates | None = None) -> list[str]:
    """The lines of the picture, without colours."""
    console = Console(width=width, file=io.StringIO(), color_system=None, force_terminal=True)
    with console.capture() as got:
        console.print(picture(now, rates or Rates(), width, height))
    return [line.rstrip() for line in got.get().splitlines()]


FLEET = snapshot(
    watched("api", "0", pid=11),
    watched(
        "a-name-of-many-letters-that-does-not-fit",
        "12",
        pid=4194304,
        judged=verdict(HealthState.UNHEALTHY, text="why"),
        figures=heap(isolate(0), isolate(12, used_mib=942)),
    ),
    watched("early", "0", pid=13, bare=True),
    wrappers=(Process(ProcessId(9, 90), ("npm",), started_at=0.0, script="npm", role="npm"),),
)


@pytest.mark.parametrize("width", [60, 66, 72, 80, 119, 120, 150, 200])
def test_no_line_is_cut_or_wrapped_from_sixty_columns_on(width: int) -> None:
    """Columns give way before figures do: each row keeps its name's end, state, RSS and heap."""
    lines = drawn(look(FLEET), width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line.split("/12")[-1] for line in lines)
    row = next(line for line in lines if "unhealthy" in line and "/12 " in line)
    for figure in ("120M", "92% 942M/1.0G"):
        assert figure in row


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        pytest.param(66, "container", "GC/s", id="66"),
        pytest.param(76, "GC/s", "loop", id="76"),
        pytest.param(80, "loop", "pid", id="80"),
        pytest.param(120, "pid", "no such", id="120"),
    ],
)
def test_columns_come_with_the_width(width: int, there: str, gone: str) -> None:
    """In the order of what is needed most; 80 columns have all but the pid."""
    headings = next(line for line in drawn(look(FLEET), width) if "rss" in line)
    assert there in headings
    assert gone not in headings


def test_a_row_has_every_figure_of_its_process() -> None:
    """Name, worker, pid, state, RSS, heap of its limit, container of its limit, GC/s, loop."""
    row = next(line for line in drawn(look(FLEET)) if line.startswith("api/0"))
    assert " ".join(row.split()) == "api/0 11 healthy 120M ━────────────── 6% 60M/1.0G 512M/2.0G - 12 ms".replace(
        "━──────────────", "━" + "─" * 13
    )


def test_a_process_without_figures_says_so() -> None:
    """No zero stands where nothing is known."""
    row = next(line for line in drawn(look(FLEET)) if line.startswith("early/0"))
    assert row.split() == ["early/0", "13", "starting", "-", "no", "figures", "-", "-", "-"]


def test_the_worst_stand_on_top_with_their_reasons_below() -> None:
    """Whoever a balancer does not send to comes first; wrappers come last."""
    lines = drawn(look(FLEET))
    order = [line.split("/")[0].split(" ")[0] for line in lines[3:7]]
    assert order == ["a-name-of-many-lette…", "api", "early", "npm"]
    assert lines[0] == "3 processes: 1 unhealthy, 1 healthy, 1 starting"
    assert lines[-1] == "a-name-of-many-letters-that-does-not-fit/12: why"


def test_the_worst_isolate_is_the_one_shown() -> None:
    """A worker thread near its limit, not the main thread that idles: its own bytes, and which thread it is."""
    figures = heap(isolate(0, used_mib=10), isolate(3, used_mib=973))
    row = next(line for line in drawn(look(snapshot(watched(figures=figures)))) if line.startswith("api/0"))
    assert "95% 973M/1.0G thread 3" in row


def test_an_empty_agent_names_the_next_step() -> None:
    """Nothing watched yet is no empty table."""
    assert drawn(look(snapshot())) == ["No Node process is watched yet; try: heapwarden run -- node server.js"]


def test_a_terminal_that_is_too_low_shows_the_worst_and_counts_the_rest() -> None:
    """Never more lines than there are; what is left out is said."""
    many = [watched(f"p{n}", pid=100 + n) for n in range(50)]
    many.append(watched("bad", pid=99, judged=verdict(HealthState.UNHEALTHY, text="why " * 10)))
    lines = drawn(look(snapshot(*many)), 80, height=20)
    assert len(lines) <= 20
    assert lines[3].startswith("bad/0")
    shown = sum(line.startswith(("p", "bad/0 ")) and "/0 " in line for line in lines)
    assert f"… and {51 - shown} more, under less pressure" in lines
    assert any(line.startswith("bad/0: why") for line in lines)


@given(processes=st.integers(0, 30), reasons=st.integers(0, 30), width=st.integers(60, 200), height=st.integers(8, 60))
def test_the_picture_fits_its_terminal(processes: int, reasons: int, width: int, height: int) -> None:
    """Whatever there is to show, from 60 columns and 8 lines on."""
    fleet = [
        watched(
            f"p{n}", pid=n + 1, judged=verdict(HealthState.DEGRADED, text="because of it " * 6 if n < reasons else "")
        )
        for n in range(processes)
    ]
    lines = drawn(look(snapshot(*fleet)), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


EVIL = "\x1b]0;owned\a\x1b[2J[bold red]x[/]\r\n\u202e:boom:"


def test_names_are_shown_and_not_obeyed() -> None:
    """Escape sequences, markup and emoji codes of a process's name reach the screen as text."""
    now = look(snapshot(watched("api", judged=verdict(HealthState.DEGRADED, text=EVIL))))
    now["processes"][0]["process"] = now["processes"][0]["status"] = EVIL
    now["wrappers"] = [{"script": EVIL, "pid": EVIL}]
    text = "\n".join(drawn(now, 300))
    assert text.replace("\n", "").isprintable()
    assert r"\x1b]0;owned\x07\x1b[2J[bold red]x[/]\r\n\u202e:boom:" in text


@given(st.text())
def test_plain_text_is_printable(text: str) -> None:
    """For any text."""
    assert plain(text).plain.isprintable()


def test_stale_figures_are_drawn_dim() -> None:
    """From five seconds of age on; RSS is the kernel's and stays."""
    now = look(snapshot(watched()))
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system="standard")

    def dim(age: float) -> bool:
        now["processes"][0]["sampleAge"] = age
        with console.capture() as got:
            console.print(picture(now, Rates(), 120))
        return "\x1b[2m12 ms" in got.get()

    assert (dim(4.9), dim(5.0)) == (False, True)


def counted(sampled_at: float, count: int, pid: int = 7) -> Json:
    """A look at one process."""
    one = {"process": "api", "worker": "0", "pid": pid, "sampledAt": sampled_at, "gc": {"minor": {"count": count}}}
    return {"processes": [one]}


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        pytest.param([(10, 5)], None, id="one look"),
        pytest.param([(10, 5), (12, 9)], 2.0, id="two samples"),
        pytest.param([(10, 5), (12, 9), (12, 9)], 2.0, id="looked at the same sample again"),
        pytest.param([(10, 5), (12, 9), (13, 9)], 0.0, id="none since"),
        pytest.param([(10, 5), (2, 9)], None, id="the agent began anew"),
        pytest.param([(10, 5), (12, 3)], None, id="the process began anew"),
        pytest.param([(10, 5), (12, 9), (13, 1), (14, 4)], 3.0, id="and went on"),
    ],
)
def test_collections_a_second_are_between_two_samples(looks: list[tuple[float, int]], rate: float | None) -> None:
    """By the samples' own times, not by when the agent was asked."""
    rates = Rates()
    for at, count in looks:
        rates.take(counted(at, count))
    assert rates.of(counted(0, 0)["processes"][0]) == rate


def test_another_pid_in_the_same_slot_begins_anew() -> None:
    """A restarted process has no rate from its predecessor, which is forgotten."""
    rates = Rates()
    rates.take(counted(10, 5))
    rates.take(counted(12, 50, pid=8))
    assert rates.of(counted(0, 0, pid=8)["processes"][0]) is None
    assert len(rates._seen) == 1


@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(None, "-", id="unknown"),
        pytest.param(0, "0M", id="nothing"),
        pytest.param(134 * MIB, "134M", id="MiB"),
        pytest.param(999 * MIB, "999M", id="the last of three digits"),
        pytest.param(1_000 * MIB, "1.0G", id="from a thousand on"),
        pytest.param(1_434 * MIB, "1.4G", id="GiB"),
    ],
)
def test_sizes_are_short(count: int | None, text: str) -> None:
    """Four or five characters, powers of 1,024."""
    assert size(count) == text
