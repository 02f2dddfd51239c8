"""Whether V8's own figures come, and from a reporter that is up to date."""

import re
from collections.abc import Iterator

from heapwarden.analysis.flags import preloads_reporter
from heapwarden.domain.checkup import Launch, Problem, ProblemCode, Severity
from heapwarden.policy.facts import Facts

START_SECONDS = 10.0
"""So long a process may take from its start to its reporter's first word to an agent."""
SILENT_SECONDS, SILENT_INTERVALS = 30.0, 3
"""So long without figures is silence: both."""
ADVICE = (
    'start it with NODE_OPTIONS="--require /path/heapwarden.cjs" and HEAPWARDEN_SOCKET=/path/agent.sock '
    "(`heapwarden reporter install DIR` puts the file in place)"
)


def found(facts: Facts) -> Iterator[Problem]:
    """At most one of these problems."""
    heap, launch = facts.case.sample.heap, facts.case.launch
    if heap is not None and facts.standing.agent_version is not None:
        yield from _heard(facts, facts.standing.agent_version)
    elif heap is None and launch is not None and _late(facts):
        yield from _unheard(facts, launch)


def _heard(facts: Facts, agent_version: str) -> Iterator[Problem]:
    heap, age = facts.case.sample.heap, facts.case.sample.heap_age_seconds(facts.standing.now)
    if heap is None:
        return
    silence = max(SILENT_SECONDS, SILENT_INTERVALS * facts.standing.sample_interval_seconds)
    if not heap.connected or (age is not None and age > silence):
        why = "its event loop does not turn" if heap.connected else "its connection is gone"
        since = "" if age is None else f", the last figures are {age:.0f} s old"
        yield _silent(f"the reporter has fallen silent: {why}{since}", "look for a blocked event loop; else restart it")
    elif _older(heap.reporter_version, agent_version):
        yield Problem(
            ProblemCode.REPORTER_OLD,
            Severity.WARNING,
            f"its reporter is of version {heap.reporter_version or 'unknown'}, the agent of {agent_version}",
            "install the agent's own with `heapwarden reporter install DIR`, then restart the process",
        )


def _late(facts: Facts) -> bool:
    """Without an agent there is no first word to wait for."""
    return facts.standing.agent_version is None or facts.age_seconds >= START_SECONDS


def _unheard(facts: Facts, launch: Launch) -> Iterator[Problem]:
    argv, options = facts.case.process.argv, launch.node_options
    preloaded = preloads_reporter(argv, options or "")
    if not preloaded:
        unsure = " as far as can be seen" if options is None else ""
        text = f"it was started without the reporter{unsure}: V8's own figures and heap limit are not known"
        yield Problem(ProblemCode.REPORTER_ABSENT, Severity.WARNING, text, ADVICE)
    elif options is not None and not launch.socket:
        yield _silent("the reporter is loaded, but HEAPWARDEN_SOCKET is not set: it talks to nobody", ADVICE)
    elif launch.socket_trouble is not None or facts.standing.agent_version is not None:
        trouble = launch.socket_trouble or "is not this agent's, or may not be written"
        yield _silent(
            f"the reporter is loaded and can't be heard: its socket {launch.socket or ''} {trouble}",
            "give both the same path (`socket` in the settings, HEAPWARDEN_SOCKET in the app), mount its folder into "
            "both containers, and let the app's user write to it (`socket_mode`, or the same group)",
        )


def _silent(text: str, remedy: str) -> Problem:
    return Problem(ProblemCode.REPORTER_SILENT, Severity.WARNING, text, remedy)


def _older(version: str | None, than: str) -> bool:
    """Whether a version comes before another; one that was never told does."""
    return version is None or _parts(version) < _parts(than)


def _parts(version: str) -> tuple[int, ...]:
    """The leading numbers: 1.10.0rc1 is 1, 10, 0."""
    return tuple(int(one) for one in re.findall(r"\d+", version.partition("+")[0])[:3])
