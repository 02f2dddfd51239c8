"""What a load balancer is told."""

from dataclasses import replace

import pytest
from hypothesis import given

from fakes.restarts import restart
from fakes.snapshots import MIB, NOW, fleet, heap, isolate, snapshot, verdict, watched
from fakes.strategies import snapshots
from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import Ancestor, Name
from heapwarden.domain.restart import Stage
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.web import health
from heapwarden.web.options import WebOptions
from heapwarden.web.responses import dumps

OPTIONS = WebOptions(retry_after_seconds=2.5, start_grace_seconds=10, known_names=frozenset({"api", "web"}))
EMPTY = snapshot(last_tick_at=None)
"""Of an agent that began 90 s before NOW."""
BEGAN = NOW - 90


@pytest.mark.parametrize(
    ("state", "code"),
    [
        pytest.param(HealthState.HEALTHY, 200, id="healthy"),
        pytest.param(HealthState.DEGRADED, 200, id="degraded"),
        pytest.param(HealthState.STARTING, 200, id="starting"),
        pytest.param(HealthState.UNKNOWN, 200, id="unknown"),
        pytest.param(HealthState.UNHEALTHY, 503, id="unhealthy"),
        pytest.param(HealthState.DRAINING, 503, id="draining"),
        pytest.param(HealthState.RESTARTING, 503, id="restarting"),
    ],
)
def test_one_state_is_one_code(state: HealthState, code: int) -> None:
    """Only a process that must not be sent to gives 503, with Retry-After; only degraded tells Envoy."""
    answer = health.of_all(snapshot(watched(judged=verdict(state))), OPTIONS, NOW)
    assert (answer.status_code, answer.body["status"]) == (code, state.label)
    assert answer.headers.get("retry-after") == ("3" if code == 503 else None)
    assert answer.headers.get("x-envoy-degraded") == ("true" if state is HealthState.DEGRADED else None)


def test_unknown_follows_the_verdict() -> None:
    """With `on_unknown: unhealthy` the verdict does not serve, and the balancer hears it."""
    judged = verdict(HealthState.UNKNOWN, serving=False)
    answer = health.of_all(snapshot(watched(judged=judged)), OPTIONS, NOW)
    assert (answer.status_code, answer.body["status"]) == (503, "unknown")


def test_one_that_does_not_serve_speaks_for_all() -> None:
    """Status and code are those of the worst, and its reason says which process it is."""
    known = snapshot(
        watched("api", "0"),
        watched("api", "1", judged=verdict(HealthState.UNHEALTHY, text="heap use is 95 %")),
        watched("web", "0", judged=verdict(HealthState.DEGRADED, text="heap use is 82 %")),
    )
    answer = health.of_all(known, OPTIONS, NOW)
    assert (answer.status_code, answer.body["status"]) == (503, "unhealthy")
    assert answer.body["reasons"] == ["api/1: heap use is 95 %", "web/0: heap use is 82 %"]
    assert "x-envoy-degraded" not in answer.headers


def test_a_serving_state_never_hides_one_that_does_not_serve() -> None:
    """Degraded is worse than unknown, but not than an unknown that must not be sent to."""
    known = snapshot(
        watched("api", judged=verdict(HealthState.DEGRADED)),
        watched("web", judged=verdict(HealthState.UNKNOWN, serving=False)),
    )
    answer = health.of_all(known, OPTIONS, NOW)
    assert (answer.status_code, answer.body["status"]) == (503, "unknown")


@given(known=snapshots)
def test_code_status_and_body_agree(known: Snapshot) -> None:
    """200 exactly when every process serves; the status is that of a process; the body is JSON."""
    answer = health.of_all(known, OPTIONS, BEGAN)
    serving = all(one.verdict.serving for one in known.processes)
    assert answer.status_code == (200 if serving else 503)
    states = {one.verdict.state.label for one in known.processes if one.verdict.serving == serving}
    assert answer.body["status"] in (states or {"starting"})
    assert dumps(answer.body)


@given(known=snapshots)
def test_memory_is_the_sum_of_what_is_known(known: Snapshot) -> None:
    """The whole is the sum of the processes' own, and null only when no process knows."""
    body = health.of_all(known, OPTIONS, NOW).body
    for figure, total in body["memoryUsage"].items():
        own = [one["memoryUsage"][figure] for one in body["processes"]]
        found = [value for value in own if value is not None]
        assert total == (sum(found) if found else None)


def test_the_body_is_the_one_that_people_know() -> None:
    """One healthy process: shape, figures and ages."""
    body = health.of_all(snapshot(watched()), OPTIONS, NOW + 2).body
    assert body == {
        "status": "healthy",
        "memoryUsage": {
            "rss": 120 * MIB,
            "heapTotal": 80 * MIB,
            "heapUsed": 60 * MIB,
            "external": 5 * MIB,
            "arrayBuffers": 3 * MIB,
        },
        "reasons": [],
        "processCount": 1,
        "processes": [
            {
                "process": "api",
                "worker": "0",
                "pid": 4711,
                "status": "healthy",
                "serving": True,
                "stateAge": 42.0,
                "sampleAge": 2.5,
                "reasons": [],
                "restart": None,
                "held": None,
                "pressure": {
                    "ratio": 0.25,
                    "nearer": "container",
                    "level": "normal",
                    "heap": 0.0586,
                    "container": 0.25,
                },
                "memoryUsage": body["memoryUsage"],
                "heapLimit": 1216 * MIB,
                "heapEffectiveLimit": 1024 * MIB,
                "containerMemory": 512 * MIB,
                "containerLimit": 2048 * MIB,
            }
        ],
    }


def test_worker_threads_heaps_are_not_added() -> None:
    """`memoryUsage` means what process.memoryUsage() says in the main thread."""
    known = snapshot(watched(figures=heap(isolate(used_mib=60), isolate(1, used_mib=500))))
    assert health.of_all(known, OPTIONS, NOW).body["memoryUsage"]["heapUsed"] == 60 * MIB


def test_reasons_of_a_single_process_need_no_name() -> None:
    """As words for people, and with a code for machines."""
    known = snapshot(watched(judged=verdict(HealthState.DEGRADED, text="heap use is 82 %")))
    body = health.of_all(known, OPTIONS, NOW).body
    assert body["reasons"] == ["heap use is 82 %"]
    assert body["processes"][0]["reasons"] == [{"code": "heap_usage", "text": "heap use is 82 %"}]


def test_nothing_found_yet_is_starting_within_the_grace() -> None:
    """Every replica restarts at times; a balancer waits for the grace."""
    answer = health.of_all(EMPTY, OPTIONS, BEGAN + 9.9)
    assert (answer.status_code, answer.body["status"]) == (200, "starting")
    assert answer.body["reasons"] == ["no Node process found yet"]


def test_nothing_found_is_503_after_the_grace() -> None:
    """Nothing to send to."""
    answer = health.of_all(EMPTY, OPTIONS, BEGAN + 10)
    assert (answer.status_code, answer.body["status"]) == (503, "starting")
    assert answer.headers == {"retry-after": "3"}


def test_one_name_is_answered_for_alone() -> None:
    """Another process's trouble is not its own."""
    known = snapshot(watched("api"), watched("web", judged=verdict(HealthState.UNHEALTHY, text="full")))
    assert health.of_one("api", known, OPTIONS, NOW).status_code == 200
    assert health.of_one("web", known, OPTIONS, NOW).status_code == 503
    assert [one["process"] for one in health.of_one("web", known, OPTIONS, NOW).body["processes"]] == ["web"]


@pytest.mark.parametrize(
    ("name", "after_seconds", "code"),
    [
        pytest.param("web", 5, 200, id="configured, within the grace"),
        pytest.param("web", 90, 503, id="configured, later"),
        pytest.param("typo", 5, 200, id="unheard of, within the grace"),
        pytest.param("typo", 90, 404, id="unheard of, later"),
    ],
)
def test_a_name_that_does_not_run(name: str, after_seconds: float, code: int) -> None:
    """A configured name is awaited; any name may still appear while the agent has just begun."""
    answer = health.of_one(name, snapshot(watched("api")), OPTIONS, BEGAN + after_seconds)
    assert answer.status_code == code
    assert answer.body.get("status") == (None if code == 404 else "starting")


def test_an_unknown_name_is_told_the_known_ones() -> None:
    """Those that run and those of the settings, and not thousands of them."""
    answer = health.of_one("typo", snapshot(watched("cron")), OPTIONS, NOW)
    assert answer.body == {"detail": "no process is called 'typo'", "known": ["api", "cron", "web"]}
    many = snapshot(*(watched(f"service-{number}") for number in range(300)))
    assert len(health.of_one("typo", many, OPTIONS, NOW).body["known"]) == health.MOST_NAMES


def test_of_many_only_the_ill_are_listed() -> None:
    """The code and the sums speak for all of them, the list is short, the worst come first."""
    ill = (
        watched("zeta", judged=verdict(HealthState.DEGRADED, text="near")),
        watched("zeta", "1", judged=verdict(HealthState.UNHEALTHY, text="full")),
    )
    answer = health.of_all(snapshot(*fleet(100).processes, *ill), OPTIONS, NOW)
    assert answer.status_code == 503
    assert answer.body["processCount"] == 102
    assert answer.body["memoryUsage"]["rss"] == 102 * 120 * MIB
    assert [(one["process"], one["worker"]) for one in answer.body["processes"]] == [("zeta", "1"), ("zeta", "0")]


def test_a_body_never_grows_without_bound() -> None:
    """A thousand that are ill: twenty are listed."""
    ill = (watched("api", str(slot), judged=verdict(HealthState.UNHEALTHY, text="full")) for slot in range(1_000))
    body = health.of_all(snapshot(*ill), OPTIONS, NOW).body
    assert len(body["processes"]) == len(body["reasons"]) == health.MOST_LISTED


def test_up_to_the_bound_all_are_listed() -> None:
    """The healthy ones too."""
    assert len(health.of_all(fleet(health.MOST_LISTED), OPTIONS, NOW).body["processes"]) == health.MOST_LISTED


@pytest.mark.parametrize(
    ("interval", "last_tick_ago", "code"),
    [
        pytest.param(1.0, 9.9, 200, id="ticked lately"),
        pytest.param(1.0, 10.1, 503, id="stuck"),
        pytest.param(60.0, 299.0, 200, id="slow ticks"),
        pytest.param(60.0, 301.0, 503, id="slow ticks, stuck"),
    ],
)
def test_the_agent_lives_while_it_ticks(interval: float, last_tick_ago: float, code: int) -> None:
    """Five intervals, and ten seconds at least; whatever the processes' health."""
    known = snapshot(watched(judged=verdict(HealthState.UNHEALTHY)), last_tick_at=NOW - last_tick_ago)
    answer = health.of_agent(known, WebOptions(sample_interval_seconds=interval), NOW)
    assert answer.status_code == code
    assert answer.body["status"] == ("alive" if code == 200 else "stuck")


@pytest.mark.parametrize(("age", "code"), [pytest.param(9, 200, id="young"), pytest.param(11, 503, id="never ticked")])
def test_a_young_agent_lives_before_its_first_tick(age: float, code: int) -> None:
    """The same time is given to the first tick."""
    answer = health.of_agent(EMPTY, WebOptions(), BEGAN + age)
    assert answer.status_code == code
    assert answer.body["lastTickAge"] is None


def test_a_process_that_is_gone_for_a_restart_is_awaited() -> None:
    """503 with why, also under a name that no settings give, until its successor is there; others go on."""
    ended = restart("shop", stage=Stage.SUCCESSOR)
    for known in (replace(EMPTY, restarts=(ended,)), replace(snapshot(watched("web")), restarts=(ended,))):
        answer = health.of_one("shop", known, OPTIONS, NOW)
        assert (answer.status_code, answer.body["status"]) == (503, "restarting")
        assert answer.body["reasons"] == [
            "shop/0 is restarted (RSS is 210 MiB, max_memory 200 MiB); its successor is awaited"
        ]
        assert answer.headers["retry-after"] == "3"
    assert health.of_all(replace(EMPTY, restarts=(ended,)), OPTIONS, NOW).body["status"] == "restarting"
    assert health.of_one("web", known, OPTIONS, NOW).status_code == 200
    assert health.of_one("shop", snapshot(watched("web")), OPTIONS, NOW).status_code == 404


@pytest.mark.parametrize("state", [HealthState.DRAINING, HealthState.RESTARTING])
def test_a_cluster_goes_on_serving_while_one_of_its_workers_is_restarted(state: HealthState) -> None:
    """Siblings share its port: 200. The last one, an unhealthy one, or one with a port of its own: 503."""

    def worker(slot: str, parent: int, now: HealthState) -> Watched:
        one = watched(worker=slot, pid=100 + int(slot), judged=verdict(now))
        process = replace(one.process, ancestors=(Ancestor(parent, "node server.js"),))
        assert one.sample.heap is not None
        figures = replace(one.sample.heap, cluster_worker=True)
        return replace(one, process=process, sample=replace(one.sample, heap=figures))

    serving, restarted = worker("0", 50, HealthState.HEALTHY), worker("1", 50, state)
    assert health.of_all(snapshot(serving, restarted), OPTIONS, NOW).status_code == 200
    assert health.of_all(snapshot(restarted), OPTIONS, NOW).status_code == 503
    assert health.of_all(snapshot(worker("0", 51, HealthState.HEALTHY), restarted), OPTIONS, NOW).status_code == 503
    shop = replace(worker("0", 50, HealthState.HEALTHY), name=Name("shop", "0"))
    assert health.of_all(snapshot(shop, restarted), OPTIONS, NOW).status_code == 503, "two apps below one PM2"
    ill = worker("2", 50, HealthState.UNHEALTHY)
    assert health.of_all(snapshot(serving, ill), OPTIONS, NOW).status_code == 503


def test_an_app_that_is_gone_for_its_restart_counts_beside_others() -> None:
    """Nobody is there to be sent to under its name, though another process is healthy."""
    gone = replace(snapshot(watched("cron", judged=verdict())), restarts=(restart("api", stage=Stage.SUCCESSOR),))
    answer = health.of_all(gone, OPTIONS, NOW)
    assert (answer.status_code, answer.body["status"]) == (503, "restarting")
    assert health.of_one("cron", gone, OPTIONS, NOW).status_code == 200
