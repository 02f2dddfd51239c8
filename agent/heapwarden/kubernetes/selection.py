"""Of which pods the API is asked, as the settings and the pod's own manifest say."""

from collections.abc import Mapping
from dataclasses import dataclass

from heapwarden.domain.place import AskPods
from heapwarden.kubernetes.own_pod import NAME, NAMESPACE, UID

NODE = "HEAPWARDEN_NODE_NAME"
"""Variable that the manifest of an agent per node fills by the Downward API."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Pods of one namespace, or of all where that is empty, by a field selector."""

    namespace: str
    fields: str


def selection(ask: AskPods, environment: Mapping[str, str], namespace: str) -> Selection | str | None:
    """What to ask for; None: nothing; a text: why that can't be, for people. ``namespace`` is the agent's own."""
    node, name = environment.get(NODE, ""), environment.get(NAME, "")
    if ask is AskPods.AUTO:
        return Selection("", f"spec.nodeName={node}") if node else None
    if ask is AskPods.OFF:
        return None
    if name and namespace and environment.get(UID):
        return Selection(namespace, f"metadata.name={name}")
    return f"kubernetes.pods is own, and {NAMESPACE}, {NAME} and {UID} do not say which pod that is"
