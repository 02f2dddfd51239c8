"""Tells each app the level of its pressure: when it changes, and as long as its reporter can't be reached."""

from heapwarden.domain.findings import PressureLevel
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.policy.pressure import PressureMemory, track
from heapwarden.ports import Reporters


class PressureLevels:
    """The level of each watched process. Whoever ended is forgotten with the next snapshot.

    The first level that is known is told too, ``normal`` above all: the app may have heard another one from the agent
    that was here before.
    """

    def __init__(self, reporters: Reporters) -> None:
        """Nothing is known yet."""
        self._reporters = reporters
        self._memories: dict[ProcessId, PressureMemory] = {}
        self._told: dict[ProcessId, PressureLevel] = {}
        self._seen: dict[ProcessId, Watched] = {}

    def level(self, process: ProcessId) -> PressureLevel | None:
        """As told to the app, or as it would be told if it had a reporter; None while no ratio was ever known."""
        memory = self._memories.get(process)
        return None if memory is None else memory.level

    def published(self, snapshot: Snapshot) -> None:
        """A new snapshot; what has not been judged anew since the last one costs a look-up."""
        for watched in snapshot.processes:
            id_ = watched.process.id
            if self._seen.get(id_) is not watched:
                self._seen[id_] = watched
                self._look(id_, watched)
        if len(self._seen) > len(snapshot.processes):
            self._forget({watched.process.id for watched in snapshot.processes})

    def _look(self, id_: ProcessId, watched: Watched) -> None:
        pressure = watched.findings.pressure
        ratio, nearer = pressure.ratio, pressure.nearer
        memory = track(self._memories.get(id_), ratio, watched.sample.at)
        if memory is None:
            return
        self._memories[id_] = memory
        if memory.level is self._told.get(id_) or ratio is None or nearer is None:
            return
        if self._reporters.pressure(id_, memory.level, ratio, nearer):
            self._told[id_] = memory.level

    def _forget(self, present: set[ProcessId]) -> None:
        for id_ in self._seen.keys() - present:
            del self._seen[id_]
            self._memories.pop(id_, None)
            self._told.pop(id_, None)
