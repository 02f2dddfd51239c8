"""Which rule a process falls under."""

import re
from dataclasses import dataclass, field

from heapwarden.domain.identity import Process
from heapwarden.domain.restart import Method
from heapwarden.policy.health import HealthRules
from heapwarden.policy.restart import RestartRules


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions on a process; all that are given must hold."""

    command: re.Pattern[str] | None = None
    """Searched in the command line."""
    pid: int | None = None
    children_of_pid: int | None = None
    """That process and everything below it."""
    children_of_command: re.Pattern[str] | None = None
    """Everything below a process whose command line has this."""

    def holds(self, process: Process) -> bool:
        """Whether ``process`` is meant."""
        if self.command is not None and not self.command.search(process.command):
            return False
        if self.pid is not None and process.id.pid != self.pid:
            return False
        if self.children_of_pid is not None and self.children_of_pid not in (
            process.id.pid,
            *(ancestor.pid for ancestor in process.ancestors),
        ):
            return False
        above = self.children_of_command
        return above is None or any(above.search(ancestor.command) for ancestor in process.ancestors)


@dataclass(frozen=True, slots=True)
class ProcessRule:
    """What holds for the processes it matches. ``name`` is their ``process`` label; None: their script's name."""

    name: str | None
    match: Match
    health: HealthRules
    restart: RestartRules = field(default_factory=RestartRules)


@dataclass(frozen=True, slots=True)
class Watchlist:
    """All process rules, first match wins, and what becomes of processes that none matches."""

    rules: tuple[ProcessRule, ...] = ()
    watch_unmatched: bool = True
    within: Match = field(default_factory=Match)
    """Nothing outside is watched, whatever the rules say: the command line's scope."""
    default_health: HealthRules = field(default_factory=HealthRules)
    default_restart: RestartRules = field(default_factory=RestartRules)

    @property
    def asks_kubernetes(self) -> bool:
        """Whether any restart needs the Kubernetes API."""
        rules = (self.default_restart, *(rule.restart for rule in self.rules))
        return any(rule.plan.lease or rule.method is Method.EVICT for rule in rules)

    def rule_for(self, process: Process) -> ProcessRule | None:
        """The rule that holds for ``process``; None when it is not watched."""
        if not self.within.holds(process):
            return None
        for rule in self.rules:
            if rule.match.holds(process):
                return rule
        if not self.watch_unmatched:
            return None
        return ProcessRule(name=None, match=Match(), health=self.default_health, restart=self.default_restart)
