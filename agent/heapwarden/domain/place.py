"""Where in Kubernetes a process runs."""

from dataclasses import dataclass
from enum import StrEnum

from heapwarden.domain.identity import Name


class AskPods(StrEnum):
    """Of which pods the Kubernetes API is asked."""

    AUTO = "auto"
    """Of those on the agent's node, where it is told which that is; of none beside a sidecar."""
    OWN = "own"
    """Of the agent's own."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Place:
    """The pod and container of a process, as far as they are known. All are empty for one that is in no pod."""

    namespace: str = ""
    pod: str = ""
    """Its name; its uid where the name is not known."""
    container: str = ""
    """Its name; the begin of its id where the name is not known."""
    uid: str = ""
    """Of this very pod, as cgroups have it."""
    container_id: str = ""
    """Of this very container: another after each of its restarts."""
    shown: bool = True
    """Whether figures have it as labels. Beside a sidecar they have not: whoever scrapes it adds them."""


@dataclass(frozen=True, slots=True, order=True)
class PlacedName(Name):
    """A name with the labels of the place: what counts are kept for that outlive the process."""

    namespace: str
    pod: str
    container: str


def placed(name: Name, place: Place | None) -> Name:
    """``name`` with the place's labels, where those are shown."""
    if place is None or not place.shown:
        return name
    return PlacedName(name.process, name.worker, place.namespace, place.pod, place.container)
