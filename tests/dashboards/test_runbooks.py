"""Runbooks and texts of alerts: what they tell people to type, to set and to look at is there."""

import re
import shlex

import pytest

from fakes.machine import ROOT
from fakes.panels import boards, panels
from heapwarden.cli.main import build_parser
from heapwarden.settings.load import parse
from mixin.rules.alerts import ALERTS

PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "docs" / "runbooks").glob("*.md"))}
TEXTS = "\n".join([*PAGES.values(), *(alert.description for alerts in ALERTS.values() for alert in alerts)])
QUOTED = re.findall(r"`heapwarden ([^`]+)`", TEXTS)
IN_A_POD = re.findall(r"^kubectl .* -- heapwarden (.+)$", TEXTS, re.MULTILINE)
COMMANDS = sorted({*QUOTED, *IN_A_POD})
OF_A_PROCESS = sorted(set(re.findall(r"`((?:restart|health): \{[^`…]+\})`", TEXTS)))
OF_THE_AGENT = sorted(set(re.findall(r"`((?:sample_interval|unmatched): [^`]+)`", TEXTS)))
ITALICS = re.compile(r"(?<!\*)\*([A-Z][^*]+)\*")
LOOKED_AT = sorted({(page, title) for page, text in PAGES.items() for title in ITALICS.findall(text)})
OF_PROMETHEUS = {"Targets"}
"""Pages that are not Grafana's."""
TITLES = {panel["title"] for board in boards().values() for panel in panels(board)}


def settings(*own: str) -> str:
    """Of one process, with these settings of its own."""
    return f"processes: [{{{', '.join(('name: api', 'match: {command: api}', *own))}}}]"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_taken(command: str) -> None:
    """With all of their options; values of labels stand for themselves."""
    build_parser().parse_args(shlex.split(re.sub(r"\{\{[^}]*\}\}", "NAME", command)))


@pytest.mark.parametrize("setting", OF_A_PROCESS)
def test_settings_of_a_process_are_taken(setting: str) -> None:
    """Under ``processes``, where runbooks mean them to be."""
    parse(settings(setting), "runbook", {})


@pytest.mark.parametrize("setting", OF_THE_AGENT)
def test_settings_of_the_agent_are_taken(setting: str) -> None:
    """At the top."""
    parse(f"{setting}\n{settings()}", "runbook", {})


@pytest.mark.parametrize(("page", "title"), LOOKED_AT)
def test_panels_are_there(page: str, title: str) -> None:
    """Whatever is set in italics is the title of a panel."""
    assert title in TITLES | OF_PROMETHEUS, page


def test_there_is_something_to_look_at() -> None:
    """The pages could be read: the tests above would else find nothing wrong."""
    assert min(len(COMMANDS), len(OF_A_PROCESS)) >= 7
    assert IN_A_POD
    assert OF_THE_AGENT
    assert {page for page, _ in LOOKED_AT} == PAGES.keys() - {"README"}
