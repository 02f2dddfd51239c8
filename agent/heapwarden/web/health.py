"""What a load balancer is told: one answer from the verdicts of the last snapshot."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from heapwarden.domain.health import HealthState
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Restart
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.web.options import WebOptions
from heapwarden.web.views import Json, brief, memory_usage

MOST_LISTED = 20
"""Of more processes than these a health answer lists only those that are not healthy, the worst first.

Twenty take a third of a millisecond; ``/processes`` has all.
"""
MOST_NAMES = 100
STUCK_TICKS = 5
STUCK_SECONDS = 10.0

_WORSE = (
    *(HealthState.HEALTHY, HealthState.STARTING, HealthState.UNKNOWN, HealthState.DEGRADED),
    *(HealthState.UNHEALTHY, HealthState.DRAINING, HealthState.RESTARTING),
)
_ON_PURPOSE = (HealthState.DRAINING, HealthState.RESTARTING)
_RANK = {state: rank for rank, state in enumerate(_WORSE)}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer before it is bytes."""

    status_code: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


def of_all(snapshot: Snapshot, options: WebOptions, now: float) -> Answer:
    """The health of every watched process together."""
    gone = _gone([one for one in snapshot.restarts if one.name.process not in snapshot.by_name], options)
    if gone is not None:
        return gone
    if snapshot.processes:
        return _of(snapshot.processes, snapshot, options, now)
    return _none_yet(snapshot, options, now, "no Node process found yet")


def of_one(name: str, snapshot: Snapshot, options: WebOptions, now: float) -> Answer:
    """The health of the processes that are called ``name``; 404 where neither the settings nor the machine know it.

    While the agent is within its start grace any name may still appear.
    """
    found = snapshot.by_name.get(name)
    if found:
        return _of(found, snapshot, options, now)
    gone = _gone([one for one in snapshot.restarts if one.name.process == name], options)
    if gone is not None:
        return gone
    if name in options.known_names or within_grace(snapshot, options, now):
        return _none_yet(snapshot, options, now, f"no process called {name!r} found yet")
    return unknown_name(name, snapshot, options)


def unknown_name(name: str, snapshot: Snapshot, options: WebOptions) -> Answer:
    """404, with the names that there are."""
    names = sorted({*snapshot.by_name, *options.known_names})
    return Answer(404, {"detail": f"no process is called {name!r}", "known": names[:MOST_NAMES]})


def of_agent(snapshot: Snapshot, options: WebOptions, now: float) -> Answer:
    """Whether the agent itself ticks."""
    longest = max(STUCK_TICKS * options.sample_interval_seconds, STUCK_SECONDS)
    last = snapshot.last_tick_at
    age = now - (snapshot.agent_started_at if last is None else last)
    body: Json = {"status": "alive", "lastTickAge": None if last is None else round(age, 3)}
    if age <= longest:
        return Answer(200, body)
    what = "no tick has ended" if last is None else f"the last tick ended {age:.0f} s ago"
    return Answer(503, body | {"status": "stuck", "reasons": [f"{what}; at most {longest:g} s are right"]})


def _of(processes: Sequence[Watched], snapshot: Snapshot, options: WebOptions, now: float) -> Answer:
    covered = _covered(processes)
    worst = max((one for one in processes if one.process.id not in covered), key=badness).verdict
    listed = _listed(processes)
    several = len(processes) > 1
    body = {
        "status": worst.state.label,
        "memoryUsage": memory_usage(processes),
        "reasons": [
            f"{one.name.process}/{one.name.worker}: {reason.text}" if several else reason.text
            for one in listed
            for reason in one.verdict.reasons
        ],
        "processCount": len(processes),
        "processes": [brief(one, snapshot, now) for one in listed],
    }
    if not worst.serving:
        return Answer(503, body, _retry_after(options))
    degraded = worst.state is HealthState.DEGRADED
    return Answer(200, body, {"x-envoy-degraded": "true"} if degraded else {})


def _covered(processes: Sequence[Watched]) -> Collection[ProcessId]:
    """Cluster workers whose restart costs the balancer nothing: siblings on the same port go on serving.

    To take all of them out for one would cost more than the restart.
    """
    out = [one for one in processes if one.verdict.state in _ON_PURPOSE and _port_of(one) is not None]
    served = {_port_of(one) for one in processes if one.verdict.serving} if out else set()
    return {one.process.id for one in out if _port_of(one) in served}


def _port_of(watched: Watched) -> tuple[str, int] | None:
    """What cluster workers that share their port have in common: name and parent, which may be PM2; None of others."""
    heap, above = watched.sample.heap, watched.process.ancestors
    return (watched.name.process, above[0].pid) if heap is not None and heap.cluster_worker and above else None


def badness(watched: Watched) -> int:
    """Whoever must not be sent to is worse than all others, so that status and code never contradict each other."""
    verdict = watched.verdict
    return _RANK[verdict.state] + (0 if verdict.serving else len(_RANK))


def _listed(processes: Sequence[Watched]) -> Sequence[Watched]:
    if len(processes) <= MOST_LISTED:
        return processes
    ill = [one for one in processes if one.verdict.state is not HealthState.HEALTHY]
    return sorted(ill, key=badness, reverse=True)[:MOST_LISTED]


def _none_yet(snapshot: Snapshot, options: WebOptions, now: float, reason: str) -> Answer:
    body = _nobody(HealthState.STARTING, [reason])
    if within_grace(snapshot, options, now):
        return Answer(200, body)
    return Answer(503, body, _retry_after(options))


def _gone(restarts: Sequence[Restart], options: WebOptions) -> Answer | None:
    """Of processes that have ended for a restart, while nobody of their name is there; None where there are none."""
    if not restarts:
        return None
    reasons = [
        f"{one.name.process}/{one.name.worker} is restarted ({one.trigger.text}); its successor is awaited"
        for one in restarts[:MOST_LISTED]
    ]
    return Answer(503, _nobody(HealthState.RESTARTING, reasons), _retry_after(options))


def _nobody(state: HealthState, reasons: list[str]) -> Json:
    return {
        "status": state.label,
        "memoryUsage": memory_usage(()),
        "reasons": reasons,
        "processCount": 0,
        "processes": [],
    }


def within_grace(snapshot: Snapshot, options: WebOptions, now: float) -> bool:
    """Whether any name may still appear."""
    return now - snapshot.agent_started_at < options.start_grace_seconds


def _retry_after(options: WebOptions) -> dict[str, str]:
    return {"retry-after": str(max(1, math.ceil(options.retry_after_seconds)))}
