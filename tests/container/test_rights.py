"""What the kernel lets an agent see and do across containers, by user, group and capability; and what doctor says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.podman import Podman
from fakes.pods import Parts, RunningPod, play

OPEN = {"stat", "status", "cmdline", "cgroup", "mountinfo"}
"""Files of any process, for anybody."""
TRACED = {"environ", "root", "exe", "fd/0", "smaps_rollup"}
"""Those for which the same user and group are needed, or CAP_SYS_PTRACE (proc(5), ptrace(2)).

``environ`` may be opened by its owner alone: a stranger needs CAP_DAC_READ_SEARCH, too.
"""
SIGNAL = {"signal"}
"""The same user, or CAP_KILL (kill(2))."""
LOOK = """
import json, os, sys
pid, found = sys.argv[1], []
for name in json.loads(sys.argv[2]):
    path = f"/proc/{pid}/{name}"
    try:
        if name in ("exe", "fd/0"): os.readlink(path)
        elif name == "root": os.listdir(path)
        else: open(path, "rb").read()
        found.append(name)
    except PermissionError:
        pass
try:
    os.kill(int(pid), 0)
    found.append("signal")
except PermissionError:
    pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Rights:
    """Who the agent is, beside an app of 10001:10001, and what follows."""

    user: int
    group: int
    capabilities: tuple[str, ...]
    sees: set[str]
    problems: tuple[str, ...]
    """Codes of doctor's findings."""
    heard: bool = True
    """Whether the app's reporter may connect to the agent's socket."""


CASES = {
    "the same user and group": Rights(10001, 10001, (), OPEN | TRACED | SIGNAL, ()),
    "another group": Rights(10001, 20002, (), OPEN | SIGNAL, ("environ_unreadable", "container_unreadable")),
    "another user": Rights(20002, 10001, (), OPEN, ("environ_unreadable", "container_unreadable")),
    "a stranger": Rights(
        20002,
        20002,
        (),
        OPEN,
        ("environ_unreadable", "container_unreadable", "reporter_absent", "signal_not_permitted"),
        heard=False,
    ),
    "root that may read and signal": Rights(
        0, 0, ("SYS_PTRACE", "DAC_READ_SEARCH", "KILL"), OPEN | TRACED | SIGNAL, ()
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Rights:
    """One of them."""
    return CASES[request.param]


@pytest.fixture
def pod(images: Podman, case: Rights, tmp_path: Path) -> Iterator[RunningPod]:
    """The sidecar's pod with an agent that has these rights; root lets everybody connect."""

    def change(parts: Parts) -> None:
        context = parts.container("heapwarden")["securityContext"]
        context |= {"runAsUser": case.user, "runAsGroup": case.group, "runAsNonRoot": case.user != 0}
        context["capabilities"]["add"] = list(case.capabilities)
        if case.user == 0:
            parts.settings["socket_mode"] = "0666"
        parts.settings["defaults"] = {"health": {"start_grace": "1s"}}

    with play(images, "sidecar", tmp_path, change) as running:
        yield running


def test_rights(pod: RunningPod, case: Rights) -> None:
    """What can be read, whether it may be signalled, and that doctor says so, and which line would mend it."""
    (pid,) = wait_for(lambda: [one["pid"] for one in pod.agent.processes()])
    names = json.dumps(sorted(OPEN | TRACED))
    looked = pod.exec("heapwarden", "/opt/heapwarden/bin/python", "-c", LOOK, str(pid), names)
    assert set(json.loads(looked.stdout)) == case.sees
    if case.heard:
        pod.await_figures()
    wait_for(lambda: set(pod.problems()) == set(case.problems), 60)
    if case.problems:
        said = pod.exec("heapwarden", "heapwarden", "doctor").stdout
        assert "`runAsUser: 10001` and `runAsGroup: 10001`" in said
