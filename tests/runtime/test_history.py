"""What is kept of each slot."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fakes.snapshots import MIB, fleet, heap, isolate, snapshot, verdict, watched
from heapwarden.domain.health import HealthState, Reason, ReasonCode, Verdict
from heapwarden.domain.identity import Name
from heapwarden.domain.sample import GcKind, GcTotals, HeapFigures, LoopDelay
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.runtime.columns import COLUMNS, FIRST_SUM, ROW, merged
from heapwarden.runtime.history import COARSE_PAGES, FINE_PAGES, FINE_SECONDS, KEPT_SECONDS, History
from heapwarden.runtime.ring import PAGE_ROWS

PLENTY = 8 * MIB
API = Name("api", "0")
Row = dict[str, float]


def at(time: float, *processes: Watched, tick: bool = True) -> Snapshot:
    """What was published then."""
    return replace(snapshot(*processes), at=time, wall=time + 1e9, last_tick_at=time if tick else None)


def majors(count: int, seconds: float = 0.0, bucket: int = 0) -> HeapFigures:
    """Figures of a process that has had so many mark-compacts."""
    buckets = tuple(count if index == bucket else 0 for index in range(7))
    return heap(replace(isolate(), gc={GcKind.MAJOR: GcTotals(buckets, seconds)}))


def rows(history: History, name: Name = API, offset: float = 0.0) -> list[Row]:
    """All that is kept of one slot."""
    packed, newest = history.rows(name, offset)
    found = [dict(zip(COLUMNS, row, strict=True)) for row in ROW.iter_unpack(packed)]
    assert newest == (found[-1]["time"] - offset if found else -math.inf)
    return found


def one_row(process: Watched) -> Row:
    """The row that this process makes."""
    history = History(PLENTY)
    history.published(at(1.0, process))
    (row,) = rows(history)
    return row


def known(row: Row) -> Row:
    """Without what is not known."""
    return {name: value for name, value in row.items() if not math.isnan(value)}


def test_a_row_has_all_figures() -> None:
    """Bytes, seconds, ratios and counts; those of the heap are the main thread's."""
    row = one_row(watched(figures=heap(isolate(), isolate(1, used_mib=900))))
    assert row["state"] == HealthState.HEALTHY
    assert (row["rss"], row["swap"]) == (120 * MIB, 4096)
    assert (row["heapUsed"], row["heapTotal"], row["heapLimit"]) == (60 * MIB, 80 * MIB, 1024 * MIB)
    assert (row["heapLive"], row["external"], row["arrayBuffers"]) == (55 * MIB, 5 * MIB, 3 * MIB)
    assert (row["containerMemory"], row["containerLimit"], row["pressure"]) == (512 * MIB, 2048 * MIB, 0.25)
    loop = [row[name] for name in ("loopP50", "loopP99", "loopMax", "loopUtilization")]
    assert loop == pytest.approx([0.0005, 0.0125, 0.25, 0.375])
    assert (row["isolates"], row["detachedContexts"]) == (2, 1)
    assert (row["space:new"], row["space:map"], row["space:other"]) == (MIB / 2, 0, 0)


def test_spaces_without_a_column_are_summed() -> None:
    """Whatever a later V8 has."""
    main = isolate()
    spaces = (*main.spaces, replace(main.spaces[1], name="novel"), replace(main.spaces[1], name="newer"))
    row = one_row(watched(figures=heap(replace(main, spaces=spaces))))
    assert row["space:other"] == MIB


@pytest.mark.parametrize(
    "process",
    [
        pytest.param(watched(bare=True), id="nothing is known yet"),
        pytest.param(watched(figures=heap(connected=False)), id="the reporter has gone"),
        pytest.param(watched(figures=heap(isolate(1))), id="only a worker thread reports"),
        pytest.param(
            watched(judged=Verdict(HealthState.UNKNOWN, True, (Reason(ReasonCode.FIGURES_STALE, "old"),))), id="stale"
        ),
    ],
)
def test_what_is_not_known_now_is_no_number(process: Watched) -> None:
    """Neither 0, nor what was known before."""
    row = known(one_row(process))
    assert row["state"] == process.verdict.state
    assert not {"heapUsed", "heapLimit", "loopP99", "space:old", "isolates", "gcCount"} & set(row)
    assert one_row(watched(limit_bytes=None)).keys() == set(COLUMNS)
    assert math.isnan(one_row(watched(limit_bytes=None))["containerLimit"])


def test_collections_are_those_since_the_row_before() -> None:
    """Unknown in the first row: what came before it is not its own; by kind in seconds, all together in number."""
    history = History(PLENTY)
    minor = GcTotals((7, 0, 0, 0, 0, 0, 0), 0.004)
    both = heap(replace(isolate(), gc={GcKind.MINOR: minor, GcKind.MAJOR: GcTotals((0, 3, 0, 0, 0, 0, 0), 0.012)}))
    for time, figures in enumerate((majors(2, 0.008, 1), both, both)):
        history.published(at(float(time), watched(figures=figures)))
    first, second, third = rows(history)
    assert math.isnan(first["gcCount"])
    assert second["gcCount"] == 7 + 1 + 0
    assert (second["gcMinor"], second["gcMajor"]) == pytest.approx((0.004, 0.004))
    assert known(third)["gcCount"] == third["gcMajor"] == third["gcMax"] == 0


@pytest.mark.parametrize(
    ("bucket", "count", "seconds", "most"),
    [
        pytest.param(3, 9, 0.5, 0.1, id="its bucket's bound"),
        pytest.param(3, 1, 0.03, 0.03, id="no more than all together"),
        pytest.param(6, 2, 9.0, 9.0, id="the last bucket has no bound"),
    ],
)
def test_the_longest_pause_has_a_bound(bucket: int, count: int, seconds: float, most: float) -> None:
    """The true one is not known; no pause was longer than this."""
    history = History(PLENTY)
    history.published(at(0.0, watched(figures=majors(0))))
    history.published(at(1.0, watched(figures=majors(count, seconds, bucket))))
    assert rows(history)[-1]["gcMax"] == pytest.approx(most)


def test_a_successor_goes_on_with_the_history_and_not_with_the_collections() -> None:
    """Its own begin at nought; there is no collapse below it."""
    history = History(PLENTY)
    history.published(at(0.0, watched(figures=majors(500, 5.0))))
    history.published(at(1.0, watched(pid=4712, figures=majors(3, 0.1))))
    history.published(at(2.0, watched(pid=4712, figures=majors(5, 0.2))))
    assert len(rows(history)) == 3
    assert math.isnan(rows(history)[1]["gcCount"])
    assert rows(history)[2]["gcCount"] == 2


def test_a_minute_is_the_worst_of_its_samples() -> None:
    """The largest of each gauge, the sum of the rest; what is known counts."""
    one = [1.0] + [5.0] * (FIRST_SUM - 1) + [2.0] * (len(COLUMNS) - FIRST_SUM)
    later = [2.0] + [3.0] * (FIRST_SUM - 1) + [4.0] * (len(COLUMNS) - FIRST_SUM)
    nothing = [3.0] + [math.nan] * (len(COLUMNS) - 1)
    expected = [5.0] * (FIRST_SUM - 1) + [6.0] * (len(COLUMNS) - FIRST_SUM)
    assert merged(one, later) == [2.0, *expected]
    assert merged(merged(one, nothing), later) == merged(one, merged(nothing, later)) == [2.0, *expected]
    assert all(map(math.isnan, merged(nothing, nothing)[1:]))


def ticking(history: History, times: Iterable[float], *, ticks_collect: int = 1) -> list[float]:
    """Publish a process that has collected once more at each of these times; gives the times."""
    seen = []
    for number, time in enumerate(times):
        history.published(at(time, watched(figures=majors(ticks_collect * number, 0.001 * number))))
        seen.append(time)
    return seen


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 170), st.sampled_from([1.0, 7.0, 60.0, 700.0])), min_size=1, max_size=4))
def test_nothing_is_there_twice_and_nothing_is_missing(stretches: list[tuple[int, float]]) -> None:
    """Whatever the interval: in order, minutes before samples, and every collection in exactly one row."""
    history, time = History(PLENTY), 0.0
    times = []
    for count, interval in stretches:
        for _ in range(count):
            time += interval
            times.append(time)
    ticking(history, times)
    found = rows(history)
    assert [row["time"] for row in found] == sorted({row["time"] for row in found})
    assert {row["time"] for row in found} <= set(times)
    assert found[-1]["time"] == times[-1]
    assert sum(row["gcCount"] for row in found if not math.isnan(row["gcCount"])) == len(times) - 1
    assert len(found) <= (FINE_PAGES + COARSE_PAGES) * PAGE_ROWS
    lately = times[-1] - FINE_SECONDS / 2
    assert [row["time"] for row in found if row["time"] > lately] == [one for one in times if one > lately]


def test_many_samples_a_second_are_there_for_less_long() -> None:
    """A minute of them, and minutes before it that don't overlap."""
    history = History(PLENTY)
    times = ticking(history, (number / 10 for number in range(4_000)))
    found = [row["time"] for row in rows(history)]
    assert found == sorted(set(found))
    assert found[-590:] == times[-590:]
    assert 4 <= len(found) - 610 <= 7


def test_ten_minutes_in_full_and_twelve_hours_by_the_minute() -> None:
    """What one process has, however long it runs, and within 200 kB."""
    history = History(PLENTY)
    for number in range(4 * 60 * 13):
        history.published(at(number * 15.0, watched()))
    for number in range(1_200):
        history.published(at(46_800.0 + number, watched()))
    found = [row["time"] for row in rows(history)]
    newest = found[-1]
    assert 12 * 3_600 <= newest - found[0] < 12.5 * 3_600
    steps = [later - before for before, later in pairwise(found)]
    assert set(steps[:690]) == {60.0}
    assert set(steps[-540:]) == {1.0}
    assert history.bytes_used <= 200_000


def test_the_clock_may_be_set_at_any_time() -> None:
    """Rows are kept by the monotonic clock, and told by what the other one says now."""
    history = History(PLENTY)
    ticking(history, [10.0, 11.0, 12.0])
    assert [row["time"] for row in rows(history, offset=5e8)] == [5e8 + 10, 5e8 + 11, 5e8 + 12]


def test_a_machine_that_has_slept_does_not_move_what_was_before() -> None:
    """The monotonic clock stands still meanwhile, and Unix time does not; a clock that is set moves all rows."""
    slept = 30.0
    history = History(PLENTY, slept=lambda: slept)
    ticking(history, [10.0, 11.0])
    slept += 3_600
    ticking(history, [12.0, 13.0])
    slept += 60
    ticking(history, [14.0])
    offset = 1e9 + 3_660
    assert [row["time"] - 1e9 for row in rows(history, offset=offset)] == [10, 11, 3_612, 3_613, 3_674]
    assert [row["time"] for row in rows(history, offset=0.0)] == [-3_650, -3_649, -48, -47, 14]


def test_only_the_end_of_a_tick_counts() -> None:
    """Between ticks there are snapshots with nothing new in most processes."""
    history = History(PLENTY)
    told: list[Snapshot] = []
    history.on_recorded = told.append
    history.published(at(1.0, watched(), tick=False))
    assert (rows(history), told) == ([], [])
    history.published(at(2.0, watched()))
    assert (len(rows(history)), len(told)) == (1, 1)


def test_an_empty_slot_keeps_its_history_for_a_while() -> None:
    """So that a look at a process that has just ended shows how."""
    history = History(PLENTY)
    history.published(at(0.0, watched(), watched(worker="1")))
    history.published(at(KEPT_SECONDS, watched(worker="1")))
    assert len(rows(history)) == 1
    history.published(at(KEPT_SECONDS + 1, watched(worker="1")))
    assert rows(history) == []
    assert len(rows(history, Name("api", "1"))) == 3


@pytest.mark.parametrize(("processes", "ticks"), [(1, 80), (40, 80), (43, 80), (100, 40), (1_000, 12)])
def test_all_together_keep_within_their_memory(processes: int, ticks: int) -> None:
    """However many there are, each has some, and all of them no more than was given."""
    history = History(MIB, soon=call_at_once)
    for time in range(ticks):
        history.published(replace(fleet(processes), at=float(time * 61), last_tick_at=float(time * 61)))
    assert history.bytes_used <= MIB
    if processes <= 40:
        assert len(rows(history, Name("service-0000", "0"))) == 80 if processes == 1 else 60


def test_what_there_is_is_shared_anew_when_others_come_and_when_settings_change() -> None:
    """The newest rows stay; off is off, and on again begins anew."""
    history = History(MIB, soon=call_at_once)
    ticking(history, map(float, range(900)))
    alone = len(rows(history))
    for time in range(900, 905):
        processes = (watched(), *fleet(99).processes)
        history.published(at(float(time), *processes))
    shared = [row["time"] for row in rows(history)]
    assert len(shared) < alone
    assert shared[-1] == 904
    history.resize(0)
    history.published(at(905.0, watched()))
    assert (rows(history), history.bytes_used) == ([], 0)
    history.resize(MIB)
    history.published(at(906.0, watched()))
    assert [row["time"] for row in rows(history)] == [906.0]


def named(numbers: Iterable[int], prefix: str) -> list[Watched]:
    """Processes of names of their own."""
    return [watched(f"{prefix}-{number}") for number in numbers]


def test_what_is_gone_makes_room_for_what_has_come() -> None:
    """Jobs come and go under ever new names: where memory is full, the one that is longest gone goes first."""
    history = History(MIB, soon=call_at_once)
    for tick in range(20):
        history.published(at(float(tick), *named(range(tick * 20, tick * 20 + 20), "job")))
        assert history.bytes_used <= MIB
    newest = at(20.0, *named(range(150), "new"))
    history.published(newest)
    assert all(rows(history, one.name) for one in newest.processes)
    assert history.bytes_used <= MIB


def test_what_is_gone_leaves_half_of_a_short_memory_to_the_rest() -> None:
    """A service beside many short-lived jobs keeps more than its last moments."""
    history = History(8 * MIB)
    services = named(range(30), "service")
    for tick in range(400):
        history.published(at(float(tick), *services, *named(range(tick * 5, tick * 5 + 5), "job")))
    assert len(rows(history, services[0].name)) > 250
    assert len(rows(history, Name("job-1999", "0"))) == 1


def test_the_event_loop_turns_between_many() -> None:
    """And whoever listens is told when all are recorded, also when the next tick does not wait for them."""
    left: list[Callable[[], None]] = []
    history = History(PLENTY, soon=left.append)
    told: list[float] = []
    history.on_recorded = lambda one: told.append(one.at)
    many = fleet(120)
    history.published(replace(many, at=1.0, last_tick_at=1.0))
    assert told == []
    assert rows(history, many.processes[-1].name) == []
    history.published(replace(many, at=2.0, last_tick_at=2.0))
    while left:
        left.pop(0)()
    assert told == [2.0]
    assert all(len(rows(history, one.name)) == 2 for one in many.processes)


def test_absurd_figures_do_no_harm() -> None:
    """Whatever a process says of itself, the tick goes on; what can't be kept is not known."""
    huge = replace(isolate(), heap_used_bytes=10**60, external_bytes=10**400, loop=LoopDelay(1e300, 0.0, 0.0, 0.0))
    row = one_row(watched(figures=heap(huge)))
    assert math.isnan(row["heapUsed"])
    assert math.isnan(row["loopP50"])
    assert row["heapTotal"] == 80 * MIB


def test_an_unhealthy_state_is_seen_in_its_minute() -> None:
    """However short it was."""
    history = History(PLENTY)
    states = [HealthState.HEALTHY, HealthState.UNHEALTHY, HealthState.HEALTHY]
    for time, state in enumerate(states):
        history.published(at(float(time), watched(judged=verdict(state))))
    ticking(history, (60.0 + number for number in range(700)))
    assert rows(history)[0]["state"] == HealthState.UNHEALTHY


def call_at_once(call: Callable[[], None]) -> None:
    """As if the event loop turned."""
    call()
