"""Restart rules in any combination: what is accepted holds together, and the rest is refused."""

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from heapwarden.domain.errors import SettingsError
from heapwarden.domain.restart import Hook, Method
from heapwarden.policy.restart import MemoryRule, RestartRules
from heapwarden.settings import parse
from heapwarden.settings.render import as_yaml

MEMORY = ["1G", "80%", "off", "{above: 2G, for: 5s}", "{for: 0s}", "{above: off}", "{}"]
SHARE = ["95%", "off", "{above: 90%, for: 5s}", "{for: 1m}"]
HOOKS = [
    "[]",
    "[{command: a b}, {url: http://a}]",
    "[{command: [a], timeout: 1m}]",
    "[{}]",
    "[{command: a, url: http://a}]",
]
KEYS = {
    "max_memory": MEMORY,
    "max_memory_restart": MEMORY,
    "tree": ["true", "false"],
    "heap_usage": [*SHARE, "{of: live}", "{above: 90%, of: live}"],
    "container_usage": SHARE,
    "for": ["0s", "1m"],
    "method": [*Method],
    "command": ["a b", "[a, b]"],
    "url": ["http://a", "https://a/b"],
    "before": HOOKS,
    "after": HOOKS,
    "budget": ["{restarts: 1, per: 1m}", "{restarts: 9, per: 7d}", "{restarts: 1}"],
    "cooldown": ["0s", "10m", "20m"],
    "max_cooldown": ["5s", "10m", "1d"],
    "cooldown_reset": ["0s", "10m", "7d"],
    "jitter": ["0s", "50s", "1h"],
    "coordinate": ["off", "api", "{lease: a.b-2, max_unavailable: 3}", "{max_unavailable: 2}"],
    "confirm_with_gc": ["true"],
    "dry_run": ["true", "false"],
    "signal": ["SIGINT"],
    "grace": ["0s", "1h"],
}
SECTION = st.dictionaries(st.sampled_from(sorted(KEYS)), st.integers(0, 99), max_size=6).map(
    lambda chosen: ", ".join(f"{key}: {KEYS[key][number % len(KEYS[key])]}" for key, number in chosen.items())
)
"""A few keys, each right or nearly so by itself."""


def holds_together(rules: RestartRules) -> bool:
    """What the rest of the agent may rely on."""
    pauses, plan = rules.pauses, rules.plan
    shares = [rule.ratio for rule in (rules.heap_usage, rules.container_usage) if rule]
    if rules.max_memory and isinstance(rules.max_memory.limit, float):
        shares.append(rules.max_memory.limit)
    return (
        pauses.cooldown_seconds <= pauses.most_seconds <= pauses.reset_seconds
        and pauses.jitter_seconds <= rules.budget.per_seconds
        and bool(plan.command) == (rules.method is Method.COMMAND)
        and bool(plan.url) == (rules.method is Method.WEBHOOK)
        and all(bool(hook.command) != bool(hook.url) for hook in (*plan.before, *plan.after))
        and all(0 < share < 1 for share in shares)
    )


@settings(deadline=None)
@given(SECTION, SECTION)
def test_whatever_is_accepted_holds_together(default: str, own: str) -> None:
    """For all and for one process; written back, it is the same."""
    text = f"defaults: {{restart: {{{default}}}}}\nprocesses: [{{match: {{pid: 1}}, restart: {{{own}}}}}]\n"
    try:
        accepted = parse(text, "f.yaml", {})
    except SettingsError:
        event("refused")
        return
    event("accepted")
    watchlist = accepted.watchlist
    assert holds_together(watchlist.default_restart)
    assert holds_together(watchlist.rules[0].restart)
    assert replace(parse(as_yaml(accepted), "f.yaml", {}), notices=accepted.notices) == accepted


@settings(deadline=None)
@given(SECTION)
def test_a_process_without_keys_has_the_defaults(default: str) -> None:
    """Whatever they are."""
    try:
        watchlist = parse(
            f"defaults: {{restart: {{{default}}}}}\nprocesses: [{{match: {{pid: 1}}}}]", "f.yaml", {}
        ).watchlist
    except SettingsError:
        return
    assert watchlist.rules[0].restart == watchlist.default_restart


@settings(deadline=None)
@given(SECTION)
def test_the_nearer_word_holds(default: str) -> None:
    """Keys of a process come before those of the defaults, whatever these are."""
    own = "max_memory: {above: 3G, for: 7s}, before: [{command: x}], dry_run: true"
    text = f"defaults: {{restart: {{{default}}}}}\nprocesses: [{{match: {{pid: 1}}, restart: {{{own}}}}}]"
    try:
        rules = parse(text, "f.yaml", {}).watchlist.rules[0].restart
    except SettingsError:
        return
    assert rules.max_memory == MemoryRule(3 * 2**30, 7.0)
    assert rules.plan.before == (Hook(command=("x",)),)
    assert rules.dry_run
