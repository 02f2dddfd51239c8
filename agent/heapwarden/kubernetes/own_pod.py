"""The agent's own pod: all that it watches as a sidecar runs there."""

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from heapwarden.domain import pod_path
from heapwarden.domain.identity import ProcessId
from heapwarden.kubernetes.service_account import ServiceAccount
from heapwarden.ports import Pod

NAMESPACE, NAME, UID = (f"HEAPWARDEN_POD_{what}" for what in ("NAMESPACE", "NAME", "UID"))
"""Variables that the pod's manifest fills by the Downward API."""

MAX_CGROUP_BYTES = 65_536
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
"""A DNS subdomain, as RFC 1123 has them; a namespace's is a label."""
_POD = re.compile(f"pod({pod_path.UID})".encode())
"""Anywhere in the text, so that a pod within another is in doubt, and in neither."""


class OwnPod:
    """Pods, of which there is one. ``pod`` is None where the variables are not all there."""

    def __init__(self, environment: Mapping[str, str], proc: Path = Path("/proc")) -> None:
        """Read the variables; the namespace's may be left to the service account's file."""
        self.namespace = _fit(environment.get(NAMESPACE) or ServiceAccount.of(environment).namespace())
        """Empty where it is not known."""
        name, uid = _fit(environment.get(NAME, "")), environment.get(UID, "")
        self.where = name or socket.gethostname()
        """What this agent is called among others, the same after its own restart."""
        self.pod = Pod(self.namespace, name, uid) if self.namespace and name and uid else None
        self._proc = proc

    def pod_of(self, process: ProcessId) -> Pod | None:
        """The own one, unless the kernel says that the process is in another."""
        if self.pod is None or not process.visible:
            return self.pod
        cgroups = self._cgroups(str(process.pid))
        if cgroups is None:
            return None
        pods = _pods(cgroups)
        if pods:
            return self.pod if pods == {_plain(self.pod.uid.encode())} else None
        # Within a cgroup namespace of its own the agent sees no name of its own pod; else a host's process has none.
        return None if _leads_out(cgroups) or _pods(self._cgroups("self") or b"") else self.pod

    def _cgroups(self, pid: str) -> bytes | None:
        try:
            with (self._proc / pid / "cgroup").open("rb") as file:
                return file.read(MAX_CGROUP_BYTES)
        except OSError:
            return None


def _fit(name: str) -> str:
    """Empty where Kubernetes knows no such names: they become parts of addresses."""
    return name if _NAME.fullmatch(name) else ""


def _pods(cgroups: bytes) -> set[bytes]:
    return {_plain(uid) for uid in _POD.findall(cgroups)}


def _leads_out(cgroups: bytes) -> bool:
    return any(line.split(b":", 2)[-1].startswith(pod_path.OUTSIDE.encode()) for line in cgroups.split(b"\n"))


def _plain(uid: bytes) -> bytes:
    return uid.replace(b"-", b"").replace(b"_", b"")
