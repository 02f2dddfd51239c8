"""Who is called what: the two labels of each watched process, for as long as it lives."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from heapwarden.domain.identity import Name, Process, ProcessId

MAX_PROCESSES = 5_000
"""So many are watched at most: each costs memory here and up to 80 series in Prometheus."""


@dataclass(slots=True)
class _Slots:
    """Slots of one name. Those below ``unused`` are taken, except for the freed ones."""

    freed: list[int] = field(default_factory=list)
    unused: int = 0

    def take(self) -> int:
        """The smallest free slot."""
        if self.freed:
            return heapq.heappop(self.freed)
        self.unused += 1
        return self.unused - 1

    def free(self, slot: int) -> None:
        """Someone else may have this slot."""
        heapq.heappush(self.freed, slot)

    @property
    def empty(self) -> bool:
        """Whether nobody holds a slot."""
        return len(self.freed) == self.unused


class Roster:
    """Gives each watched process its :class:`Name`; no two have the same at one time.

    A slot is free again once its process is dismissed. Names that a configuration gives and names of scripts are alike:
    where they meet, they share the slots.
    """

    def __init__(self, capacity: int = MAX_PROCESSES) -> None:
        """Nobody is watched yet; at most ``capacity`` will be."""
        self._capacity = capacity
        self._names: dict[ProcessId, Name] = {}
        self._slots: dict[str, _Slots] = {}

    def __len__(self) -> int:
        """How many are watched."""
        return len(self._names)

    def __contains__(self, process: object) -> bool:
        """Whether this :class:`ProcessId` is watched."""
        return process in self._names

    def name_of(self, process: ProcessId) -> Name | None:
        """What it is called; None when it is not watched."""
        return self._names.get(process)

    def admit(self, process: Process, name: str) -> Name | None:
        """Watch ``process`` as ``name``; None when the roster is full.

        One that is watched already keeps the name that it has.
        """
        held = self._names.get(process.id)
        if held is not None:
            return held
        if len(self._names) >= self._capacity:
            return None
        return self._assign(process.id, name)

    def admit_all(self, found: Iterable[tuple[Process, str]]) -> dict[ProcessId, Name]:
        """Watch several at once, oldest first: slots don't depend on the order in which they were found.

        Those for which there was no room are left out of the answer.
        """
        names: dict[ProcessId, Name] = {}
        for process, wanted in sorted(found, key=lambda entry: _age_order(entry[0].id)):
            name = self.admit(process, wanted)
            if name is not None:
                names[process.id] = name
        return names

    def dismiss(self, process: ProcessId) -> None:
        """Forget it, and free its slot. One that is not watched is no error."""
        name = self._names.pop(process, None)
        if name is not None:
            self._release(name)

    def rename_all(self, wanted: Mapping[ProcessId, str]) -> dict[ProcessId, Name]:
        """After a reload: move each watched process whose name is now another, oldest first.

        Who keeps his name keeps his slot; who isn't mentioned stays as he is. Answers with those that moved.
        """
        moving = [process for process, name in self._names.items() if wanted.get(process, name.process) != name.process]
        for process in moving:  # all leave before the first arrives, so that two names can change places
            self._release(self._names.pop(process))
        return {process: self._assign(process, wanted[process]) for process in sorted(moving, key=_age_order)}

    def _assign(self, process: ProcessId, name: str) -> Name:
        slot = self._slots.setdefault(name, _Slots()).take()
        assigned = Name(process=name, worker=str(slot))
        self._names[process] = assigned
        return assigned

    def _release(self, name: Name) -> None:
        slots = self._slots[name.process]
        slots.free(int(name.worker))
        if slots.empty:  # a name that nobody bears any more costs nothing
            del self._slots[name.process]


def _age_order(process: ProcessId) -> tuple[int, int, str]:
    return (process.start, process.pid, process.namespace)
