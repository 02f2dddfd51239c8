"""Each figure under its contract name, and absent where it is not known."""

from dataclasses import replace

import pytest

from fakes.scrapes import registry_of, scrape, series
from fakes.snapshots import (
    ALL_KINDS,
    MIB,
    NODE_24_SPACES_IN_USE,
    NOW,
    gc_totals,
    heap,
    isolate,
    snapshot,
    verdict,
    watched,
)
from heapwarden.domain.checkup import Checkup, Problem, ProblemCode, Severity
from heapwarden.domain.exit import ExitReason
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Name
from heapwarden.domain.place import Place, placed
from heapwarden.domain.restart import RestartReason, Trigger
from heapwarden.domain.sample import GcKind
from heapwarden.domain.snapshot import Held, Ledger
from heapwarden.exposition import reference
from heapwarden.exposition.families import FAMILIES
from heapwarden.exposition.text import PIECE_LINES, page

API = 'process="api",worker="0"'

LATER = {
    "heapwarden_leak_state",
    "heapwarden_leak_slope_bytes_per_second",
    "heapwarden_limit_eta_seconds",
}


def test_nothing_is_known_of_a_process_that_was_just_found() -> None:
    """Only identity and state are published; no zeros and no NaN stand for what is not known."""
    assert series(snapshot(watched(bare=True))) == {
        f"heapwarden_health_state{{{API}}}": 1,
        f"heapwarden_process_start_time_seconds{{{API}}}": 1_700_000_000.25,
    }


PLACE = Place("apps", "api-1", 'a"pp', "u-1", "7f3c")


def test_the_place_is_on_every_series() -> None:
    """Of what outlives the process, too; escaped, and not one series more."""
    one = Name("api", "0")
    held = Held(Trigger(RestartReason.MAX_MEMORY, ""), "budget", "")
    ledger = Ledger(
        {(placed(one, PLACE), RestartReason.MAX_MEMORY, False): 1}, {(placed(one, PLACE), ExitReason.CLEAN): 2}
    )
    there = series(snapshot(replace(watched(), place=PLACE, held=held), ledger=ledger))
    place = r',namespace="apps",pod="api-1",container="a\"pp"'
    assert there == {
        key.replace(API, API + place): value
        for key, value in series(
            snapshot(
                replace(watched(), held=held),
                ledger=Ledger({(one, RestartReason.MAX_MEMORY, False): 1}, {(one, ExitReason.CLEAN): 2}),
            )
        ).items()
    }
    assert sum(place in key for key in there) == len(there)


def test_a_process_in_no_pod_says_so_by_empty_labels() -> None:
    """A scrape that honours labels would fill in the agent's own pod for missing ones."""
    (key,) = series(snapshot(replace(watched(), place=Place())), "heapwarden_rss_bytes")
    assert key == f'heapwarden_rss_bytes{{{API},namespace="",pod="",container=""}}'


def test_places_that_are_not_shown_add_nothing() -> None:
    """Beside a sidecar whoever scrapes it adds them."""
    hidden = replace(watched(), place=replace(PLACE, shown=False))
    assert series(snapshot(hidden)) == series(snapshot(watched()))


def test_worker_threads_are_summed() -> None:
    """The main thread stands for itself; worker threads stand together, limits too."""
    known = snapshot(watched(figures=heap(isolate(used_mib=60), isolate(1, used_mib=10), isolate(2, used_mib=20))))
    assert series(known, "heapwarden_heap_used_bytes") == {
        f'heapwarden_heap_used_bytes{{{API},thread="main"}}': 60 * MIB,
        f'heapwarden_heap_used_bytes{{{API},thread="workers"}}': 30 * MIB,
    }
    assert series(known, "heapwarden_heap_effective_limit_bytes") == {
        f'heapwarden_heap_effective_limit_bytes{{{API},thread="main"}}': 1024 * MIB,
        f'heapwarden_heap_effective_limit_bytes{{{API},thread="workers"}}': 2048 * MIB,
    }
    assert series(known, "heapwarden_isolates") == {f"heapwarden_isolates{{{API}}}": 3}
    old = series(known, "heapwarden_heap_space_used_bytes")
    assert old[f'heapwarden_heap_space_used_bytes{{{API},thread="workers",space="old"}}'] == MIB


def test_live_bytes_of_workers_wait_for_every_worker() -> None:
    """A sum that leaves one out would be no sum."""
    known = snapshot(watched(figures=heap(isolate(live=False), isolate(1), isolate(2, live=False))))
    assert series(known, "heapwarden_heap_live_bytes") == {}
    known = snapshot(watched(figures=heap(isolate(), isolate(1, used_mib=10), isolate(2, used_mib=20))))
    assert series(known, "heapwarden_heap_live_bytes") == {
        f'heapwarden_heap_live_bytes{{{API},thread="main"}}': 55 * MIB,
        f'heapwarden_heap_live_bytes{{{API},thread="workers"}}': 20 * MIB,
    }


def test_empty_heap_spaces_are_left_out() -> None:
    """Only spaces with a size are published."""
    spaces = series(snapshot(watched()), "heapwarden_heap_space_size_bytes")
    expected = {f'heapwarden_heap_space_size_bytes{{{API},thread="main",space="{s}"}}' for s in NODE_24_SPACES_IN_USE}
    assert set(spaces) == expected


def test_collections_become_a_cumulative_histogram() -> None:
    """Buckets add up, +Inf is the count, and only kinds that occurred are there; ended worker threads are counted."""
    figures = heap(isolate(kinds=(GcKind.MAJOR,)), retired_gc={GcKind.MAJOR: gc_totals(GcKind.MAJOR, 2)})
    found = series(snapshot(watched(figures=figures)), "heapwarden_gc_duration_seconds")
    prefix = f'heapwarden_gc_duration_seconds_bucket{{{API},kind="major",le='
    assert found == {
        f'{prefix}"0.001"}}': 120,
        f'{prefix}"0.005"}}': 144,
        f'{prefix}"0.025"}}': 156,
        f'{prefix}"0.1"}}': 162,
        f'{prefix}"0.5"}}': 164,
        f'{prefix}"2.5"}}': 164,
        f'{prefix}"+Inf"}}': 164,
        f'heapwarden_gc_duration_seconds_sum{{{API},kind="major"}}': 3.75,
        f'heapwarden_gc_duration_seconds_count{{{API},kind="major"}}': 164,
    }


def test_reclaimed_bytes_are_those_of_sweeps() -> None:
    """Minor and major; marking and weak callbacks have none to tell."""
    found = series(snapshot(watched()), "heapwarden_gc_reclaimed_bytes")
    prefix = f"heapwarden_gc_reclaimed_bytes_total{{{API},kind="
    assert found == {f'{prefix}"minor"}}': 50 * MIB, f'{prefix}"major"}}': 50 * MIB}


def test_age_is_that_at_the_scrape() -> None:
    """Figures grow older between snapshots, too."""
    known = snapshot(watched())
    assert series(known, "heapwarden_sample_age", now=NOW + 30) == {f"heapwarden_sample_age_seconds{{{API}}}": 30.5}


def test_the_loop_is_the_main_threads() -> None:
    """Median, 99th percentile and maximum in seconds, and utilisation."""
    found = series(snapshot(watched()), "heapwarden_eventloop")
    assert found == {
        f'heapwarden_eventloop_delay_seconds{{{API},quantile="0.5"}}': 0.0005,
        f'heapwarden_eventloop_delay_seconds{{{API},quantile="0.99"}}': 0.0125,
        f'heapwarden_eventloop_delay_seconds{{{API},quantile="1.0"}}': 0.25,
        f"heapwarden_eventloop_utilization_ratio{{{API}}}": 0.375,
    }


def test_no_limit_is_no_series() -> None:
    """A container without a limit has a use, and no limit of 0."""
    known = snapshot(watched(limit_bytes=None))
    assert series(known, "heapwarden_container") == {f"heapwarden_container_memory_bytes{{{API}}}": 512 * MIB}


@pytest.mark.parametrize("state", [pytest.param(state, id=state.label) for state in HealthState])
def test_states_are_numbers(state: HealthState) -> None:
    """As the contract numbers them."""
    known = snapshot(watched(judged=verdict(state)))
    assert series(known, "heapwarden_health_state") == {f"heapwarden_health_state{{{API}}}": state.value}


def test_no_pid_and_no_argument_is_published() -> None:
    """Labels are bounded, and a command line may hold secrets."""
    text = scrape(snapshot(watched(pid=47_110_815)))
    assert "47110815" not in text
    assert "secret" not in text


def test_what_later_issues_bring_is_not_there_yet() -> None:
    """No family without figures behind it."""
    assert not LATER & {family.name for family in FAMILIES}


WORKER = Name("api", "0")


def test_restarts_and_exits_are_counted_by_name_and_reason() -> None:
    """Only those that occurred, and those of processes that are gone, too."""
    ledger = Ledger(
        {(WORKER, RestartReason.MAX_MEMORY, False): 3, (WORKER, RestartReason.MAX_MEMORY, True): 1},
        {(WORKER, ExitReason.MEMORY_RESTART): 3, (Name("gone", "1"), ExitReason.HEAP_OOM): 2},
    )
    found = series(snapshot(ledger=ledger))
    assert found == {
        f'heapwarden_restarts_total{{{API},reason="max_memory",dry_run="false"}}': 3,
        f'heapwarden_restarts_total{{{API},reason="max_memory",dry_run="true"}}': 1,
        f'heapwarden_exits_total{{{API},reason="memory_restart"}}': 3,
        'heapwarden_exits_total{process="gone",worker="1",reason="heap_oom"}': 2,
    }


def test_a_held_restart_shows_why() -> None:
    """One series while it is held, none otherwise."""
    held = Held(Trigger(RestartReason.MAX_MEMORY, "RSS is 300 MiB"), "budget", "3 in the last hour")
    known = snapshot(replace(watched(), held=held), watched(worker="1"))
    assert series(known, "heapwarden_restart_held") == {f'heapwarden_restart_held{{{API},code="budget"}}': 1}


def test_each_problem_of_the_setup_is_a_series_while_it_is_there() -> None:
    """None for a process that is well, so that the budget is not touched."""
    problems = (
        Problem(ProblemCode.SWAP_IN_USE, Severity.WARNING, "text", "remedy"),
        Problem(ProblemCode.REPORTER_OLD, Severity.WARNING, "text", "remedy"),
    )
    known = snapshot(replace(watched(), checkup=Checkup(problems)), watched(worker="1"))
    assert series(known, "heapwarden_config_problem") == {
        f'heapwarden_config_problem{{{API},problem="swap_in_use"}}': 1,
        f'heapwarden_config_problem{{{API},problem="reporter_old"}}': 1,
    }


def test_a_ledger_of_many_comes_in_pieces() -> None:
    """Thousands of names never hold up the loop."""
    ledger = Ledger({}, {(Name(f"job-{n}", "0"), ExitReason.CLEAN): 1 for n in range(5_000)})
    pieces = list(page(registry_of(snapshot(ledger=ledger)), "").pieces)
    assert max(piece.count(b"\n") for piece in pieces) <= PIECE_LINES
    assert sum(piece.count(b"heapwarden_exits_total{") for piece in pieces) == 5_000


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param((), 42, id="no collection yet"),
        pytest.param(ALL_KINDS[:1], 52, id="one kind"),
        pytest.param(ALL_KINDS[:2], 62, id="two kinds"),
        pytest.param(ALL_KINDS[:3], 71, id="three kinds, as Node 24 showed under load"),
        pytest.param(ALL_KINDS, 80, id="all four kinds"),
    ],
)
def test_series_stay_within_the_budget(kinds: tuple[GcKind, ...], expected: int) -> None:
    """One isolate, all sources, a limit, six heap spaces in use: what each kind of collection adds, and the whole."""
    count = len(series(snapshot(watched(figures=heap(isolate(kinds=kinds))))))
    assert count == expected
    assert count <= reference.SERIES_BUDGET


def test_the_reference_counts_series_rightly() -> None:
    """The numbers that the reference page gives are those of a scrape."""
    spaces = len(NODE_24_SPACES_IN_USE)
    for kinds in (2, 3, 4):
        figures = heap(isolate(kinds=ALL_KINDS[:kinds]))
        assert reference._series(spaces, kinds) == len(series(snapshot(watched(figures=figures))))
