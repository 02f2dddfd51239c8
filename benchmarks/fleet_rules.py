"""The recording rules over the synthetic fleet: their series written for the whole history, and what they cost."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fakes.conditions import wait_for
from fakes.panels import seconds
from fleet_data import VARIANTS, Series, packed, times, write
from fleet_server import Server

RULES = Path(__file__).parents[1] / "dashboards" / "prometheus"
HISTORY_SECONDS = 7200
ROUNDS = 3

Group = dict[str, Any]
Rule = dict[str, Any]


def recording_groups() -> list[Group]:
    """The committed groups, without alerts."""
    groups = [group for file in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(file.read_text())["groups"]]
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if "record" in rule]
    return [group for group in groups if group["rules"]]


def backfill(server: Server, groups: list[Group], end: int) -> dict[str, int]:
    """Write what each rule gives at ``end`` for all of the history, give or take a little; series by group.

    Evaluated at each step it would take many minutes; how long a query takes depends on series and points, and these
    are the same. In the order of the rules, so that one finds what it reads.
    """
    lot = random.Random(4)  # noqa: S311  the same fleet each time
    return {
        group["name"]: sum(_backfill(server, rule, group["interval"], end, lot) for rule in group["rules"])
        for group in groups
    }


def _backfill(server: Server, rule: Rule, interval: str, end: int, lot: random.Random) -> int:
    step = int(seconds(interval))
    at = times(end, step, HISTORY_SECONDS // step)
    named = {"__name__": rule["record"], **rule.get("labels", {})}
    found = server.at(rule["expr"], end).data["result"]
    courses = [[1 + lot.random() / 100 for _ in at] for _ in range(VARIANTS)]

    def series() -> Iterator[Series]:
        for one in found:
            value = float(one["value"][1])
            yield Series({**one["metric"], **named}, packed(at, [value * noise for noise in lot.choice(courses)]))

    return write(server.address, series())


def cost(server: Server, group: Group) -> float:
    """Seconds that Prometheus takes to evaluate a group once, with nothing else to do: the least of a few times.

    The series are recorded under other names, and more often than they will be, so as not to wait.
    """
    quick = {**group, "interval": "1s", "rules": [_renamed(rule) for rule in group["rules"]]}
    file = server.folder / "rules.json"
    file.write_text(json.dumps({"groups": [quick]}))
    server.use({"rule_files": [str(file)]})
    seen: dict[str, float] = {}

    def evaluated() -> bool:
        (now,) = server.groups()
        unwell = [rule["lastError"] for rule in now["rules"] if rule["health"] == "err"]
        assert not unwell, unwell
        if now["evaluationTime"]:
            seen[now["lastEvaluation"]] = now["evaluationTime"]
        return len(seen) >= ROUNDS

    wait_for(evaluated, 300, every=0.2)
    server.use({})
    return min(seen.values())


def _renamed(rule: Rule) -> Rule:
    return {**rule, "record": f"bench:{rule['record']}"}
