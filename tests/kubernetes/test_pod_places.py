"""Places: what the kernel says, with names where the API has them."""

from heapwarden.domain.exit import Termination
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.place import Place
from heapwarden.domain.pod_path import NOWHERE, PodPath
from heapwarden.kubernetes.pod_places import PodPlaces
from heapwarden.kubernetes.pod_table import KnownPod, PodTable
from heapwarden.ports import Pod

UID, OWN_UID = "0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f", "1f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f"
ID = "7f3c9e12ab34" + "0" * 52
ONE = ProcessId(7, 70)
OOM = Termination("OOMKilled", 137)


class World:
    """Places over a table, and what the kernel would say."""

    def __init__(self, path: PodPath | None, *, shown: bool = True) -> None:
        """Of one process."""
        self.path, self.table = path, PodTable()
        self.places = PodPlaces(lambda _process: self.path, self.table, own_uid=OWN_UID, shown=shown)

    def know(self, uid: str = UID, **fields: object) -> None:
        """The API tells of a pod."""
        self.table.put(KnownPod(uid, "apps", "api-1", **fields))  # type: ignore[arg-type]


def test_without_the_api_uids_are_names() -> None:
    """The pod's, and the begin of the container's id."""
    assert World(PodPath(UID, ID)).places.place_of(ONE) == Place("", UID, "7f3c9e12ab34", UID, ID)
    assert World(PodPath(UID, "")).places.place_of(ONE) == Place("", UID, "", UID, "")


def test_names_come_with_the_api() -> None:
    """And stay when the pod is gone: the process may take its time to end."""
    world = World(PodPath(UID, ID))
    world.places.place_of(ONE)
    world.know(names={ID: "app"})
    named = Place("apps", "api-1", "app", UID, ID)
    assert world.places.place_of(ONE) == named
    world.table.replace([])
    assert world.places.place_of(ONE) == named


def test_a_pods_only_container_is_known_at_once() -> None:
    """Before the kubelet has told its id; which of several it is shows then."""
    world = World(PodPath(UID, ID))
    world.know(sole="app")
    assert world.places.place_of(ONE) == Place("apps", "api-1", "app", UID, ID)
    other = World(PodPath(UID, ID))
    other.know()
    assert other.places.place_of(ONE) == Place("apps", "api-1", "", UID, ID)


def test_beside_the_agent_is_its_own_pod() -> None:
    """A cgroup namespace hides the pod's name and not the container's."""
    world = World(PodPath("", ID), shown=False)
    world.know(OWN_UID, names={ID: "app"})
    assert world.places.place_of(ONE) == Place("apps", "api-1", "app", OWN_UID, ID, shown=False)


def test_one_in_no_pod_is_nowhere() -> None:
    """On a node that is shown, by empty labels; beside a sidecar there is nothing to show."""
    assert World(NOWHERE).places.place_of(ONE) == Place()
    assert World(None).places.place_of(ONE) == Place()
    assert World(None, shown=False).places.place_of(ONE) is None


def test_a_pod_is_evicted_only_while_it_is_there() -> None:
    """By the API's own uid and name; never by a guess."""
    world = World(PodPath(UID, ID))
    assert world.places.pod_of(ONE) is None
    world.know(names={ID: "app"})
    assert world.places.pod_of(ONE) == Pod("apps", "api-1", UID, "app")
    world.table.drop(UID)
    assert world.places.pod_of(ONE) is None
    assert World(None).places.pod_of(ONE) is None


def test_the_end_of_a_container_is_known_by_its_id() -> None:
    """Of this very one: its predecessor's end says nothing of it."""
    world = World(PodPath(UID, ID))
    place = world.places.place_of(ONE)
    assert not world.places.expected(place)
    world.table.current = True
    assert world.places.expected(place)
    assert not world.places.expected(Place())
    assert not world.places.expected(None)
    world.know(ends={"other": OOM})
    assert world.places.of(place) is None
    world.know(ends={ID: OOM})
    assert world.places.of(place) == OOM
    assert world.places.of(None) is None
    assert world.places.of(Place()) is None


def test_the_same_place_is_made_once() -> None:
    """A tick asks for each process; nothing is made anew while nothing changes."""
    world = World(PodPath(UID, ID))
    assert world.places.place_of(ONE) is world.places.place_of(ONE)
