"""Pods as the API writes them, read no further than :class:`~heapwarden.kubernetes.pod_table.KnownPod` needs.

Imports the decoder of the client's library; only :mod:`heapwarden.kubernetes.pod_feed` imports this, when it is needed.
What is not named here is skipped and never becomes an object.
"""

from collections.abc import Iterator

import msgspec

from heapwarden.domain.exit import Termination
from heapwarden.kubernetes.pod_table import MOST_CONTAINERS, KnownPod

MOST_CHARACTERS = 253
"""Of any name in Kubernetes."""
MalformedError = msgspec.MsgspecError
"""What came is not JSON, or not what the API would send."""


class _Annotations(msgspec.Struct):
    static_uid: str = msgspec.field(name="kubernetes.io/config.hash", default="")


class _Metadata(msgspec.Struct):
    uid: str = ""
    namespace: str = ""
    name: str = ""
    resourceVersion: str = ""  # noqa: N815  as the API writes it
    annotations: _Annotations | None = None


class _Container(msgspec.Struct):
    name: str
    restartPolicy: str | None = None  # noqa: N815  as above


class _Spec(msgspec.Struct):
    containers: list[_Container] | None = None
    initContainers: list[_Container] | None = None  # noqa: N815  as above


class _Terminated(msgspec.Struct):
    exitCode: int  # noqa: N815  as above
    reason: str | None = None
    containerID: str | None = None  # noqa: N815  as above


class _State(msgspec.Struct):
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct):
    name: str
    containerID: str | None = None  # noqa: N815  as above
    state: _State | None = None
    lastState: _State | None = None  # noqa: N815  as above


class _Status(msgspec.Struct):
    containerStatuses: list[_ContainerStatus] | None = None  # noqa: N815  as above
    initContainerStatuses: list[_ContainerStatus] | None = None  # noqa: N815  as above
    ephemeralContainerStatuses: list[_ContainerStatus] | None = None  # noqa: N815  as above


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


class _ListMetadata(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815  as above
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] | None
    metadata: _ListMetadata


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""


class Page(msgspec.Struct):
    """A part of a list."""

    pods: list[KnownPod]
    version: str
    following: str
    """Token of the next part; empty where this is the last."""
    malformed: int
    """Pods that could not be read and are left out."""


_LISTS, _PODS = msgspec.json.Decoder(_List), msgspec.json.Decoder(_Pod)
_EVENTS, _FAILURES = msgspec.json.Decoder(_Event), msgspec.json.Decoder(_Failure)


def page(data: bytes) -> Page:
    """The answer to a list. Raises MalformedError."""
    answer = _LISTS.decode(data)
    pods = []
    for item in answer.items or ():
        try:
            pods.append(pod(item))
        except MalformedError:
            continue
    lost = len(answer.items or ()) - len(pods)
    return Page(pods, answer.metadata.resourceVersion, answer.metadata.continue_, lost)


def event(line: bytes) -> tuple[str, bytes]:
    """Type and object of one event of a watch. Raises MalformedError."""
    found = _EVENTS.decode(line)
    return found.type, bytes(found.object)


def failure(data: bytes) -> tuple[int, str]:
    """Code and message of a Status; 0 and nothing where it is none."""
    try:
        found = _FAILURES.decode(data)
    except MalformedError:
        return 0, ""
    return found.code, found.message


def version(data: bytes) -> str:
    """Of any object, as of a bookmark. Raises MalformedError."""
    return _PODS.decode(data).metadata.resourceVersion


def pod(data: bytes | msgspec.Raw) -> KnownPod:
    """One pod. Raises MalformedError."""
    found = _PODS.decode(data)
    metadata, status = found.metadata, found.status or _Status()
    if not metadata.uid or not metadata.name:
        raise msgspec.ValidationError("a pod without uid or name")
    names, ends = {}, {}
    told = (status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses)
    for one in [one for statuses in told for one in statuses or ()][:MOST_CONTAINERS]:
        for id_, end in _containers(one):
            names[id_] = _bounded(one.name)
            if end is not None:
                ends[id_] = Termination(_bounded(end.reason or ""), end.exitCode)
    return KnownPod(
        uid=_bounded(metadata.uid),
        namespace=_bounded(metadata.namespace),
        name=_bounded(metadata.name),
        version=metadata.resourceVersion,
        static_uid=_bounded(metadata.annotations.static_uid) if metadata.annotations else "",
        sole=_sole(found.spec),
        names=names,
        ends=ends,
    )


def _containers(one: _ContainerStatus) -> Iterator[tuple[str, _Terminated | None]]:
    """Those that have this name or had it, the earlier one first, by their ids: ``containerd://ID``."""
    for state in (one.lastState, one.state):
        end = state.terminated if state is not None else None
        if end is not None and end.containerID:
            yield _plain(end.containerID), end
    current = one.state.terminated if one.state is not None else None
    if one.containerID and current is None:
        yield _plain(one.containerID), None


def _plain(id_: str) -> str:
    return _bounded(id_.rpartition("://")[2])


def _sole(spec: _Spec | None) -> str:
    """The name of the only container that goes on; init containers that do are sidecars."""
    if spec is None:
        return ""
    going = [*(spec.containers or ()), *(one for one in spec.initContainers or () if one.restartPolicy == "Always")]
    return _bounded(going[0].name) if len(going) == 1 else ""


def _bounded(text: str) -> str:
    return text[:MOST_CHARACTERS]
