"""What is remembered of pods, and for how long."""

import pytest

from heapwarden.domain.exit import Termination
from heapwarden.kubernetes import pod_table as module
from heapwarden.kubernetes.pod_table import KnownPod, PodTable

OOM = Termination("OOMKilled", 137)


def pod(uid: str, **fields: object) -> KnownPod:
    """One in the namespace ``apps``."""
    return KnownPod(uid, "apps", f"pod-{uid}", **fields)  # type: ignore[arg-type]


def table(*pods: KnownPod) -> PodTable:
    """One that knows these."""
    made = PodTable()
    for one in pods:
        made.put(one)
    return made


def test_a_new_list_is_all_that_there_is() -> None:
    """What is not in it is gone, and known all the same: its processes may still be ending."""
    known = table(pod("1"), pod("2"))
    known.replace([pod("2"), pod("3")])
    assert len(known) == 2
    gone = known.find("1")
    assert gone == pod("1")
    assert not known.there(pod("1"))
    assert known.there(pod("3"))


def test_one_that_comes_back_is_there() -> None:
    """A list from a server that lagged behind is set right by the next."""
    known = table(pod("1"))
    known.replace([])
    known.put(pod("1"))
    assert known.there(pod("1"))


def test_earlier_containers_are_not_forgotten() -> None:
    """The API tells of the last two only; the one before may have a process that has no name yet."""
    known = table(pod("1", names={"a": "app"}, ends={"a": OOM}))
    known.put(pod("1", names={"b": "app"}))
    known.put(pod("1", names={"c": "app"}))
    found = known.find("1")
    assert found is not None
    assert (found.names, found.ends) == ({"a": "app", "b": "app", "c": "app"}, {"a": OOM})


def test_a_static_pod_is_found_by_the_kubelets_uid() -> None:
    """Cgroups have that one, the API another."""
    known = table(pod("0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f", static_uid="0" * 32))
    assert known.find("0" * 32) == known.find("0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f") is not None
    assert known.find("1" * 32) is None
    assert table(pod("1")).find("") is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods, pods that are gone, and containers that restart for ever: the oldest make room."""
    monkeypatch.setattr(module, "MOST_PODS", 3)
    monkeypatch.setattr(module, "MOST_GONE", 2)
    monkeypatch.setattr(module, "MOST_CONTAINERS", 4)
    known = table(*(pod(str(n)) for n in range(5)))
    assert len(known) == 3
    assert known.find("1") is None
    known.replace([pod("9")])
    assert [known.find(uid) is not None for uid in "2349"] == [False, True, True, True]
    for n in range(10):
        known.put(pod("9", names={f"c{n}": "app"}, ends={f"c{n}": OOM}))
    found = known.find("9")
    assert found is not None
    assert list(found.names) == list(found.ends) == ["c6", "c7", "c8", "c9"]


def test_each_change_is_noticed() -> None:
    """Whoever remembers names made of it can tell."""
    known = table(pod("1"))
    before = known.version
    known.put(pod("1", names={"a": "app"}))
    assert known.version > before
    before = known.version
    known.put(pod("1", version="9"))
    assert known.version == before, "nothing that is kept has changed"
    known.drop("1")
    assert known.version > before
    before = known.version
    known.drop("unknown")
    assert known.version == before
