"""Settings written back: as a complete file, and as a few lines for a person."""

from collections.abc import Iterator
from typing import Any

from heapwarden.policy.health import HealthRules, UsageRule
from heapwarden.policy.matching import Match, ProcessRule
from heapwarden.policy.restart import RestartRules
from heapwarden.settings.faults import printable
from heapwarden.settings.model import ApiToken, Settings
from heapwarden.settings.render_restart import escalation_text, restart_lines, restart_tree
from heapwarden.settings.texts import write_listen
from heapwarden.settings.units import write_duration, write_percentage, write_size
from heapwarden.settings.variables import escape


def tree_of(settings: Settings) -> dict[str, Any]:
    """Every setting as it would be spelled in the file, but for a token that is no file's."""
    watchlist = settings.watchlist
    tree: dict[str, Any] = {
        "listen": write_listen(settings.listen),
        "agent_check": _agent_check_text(settings),
        "socket": str(settings.socket),
        "socket_mode": f"{settings.socket_mode:04o}",
        "state_dir": str(settings.state_dir),
        "journal": {
            "max_age": write_duration(settings.journal_max_age_seconds),
            "max_rows": str(settings.journal_max_rows),
        },
        "kubernetes": {"pods": str(settings.ask_pods)},
        "sample_interval": write_duration(settings.sample_interval_seconds),
        "gc_profiler": settings.gc_profiler,
        "prom_client_metrics": settings.prom_client_metrics,
        "history_memory": write_size(settings.history_bytes) if settings.history_bytes else "off",
        "retry_after": write_duration(settings.retry_after_seconds),
        "unmatched": "watch" if watchlist.watch_unmatched else "ignore",
        "defaults": _rules_tree(watchlist.default_health, watchlist.default_restart),
    }
    if settings.api_token is not None and settings.api_token.file is not None:
        tree["api"] = {"token_file": str(settings.api_token.file)}
    if watchlist.rules:
        tree["processes"] = [_rule_tree(rule) for rule in watchlist.rules]
    return tree


def as_yaml(settings: Settings) -> str:
    """A complete file with the same effect, notices in comments above. It has no token in it."""
    import yaml  # noqa: PLC0415  without a settings file nobody else needs it

    notices = "".join(f"# {notice}\n" for notice in settings.notices)
    if settings.api_token is not None and settings.api_token.file is None:
        notices += "# api.token: set, and not shown\n"
    text: str = yaml.safe_dump(_escaped(tree_of(settings)), sort_keys=False, default_flow_style=None, width=2**20)
    return notices + text


def summary(settings: Settings) -> str:
    """What the settings come to, a line each."""
    watchlist = settings.watchlist
    usual = [*_health_lines(watchlist.default_health), *restart_lines(watchlist.default_restart)]
    lines = [
        ("listen", write_listen(settings.listen)),
        *([("agent check", _agent_check_text(settings))] if settings.agent_check is not None else []),
        ("socket", f"{printable(str(settings.socket))} (mode {settings.socket_mode:04o})"),
        ("state", f"{printable(str(settings.state_dir))} ({_journal_text(settings)})"),
        ("requests", _requests_text(settings.api_token)),
        ("sample interval", write_duration(settings.sample_interval_seconds)),
        *usual,
    ]
    for number, rule in enumerate(watchlist.rules, start=1):
        all_lines = (*_health_lines(rule.health), *restart_lines(rule.restart))
        own = (f"; {name} {text}" for name, text in all_lines if (name, text) not in usual)
        lines.append((f"rule {number}", f"{rule.name or 'script name'}: {_match_text(rule.match)}{''.join(own)}"))
    lines.append(("other processes", "watched, by script name" if watchlist.watch_unmatched else "ignored"))
    width = max(len(name) for name, _ in lines) + 2
    return "".join(f"{name:<{width}}{text}\n" for name, text in lines)


def _rules_tree(health: HealthRules, restart: RestartRules) -> dict[str, Any]:
    escalation = {"escalate_to_restart_after": escalation_text(restart)}
    return {"health": {**_health_tree(health), **escalation}, "restart": restart_tree(restart)}


def _health_tree(rules: HealthRules) -> dict[str, Any]:
    return {
        "heap_usage": {**_usage_tree(rules.heap), "of": str(rules.heap_of)},
        "container_usage": _usage_tree(rules.container),
        "on_unknown": str(rules.on_unknown),
        "start_grace": write_duration(rules.start_grace_seconds),
        "stale_after": write_duration(rules.stale_after_seconds),
    }


def _usage_tree(rule: UsageRule) -> dict[str, Any]:
    return {
        "unhealthy": write_percentage(rule.unhealthy_ratio),
        "recover": write_percentage(rule.recover_ratio),
        "for": write_duration(rule.hold_seconds),
    }


def _rule_tree(rule: ProcessRule) -> dict[str, Any]:
    name = {} if rule.name is None else {"name": rule.name}
    return {**name, "match": dict(_conditions(rule.match)), **_rules_tree(rule.health, rule.restart)}


def _conditions(match: Match) -> Iterator[tuple[str, str]]:
    if match.command is not None:
        yield "command", match.command.pattern
    if match.pid is not None:
        yield "pid", str(match.pid)
    if match.children_of_pid is not None:
        yield "children_of", str(match.children_of_pid)
    if match.children_of_command is not None:
        yield "children_of", match.children_of_command.pattern


def _match_text(match: Match) -> str:
    return ", ".join(f"{name} {printable(value)}" for name, value in _conditions(match))


def _health_lines(rules: HealthRules) -> list[tuple[str, str]]:
    return [
        ("heap", _usage_text(rules.heap, str(rules.heap_of))),
        ("container", _usage_text(rules.container, "its limit")),
        ("when unknown", str(rules.on_unknown)),
        ("start grace", write_duration(rules.start_grace_seconds)),
        ("stale after", write_duration(rules.stale_after_seconds)),
    ]


def _usage_text(rule: UsageRule, whole: str) -> str:
    unhealthy, recover = write_percentage(rule.unhealthy_ratio), write_percentage(rule.recover_ratio)
    return f"unhealthy from {unhealthy} of {whole} for {write_duration(rule.hold_seconds)}, healthy below {recover}"


def _journal_text(settings: Settings) -> str:
    age = write_duration(settings.journal_max_age_seconds)
    return f"journal of {age}, at most {settings.journal_max_rows:,} entries"


def _agent_check_text(settings: Settings) -> str:
    return "off" if settings.agent_check is None else write_listen(settings.agent_check)


def _requests_text(token: ApiToken | None) -> str:
    """Who may restart and drain by request."""
    if token is None:
        return "refused: there is no token"
    return "with the token" if token.file is None else f"with the token in {printable(str(token.file))}"


def _escaped(tree: Any) -> Any:
    match tree:
        case str():
            return escape(tree)
        case dict():
            return {key: _escaped(value) for key, value in tree.items()}
        case list():
            return [_escaped(item) for item in tree]
        case _:
            return tree
