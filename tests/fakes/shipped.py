"""The rules and the routing that are shipped, at a pace that a test can wait for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fakes.machine import ROOT

RULES = ROOT / "dashboards" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"

_EVENTS = "heapwarden-events"
_SOONER = (("offset 1m15s", "offset 4s"), ("offset 15s", "offset 1s"))
"""Events are looked for each minute and 15 s late; so they are each 3 s, a second late."""


def hastened_rules(folder: Path, holds: Mapping[str, str] | None = None) -> list[Path]:
    """The rule files, written to ``folder``: evaluated each second (events: each 3 s), for scrapes each second.

    ``holds`` has the ``for`` of alerts whose own is too long; they stop firing at once. All others are as shipped.
    """
    files = []
    texts = {shipped: shipped.read_text() for shipped in sorted(RULES.glob("*.yaml"))}
    assert all(any(old in text for text in texts.values()) for old, _ in _SOONER), "the pace of events has changed"
    for shipped, text in texts.items():
        for old, new in _SOONER:
            text = text.replace(old, new)  # noqa: PLW2901  the same text, sooner
        document = yaml.safe_load(text)
        for group in document["groups"]:
            group["interval"] = "3s" if group["name"] == _EVENTS else "1s"
            for rule in group["rules"]:
                _hold(rule, holds or {})
        files.append(folder / shipped.name)
        files[-1].write_text(yaml.safe_dump(document))
    return files


def _hold(rule: dict[str, Any], holds: Mapping[str, str]) -> None:
    if rule.get("alert") in holds:
        rule["for"] = holds[rule["alert"]]
        rule.pop("keep_firing_for", None)
