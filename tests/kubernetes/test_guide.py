"""What docs/kubernetes-api.md shows is right."""

import re

import pytest
import yaml

from fakes.machine import ROOT
from heapwarden.domain.restart import Method, Plan
from heapwarden.policy.coordination import lead_seconds, place_seconds
from heapwarden.settings import parse

GUIDE = (ROOT / "docs" / "kubernetes-api.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize(
    "text", [pytest.param(block, id=str(n)) for n, block in enumerate(BLOCKS) if "max_mem" in block]
)
def test_its_settings_are_accepted(text: str) -> None:
    """As they stand there."""
    assert parse(text, "f.yaml", {}).watchlist.asks_kubernetes


def test_its_variables_are_those_that_are_read() -> None:
    """Each from the field that it is called after."""
    (variables,) = [block["env"] for block in map(yaml.safe_load, BLOCKS) if "env" in block]
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in variables}
    assert fields == {f"HEAPWARDEN_POD_{key.upper()}": f"metadata.{key}" for key in ("namespace", "name", "uid")}


def test_its_times_are_those_that_hold() -> None:
    """All stages together, and so much more."""
    plan = Plan(drain_seconds=1.0, grace_seconds=10.0, successor_seconds=100.0)
    assert place_seconds(plan) == 111 + 40
    assert place_seconds(Plan(method=Method.EVICT)) == place_seconds(Plan()) + 30
    assert "and 40 s (70 s for `evict`)" in GUIDE
    assert lead_seconds(plan) < place_seconds(plan) - plan.grace_seconds - plan.successor_seconds
