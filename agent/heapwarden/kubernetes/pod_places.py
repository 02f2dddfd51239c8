"""Where processes run: what the kernel says of each, with the names that the API has for it."""

from collections.abc import Callable

from heapwarden.domain.exit import Termination
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.place import Place
from heapwarden.domain.pod_path import PodPath
from heapwarden.kubernetes.pod_table import PodTable
from heapwarden.ports import Pod

SHORT_ID = 12
"""Digits of a container's id where its name is not known, as people know it from ``docker ps`` and ``crictl ps``."""
MOST_CACHED = 5_000


class PodPlaces:
    """Places, Pods and Terminations of one agent. Lives on the event loop."""

    def __init__(
        self, path_of: Callable[[ProcessId], PodPath | None], table: PodTable, *, own_uid: str, shown: bool
    ) -> None:
        """``own_uid`` of the agent's own pod. ``shown``: places become labels, those of processes in no pod too."""
        self._path_of, self._table = path_of, table
        self._own_uid, self._shown = own_uid, shown
        self._nowhere = Place(shown=True) if shown else None
        self._cache: dict[PodPath, Place] = {}
        self._cached_at = table.version

    def place_of(self, process: ProcessId) -> Place | None:
        """Where it runs, as far as is known now. Takes a microsecond."""
        path = self._path_of(process)
        if path is None:
            return self._nowhere
        if self._cached_at != self._table.version or len(self._cache) > MOST_CACHED:
            self._cache, self._cached_at = {}, self._table.version
        place = self._cache.get(path)
        if place is None:
            place = self._cache[path] = self._named(path)
        return place

    def pod_of(self, process: ProcessId) -> Pod | None:
        """Its pod; None where the API has not told of that, or has said that it is gone."""
        place = self.place_of(process)
        known = self._table.find(place.uid) if place is not None else None
        if place is None or known is None or not self._table.there(known):
            return None
        return Pod(known.namespace, known.name, known.uid, place.container)

    def expected(self, place: Place | None) -> bool:
        """Whether the API would tell of this container's end."""
        return place is not None and place.container_id != "" and self._table.current

    def of(self, place: Place | None) -> Termination | None:
        """How this container ended, by the kubelet's word."""
        known = self._table.find(place.uid) if place is not None else None
        return None if place is None or known is None else known.ends.get(place.container_id)

    def _named(self, path: PodPath) -> Place:
        # What the agent sees beside itself, without the name of any pod, is in its own.
        uid, id_ = path.uid or (self._own_uid if path.container_id else ""), path.container_id
        known = self._table.find(uid)
        if known is None:
            short = id_[:SHORT_ID] if uid else ""
            return Place("", uid, short, uid, id_, shown=self._shown)
        # Empty until the kubelet has told, seconds after the start: ids for labels would be new ones each time.
        container = known.names.get(id_) or known.sole
        return Place(known.namespace, known.name, container, uid, id_, shown=self._shown)
