"""The pods that the API has told of: as much of each as is made use of, and of no more than there is room for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from heapwarden.domain.exit import Termination

T = TypeVar("T")

MOST_PODS = 1_000
"""A node has some hundred at most."""
MOST_GONE = 200
"""Pods that are gone are remembered for the ends of their processes, and for those that take long to end."""
MOST_CONTAINERS = 64
"""Remembered of one pod, those that have ended included."""


@dataclass(frozen=True, slots=True)
class KnownPod:
    """One pod."""

    uid: str
    namespace: str
    name: str
    version: str = field(default="", compare=False)
    """The API's ``resourceVersion``."""
    static_uid: str = ""
    """How cgroups have it where the kubelet and not the API made it; empty of all others."""
    sole: str = ""
    """The name of its only container; empty where there are more."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of containers by their ids."""
    ends: Mapping[str, Termination] = field(default_factory=dict)
    """How containers ended, by their ids."""


class PodTable:
    """Pods by uid. Lives on the event loop."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self.current = False
        """Whether news come in now. What was known before stays known."""
        self.version = 0
        """Grows with each change."""
        self._pods: dict[str, KnownPod] = {}
        self._gone: dict[str, KnownPod] = {}

    def __len__(self) -> int:
        """How many are there now."""
        return len(self._pods)

    def replace(self, pods: Iterable[KnownPod]) -> None:
        """These are all that there are; others are gone."""
        before = dict(self._pods)
        for pod in pods:
            before.pop(pod.uid, None)
            self.put(pod)
        for uid in before:
            self.drop(uid)

    def put(self, pod: KnownPod) -> None:
        """This one is there, as it is now. Beyond :data:`MOST_PODS` the one that came first is forgotten."""
        known = self.find(pod.uid)
        if known is not None:
            names, ends = _newest({**known.names, **pod.names}), _newest({**known.ends, **pod.ends})
            pod = replace(pod, names=names, ends=ends)
        if self._pods.get(pod.uid) == pod:  # most news of pods say nothing that is kept
            return
        self._gone.pop(pod.uid, None)
        self._pods[pod.uid] = pod
        if len(self._pods) > MOST_PODS:
            del self._pods[next(iter(self._pods))]
        self.version += 1

    def drop(self, uid: str) -> None:
        """It is gone."""
        pod = self._pods.pop(uid, None)
        if pod is not None:
            self._gone[uid] = pod
            if len(self._gone) > MOST_GONE:
                del self._gone[next(iter(self._gone))]
            self.version += 1

    def find(self, uid: str) -> KnownPod | None:
        """The pod with this uid, there or gone; a static one by either uid."""
        pod = self._pods.get(uid) or self._gone.get(uid)
        if pod is None and uid and "-" not in uid:
            everyone = (*self._pods.values(), *self._gone.values())
            pod = next((one for one in everyone if one.static_uid == uid), None)
        return pod

    def there(self, pod: KnownPod) -> bool:
        """Whether it is not gone, as far as is known."""
        return pod.uid in self._pods


def _newest(table: dict[str, T]) -> dict[str, T]:
    return dict(list(table.items())[-MOST_CONTAINERS:])
