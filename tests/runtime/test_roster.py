"""Names and slots: stable for life, reused after it, never given twice."""

import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heapwarden.domain.identity import Name, Process, ProcessId
from heapwarden.runtime.roster import MAX_PROCESSES, Roster


def process(pid: int, start: int = 1, namespace: str = "") -> Process:
    """A process of which only the identity matters."""
    return Process(ProcessId(pid, start, namespace), ("node", "server.js"), 0.0, "server")


def test_smallest_free_slot() -> None:
    """A successor takes the slot of the one that died, so that a restart goes on with the same series."""
    roster = Roster()
    names = [roster.admit(process(pid), "api") for pid in (10, 11, 12)]
    assert names == [Name("api", "0"), Name("api", "1"), Name("api", "2")]
    roster.dismiss(process(11).id)
    roster.dismiss(process(10).id)
    assert roster.admit(process(13), "api") == Name("api", "0")
    assert roster.admit(process(14), "api") == Name("api", "1")
    assert roster.admit(process(15), "api") == Name("api", "3")


def test_name_for_life() -> None:
    """Being found again, even under another name, changes nothing: only a reload renames."""
    roster = Roster()
    roster.admit(process(10), "api")
    assert roster.admit(process(10), "other") == Name("api", "0")
    assert roster.name_of(process(10).id) == Name("api", "0")
    assert len(roster) == 1


def test_reused_pid_is_another_process() -> None:
    """The kernel gave the pid to someone else: both have names until the first is dismissed."""
    roster = Roster()
    roster.admit(process(10, start=1), "api")
    assert roster.admit(process(10, start=2), "api") == Name("api", "1")
    roster.dismiss(ProcessId(10, 1))
    assert ProcessId(10, 1) not in roster
    assert ProcessId(10, 2) in roster


def test_first_scan_is_deterministic() -> None:
    """Slots follow age, then pid, whatever order the scan found them in."""
    found = [(process(30, 5), "api"), (process(20, 7), "api"), (process(21, 7), "api"), (process(1, 6), "web")]
    expected = {
        ProcessId(30, 5): Name("api", "0"),
        ProcessId(20, 7): Name("api", "1"),
        ProcessId(21, 7): Name("api", "2"),
        ProcessId(1, 6): Name("web", "0"),
    }
    for seed in range(10):
        random.Random(seed).shuffle(found)  # noqa: S311  no secret depends on this order
        assert Roster().admit_all(found) == expected


def test_dismissing_a_stranger() -> None:
    """Dismissing twice, or someone never watched, frees nothing that is in use."""
    roster = Roster()
    roster.admit(process(10), "api")
    roster.dismiss(ProcessId(99, 1))
    roster.dismiss(process(10).id)
    roster.dismiss(process(10).id)
    assert roster.admit(process(11), "api") == Name("api", "0")
    assert roster.admit(process(12), "api") == Name("api", "1")


def test_full() -> None:
    """Beyond its capacity it watches no more, says so, and goes on once there is room."""
    roster = Roster(capacity=2)
    assert len(roster.admit_all([(process(pid), "api") for pid in (1, 2, 3)])) == 2
    assert roster.admit(process(3), "api") is None
    assert roster.admit(process(1), "api") == Name("api", "0")
    roster.dismiss(process(1).id)
    assert roster.admit(process(3), "api") == Name("api", "0")


def test_capacity_of_one_name() -> None:
    """As many as it holds, all of one name, and the last goes by the last slot."""
    roster = Roster()
    roster.admit_all([(process(pid), "api") for pid in range(1, MAX_PROCESSES + 2)])
    assert len(roster) == MAX_PROCESSES
    assert roster.name_of(process(MAX_PROCESSES).id) == Name("api", str(MAX_PROCESSES - 1))


def test_reload_moves_only_those_with_new_names() -> None:
    """A rule's new name moves its processes by age; others keep their slots, also those who aren't mentioned."""
    roster = Roster()
    roster.admit_all([(process(pid, start=pid), "api") for pid in (1, 2, 3, 4)])
    roster.admit(process(9), "shop")
    moved = roster.rename_all({process(pid, pid).id: "shop" for pid in (3, 1)} | {process(2, 2).id: "api"})
    assert moved == {ProcessId(1, 1): Name("shop", "1"), ProcessId(3, 3): Name("shop", "2")}
    assert roster.name_of(ProcessId(2, 2)) == Name("api", "1")
    assert roster.name_of(ProcessId(4, 4)) == Name("api", "3")
    assert roster.admit(process(5), "api") == Name("api", "0")


def test_reload_that_swaps_two_names() -> None:
    """Two names changing places take each other's slots rather than the next free ones."""
    roster = Roster()
    roster.admit(process(1), "a")
    roster.admit(process(2), "b")
    assert roster.rename_all({process(1).id: "b", process(2).id: "a"}) == {
        process(1).id: Name("b", "0"),
        process(2).id: Name("a", "0"),
    }


def test_reload_ignores_strangers() -> None:
    """A reload may speak of processes that have died meanwhile; they don't come back."""
    roster = Roster()
    assert roster.rename_all({process(1).id: "a"}) == {}
    assert len(roster) == 0


IDS = st.builds(process, st.integers(0, 12), st.integers(1, 2), st.sampled_from(["", "pid:[1]"]))
NAMES = st.sampled_from(["api", "web", "0"])


class RosterMachine(RuleBasedStateMachine):
    """Any order of coming, going and renaming, against the plain rule worked out by hand."""

    def __init__(self) -> None:
        """Nobody watched, neither there nor in the model."""
        super().__init__()
        self.roster = Roster(capacity=20)
        self.model: dict[ProcessId, Name] = {}

    def smallest_free(self, name: str) -> Name:
        """The rule itself."""
        taken = {int(held.worker) for held in self.model.values() if held.process == name}
        return Name(name, str(next(slot for slot in range(len(taken) + 1) if slot not in taken)))

    @rule(who=IDS, name=NAMES)
    def admit(self, who: Process, name: str) -> None:
        """Someone is found, again or for the first time."""
        given = self.roster.admit(who, name)
        if who.id not in self.model and len(self.model) < 20:
            self.model[who.id] = self.smallest_free(name)
        assert given == self.model.get(who.id)

    @rule(who=IDS)
    def dismiss(self, who: Process) -> None:
        """Someone dies."""
        self.roster.dismiss(who.id)
        self.model.pop(who.id, None)

    @rule(wanted=st.dictionaries(IDS.map(lambda who: who.id), NAMES))
    def rename(self, wanted: dict[ProcessId, str]) -> None:
        """The configuration is read again."""
        moved = self.roster.rename_all(wanted)
        movers = [who for who, held in self.model.items() if wanted.get(who, held.process) != held.process]
        for who in movers:
            del self.model[who]
        for who in sorted(movers, key=lambda who: (who.start, who.pid, who.namespace)):
            self.model[who] = self.smallest_free(wanted[who])
        assert moved == {who: self.model[who] for who in movers}

    @invariant()
    def names_are_unique(self) -> None:
        """Never two processes with one name, and everyone as the rule says."""
        assert len(set(self.model.values())) == len(self.model)
        assert {who: self.roster.name_of(who) for who in self.model} == self.model
        assert len(self.roster) == len(self.model)


TestRosterMachine = pytest.mark.timeout(60)(RosterMachine.TestCase)
