"""Of which pods the API is asked."""

import pytest

from heapwarden.domain.place import AskPods
from heapwarden.kubernetes.selection import Selection, selection

NODE = {"HEAPWARDEN_NODE_NAME": "node-1"}
POD = {"HEAPWARDEN_POD_NAME": "api-1", "HEAPWARDEN_POD_UID": "0f3c1a52-7a0e-4a0b-9d5e-2f1b6c7d8e9f"}
NODES = Selection("", "spec.nodeName=node-1")
OWN = Selection("apps", "metadata.name=api-1")


@pytest.mark.parametrize(
    ("ask", "environment", "found"),
    [
        pytest.param(AskPods.AUTO, NODE | POD, NODES, id="auto on a node"),
        pytest.param(AskPods.AUTO, POD, None, id="auto beside a sidecar"),
        pytest.param(AskPods.AUTO, {"HEAPWARDEN_NODE_NAME": ""}, None, id="auto, an empty name"),
        pytest.param(AskPods.OFF, NODE | POD, None, id="off"),
        pytest.param(AskPods.OWN, POD, OWN, id="own"),
        pytest.param(AskPods.OWN, NODE | POD, OWN, id="own on a node"),
    ],
)
def test_by_settings_and_manifest(ask: AskPods, environment: dict[str, str], found: Selection | None) -> None:
    """The node where it is named, the own pod where that is wanted, else nothing."""
    assert selection(ask, environment, "apps") == found


def test_an_own_pod_that_is_not_named_is_said() -> None:
    """With the variables that are missing."""
    assert isinstance(selection(AskPods.OWN, POD, ""), str)
    for missing in POD:
        text = selection(AskPods.OWN, {key: value for key, value in POD.items() if key != missing}, "apps")
        assert isinstance(text, str)
        assert missing in text
