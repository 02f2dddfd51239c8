"""What of a process may not be seen or done, and which line gives it.

Whoever reads ``/proc/PID/environ``, ``root`` or ``exe`` of another process must have its UID and its GID, or
CAP_SYS_PTRACE (ptrace(2)); for ``environ``, whose mode is 0400, CAP_DAC_READ_SEARCH, too (proc(5)). Whoever signals it
must have its UID, or CAP_KILL (kill(2)). Kubernetes and Docker give capabilities to root alone: they make none ambient.
"""

from collections.abc import Iterator

from heapwarden.domain.checkup import Launch, Problem, ProblemCode, Severity
from heapwarden.policy.facts import Facts


def found(facts: Facts) -> Iterator[Problem]:
    """All of these problems that one process has."""
    case = facts.case
    if not case.process.id.visible:
        yield _hidden()
        return
    launch = case.launch
    if launch is None:
        return
    if launch.node_options is None:
        yield Problem(
            ProblemCode.ENVIRON_UNREADABLE,
            Severity.WARNING,
            "its environment can't be read: what NODE_OPTIONS says of the heap and the reporter is not known",
            _who(launch, "SYS_PTRACE", "DAC_READ_SEARCH"),
        )
    if launch.cgroup_hidden and case.sample.container is None:
        yield Problem(
            ProblemCode.CONTAINER_UNREADABLE,
            Severity.ERROR,
            "its cgroup can't be seen: neither own mounts nor its file system (/proc/PID/root) lead there, so the "
            "container's memory and limit are not known",
            f"{_who(launch, 'SYS_PTRACE')}; or mount the host's /sys/fs/cgroup read-only",
        )
    heap = case.sample.heap
    if not launch.may_signal and not (heap is not None and heap.connected):
        yield Problem(
            ProblemCode.SIGNAL_NOT_PERMITTED,
            Severity.WARNING,
            "it may not be sent a signal, and has no reporter that could send it: `method: signal` can't restart it",
            _who(launch, "KILL"),
        )


def _hidden() -> Problem:
    return Problem(
        ProblemCode.PROCESS_HIDDEN,
        Severity.ERROR,
        "it lives in a PID namespace that can't be seen into: no kernel figures, no container limit, no restart by "
        "signal",
        "Kubernetes sidecar: `shareProcessNamespace: true` in the Pod's spec; per node: `hostPID: true`; docker run: "
        "--pid=container:NAME, or --pid=host",
    )


def _who(launch: Launch, *capabilities: str) -> str:
    """The line in a manifest, a unit, or a command."""
    user, group = launch.uid, launch.gid
    kernels = " ".join(f"CAP_{name}" for name in capabilities)
    if user is None or group is None:
        return f"run as the same user and group, or with {kernels}"
    options = " ".join(f"--cap-add {name}" for name in capabilities)
    return (
        f"Kubernetes: `runAsUser: {user}` and `runAsGroup: {group}` in Heapwarden's securityContext, or `runAsUser: 0` "
        f"and `capabilities: {{add: [{', '.join(capabilities)}]}}`; systemd: `User=` and `Group=` of uid {user} and "
        f"gid {group}, or `AmbientCapabilities={kernels}`; docker run: --user {user}:{group}, or --user 0 {options}"
    )
