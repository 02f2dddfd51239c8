"""Which rule holds for which process."""

import re

import pytest

from fakes import figures
from heapwarden.domain.identity import Ancestor
from heapwarden.policy.health import HealthRules
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.policy.restart import RestartRules

PROCESS = figures.process(pid=100, ancestors=(Ancestor(90, "sh -c start"), Ancestor(80, "npm start api")))


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        pytest.param(Match(), True, id="no condition"),
        pytest.param(Match(command=re.compile(r"server\.js")), True, id="command found"),
        pytest.param(Match(command=re.compile(r"^server")), False, id="command not found"),
        pytest.param(Match(pid=100), True, id="pid"),
        pytest.param(Match(pid=101), False, id="other pid"),
        pytest.param(Match(children_of_pid=100), True, id="itself counts as below itself"),
        pytest.param(Match(children_of_pid=80), True, id="below a grandparent"),
        pytest.param(Match(children_of_pid=1), False, id="not below"),
        pytest.param(Match(children_of_command=re.compile("npm start")), True, id="below a command"),
        pytest.param(Match(children_of_command=re.compile("server")), False, id="its own command is not above it"),
        pytest.param(Match(command=re.compile("server"), pid=7), False, id="all conditions must hold"),
    ],
)
def test_conditions(match: Match, holds: bool) -> None:
    """Each condition alone, and together."""
    assert match.holds(PROCESS) is holds


def test_the_first_rule_wins_and_the_rest_has_defaults() -> None:
    """Order decides; what no rule means is watched under the defaults."""
    first = ProcessRule("a", Match(command=re.compile("server")), HealthRules())
    second = ProcessRule("b", Match(pid=100), HealthRules())
    watchlist = Watchlist(rules=(first, second))
    assert watchlist.rule_for(PROCESS) is first
    other = watchlist.rule_for(figures.process(pid=5, script="other"))
    assert other is not None
    assert other.name is None


def test_what_no_rule_means_has_the_default_rules() -> None:
    """Of health as of restarts; a rule brings its own."""
    health, restart = HealthRules(start_grace_seconds=1.0), RestartRules(dry_run=True)
    own = ProcessRule("own", Match(pid=100), HealthRules(), RestartRules(tree=True))
    watchlist = Watchlist((own,), default_health=health, default_restart=restart)
    unmatched = watchlist.rule_for(figures.process(pid=5))
    assert unmatched == ProcessRule(None, Match(), health, restart)
    assert watchlist.rule_for(PROCESS) is own


def test_unmatched_processes_can_be_left_alone() -> None:
    """`unmatched: ignore`."""
    assert Watchlist(watch_unmatched=False).rule_for(PROCESS) is None


def test_the_scope_binds_every_rule() -> None:
    """What the command line leaves out, no rule brings back."""
    rule = ProcessRule("a", Match(command=re.compile("server")), HealthRules())
    assert Watchlist(rules=(rule,), within=Match(pid=1)).rule_for(PROCESS) is None
