"""Settings written back."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from heapwarden.domain.place import AskPods
from heapwarden.domain.restart import Hook, Method, Plan
from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageRule
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.policy.restart import Budget, HeapFigure, MemoryRule, Pauses, RestartRules, ShareRule
from heapwarden.settings import parse
from heapwarden.settings.kinds import SIGNALS
from heapwarden.settings.model import Listen, Settings
from heapwarden.settings.render import as_yaml, summary
from heapwarden.settings.units import read_memory

PERMILLES = st.integers(2, 1000)
SECONDS = st.integers(200, 60_000).map(lambda milliseconds: milliseconds / 1000)
PATTERNS = st.text(min_size=1, max_size=30).map(re.escape).map(re.compile) | st.sampled_from(
    [
        re.compile(text)
        for text in (
            r"server\.js$",
            "${A}",
            "$$",
            "null",
            "~",
            " a ",
            "'\"",
            "#",
            "- x",
            "12",
            "a: b",
            "\x00",
            "\x85",
            "\n",
            "\u2028",
        )
    ]
)


def usage_rules(permille: int, below: int, seconds: float) -> UsageRule:
    """A rule whose marks hold together."""
    return UsageRule(permille / 1000, max(1, permille - below) / 1000, seconds)


USAGE = st.builds(usage_rules, PERMILLES, st.integers(1, 999), SECONDS)
HOLD = st.integers(0, 60_000).map(lambda milliseconds: milliseconds / 1000)
LONG = st.sampled_from([61.5, 86_400.0])
SHARES = st.none() | st.builds(ShareRule, st.integers(1, 999).map(lambda permille: permille / 1000), HOLD)
SIZES = st.from_regex(r"[1-9][0-9]{1,3}(\.[0-9]{1,3})?[MGT]", fullmatch=True).map(read_memory)
MEMORY = st.none() | st.builds(MemoryRule, SIZES | st.integers(1, 999).map(lambda permille: permille / 1000), HOLD)
WORDS = st.lists(st.sampled_from(["x", "a b", "", "$$", "${A}", "ä", "-", "null", "'\"", "{"]), max_size=2).map(
    lambda more: ("/bin/x", *more)
)
URLS = st.sampled_from(["http://a/", "https://a:8/b?c=${A}", "http://[::1]/%20"])
HOOKS = st.lists(st.builds(Hook, command=WORDS, timeout_seconds=st.just(2.5)) | st.builds(Hook, url=URLS), max_size=2)


@st.composite
def restart_rules(draw: st.DrawFn) -> RestartRules:
    """Any rules whose parts hold together."""
    heap = draw(SHARES)
    method = draw(st.sampled_from(Method))
    return RestartRules(
        max_memory=draw(MEMORY),
        tree=draw(st.booleans()),
        heap_usage=heap,
        heap_of=draw(st.sampled_from(HeapFigure)) if heap else HeapFigure.USED,
        container_usage=draw(SHARES),
        escalate_after_seconds=draw(st.none() | st.just(61.5)),
        confirm_with_gc=draw(st.booleans()),
        min_uptime_seconds=draw(HOLD),
        budget=Budget(draw(st.integers(1, 1000)), draw(st.sampled_from([3600.0, 7 * 86_400.0]))),
        pauses=Pauses(
            draw(HOLD), draw(st.sampled_from([60.0, 61.5])), draw(st.sampled_from([61.5, 86_400.0])), draw(HOLD)
        ),
        method=method,
        plan=Plan(
            signal=draw(st.sampled_from(SIGNALS)),
            drain_seconds=draw(HOLD),
            grace_seconds=draw(HOLD),
            successor_seconds=draw(HOLD),
            before=tuple(draw(HOOKS)),
            after=tuple(draw(HOOKS)),
            command=draw(WORDS) if method is Method.COMMAND else (),
            url=draw(URLS) if method is Method.WEBHOOK else "",
        ),
        dry_run=draw(st.booleans()),
    )


HEALTH = st.builds(
    HealthRules, USAGE, st.sampled_from(HeapDenominator), USAGE, st.sampled_from(OnUnknown), SECONDS, SECONDS
)
NAMES = st.none() | st.from_regex(r"[a-z0-9_:-]{1,20}", fullmatch=True)


@st.composite
def rules(draw: st.DrawFn, pid: int) -> ProcessRule:
    """Any rule that is alone with its pid, so that no other takes its processes."""
    pattern = draw(PATTERNS)
    if draw(st.booleans()) and not pattern.pattern.isdigit():
        match = Match(pid=pid, children_of_command=pattern)
    else:
        match = Match(command=pattern, children_of_pid=pid)
    return ProcessRule(draw(NAMES), match, draw(HEALTH), draw(restart_rules()))


@st.composite
def all_settings(draw: st.DrawFn) -> Settings:
    """Any settings that a file could ask for."""
    some = tuple(draw(rules(pid)) for pid in range(1, draw(st.integers(1, 4))))
    return Settings(
        listen=Listen(draw(st.sampled_from(["127.0.0.1", "::1", "a.b"])), draw(st.integers(0, 65535))),
        agent_check=draw(st.sampled_from([None, Listen("::1", 0), Listen(port=9798)])),
        socket=Path("/run") / draw(st.sampled_from(["x", "a b", "$$", "${A}", "ä", ": #"])),
        socket_mode=draw(st.sampled_from([0o660, 0o600, 0o777])),
        sample_interval_seconds=0.1,
        gc_profiler=draw(st.booleans()),
        prom_client_metrics=draw(st.booleans()),
        ask_pods=draw(st.sampled_from(AskPods)),
        history_bytes=draw(st.sampled_from([0, 2**20, 8 * 2**20, 2**30])),
        retry_after_seconds=float(draw(st.integers(1, 3600))),
        state_dir=Path("/var") / draw(st.sampled_from(["x", "$$ {"])),
        journal_max_age_seconds=draw(st.sampled_from([7 * 86_400.0, 3650 * 86_400.0])),
        journal_max_rows=draw(st.integers(1000, 10_000_000)),
        watchlist=Watchlist(
            some,
            not some or draw(st.booleans()),
            default_health=draw(HEALTH),
            default_restart=draw(st.just(RestartRules()) | restart_rules()),
        ),
    )


@hypothesis_settings(deadline=None)
@given(all_settings())
def test_what_is_written_has_the_same_effect(settings: Settings) -> None:
    """The complete file reads as the very settings that it was written from."""
    assert replace(parse(as_yaml(settings), "f.yaml", {"A": "wrong"}), notices=()) == settings


@pytest.mark.parametrize("where", ["token: ${TOKEN}", "token: 0123456789abcdef", "token_file: FILE"])
def test_a_token_is_never_shown(where: str, tmp_path: Path) -> None:
    """Neither in the complete file nor in the summary; a file of its own is named there."""
    (tmp_path / "token").write_text(" 0123456789abcdef\n")
    text = f"api:\n  {where.replace('FILE', str(tmp_path / 'token'))}\n"
    settings = parse(text, "f.yaml", {"TOKEN": "0123456789abcdef"})
    assert settings.api_token is not None
    assert settings.api_token.value == "0123456789abcdef"
    whole = as_yaml(settings)
    for shown in (whole, summary(settings), repr(settings), str(settings.notices)):
        assert "0123456789abcdef" not in shown
    if "FILE" in where:
        assert parse(whole, "f.yaml", {}) == settings
    else:
        assert "# api.token: set, and not shown\n" in whole
        assert parse(whole, "f.yaml", {}).api_token is None


def test_the_summary_of_the_defaults() -> None:
    """A line for each thing that matters."""
    assert summary(Settings()) == (
        "listen           0.0.0.0:9797\n"
        "socket           /run/heapwarden/agent.sock (mode 0660)\n"
        "state            /var/lib/heapwarden (journal of 30d, at most 100,000 entries)\n"
        "requests         refused: there is no token\n"
        "sample interval  1s\n"
        "heap             unhealthy from 90% of heap_limit for 30s, healthy below 80%\n"
        "container        unhealthy from 95% of its limit for 30s, healthy below 85%\n"
        "when unknown     healthy\n"
        "start grace      10s\n"
        "stale after      10s\n"
        "restart          never by itself\n"
        "restarted by     signal (under `heapwarden run`: supervise): drain 5s, SIGTERM, grace 30s\n"
        "at most          3 in 1h, 1m to 15m apart, from an uptime of 1m on\n"
        "dry run          no\n"
        "other processes  watched, by script name\n"
    )


def test_the_summary_of_rules() -> None:
    """In their order, with their conditions, and what differs from the defaults."""
    text = r"""
    unmatched: ignore
    processes:
      - {name: api, match: {command: 'server\.js', children_of: 7}, health: {on_unknown: unhealthy, start_grace: 1m}}
      - {match: {pid: 5}}
    """
    assert summary(parse(text, "f.yaml", {})).splitlines()[-3:] == [
        r"rule 1           api: command server\.js, children_of 7; when unknown unhealthy; start grace 1m",
        "rule 2           script name: pid 5",
        "other processes  ignored",
    ]


def test_the_summary_of_restart_rules() -> None:
    """When, by whom and how often; what has no rule needs no line for it."""
    text = """
    api: {token: "${T}"}
    defaults:
      health: {escalate_to_restart_after: 10m}
      restart:
        max_memory: {above: 300M, for: 0s}
        tree: true
        heap_usage: {above: 95%, of: live}
        container_usage: 90%
        confirm_with_gc: true
        before: [{command: x}]
        after: [{command: x}, {url: http://x}]
        method: command
        command: [restart, "a\\e"]
        jitter: 30s
        dry_run: true
    processes:
      - {match: {pid: 5}, restart: {max_memory: off, heap_usage: off, container_usage: off, method: webhook, url: http://x, dry_run: off}}
      - {match: {pid: 6}, health: {escalate_to_restart_after: off}, restart: {method: pm2, budget: {restarts: 1, per: 1d}}}
    """  # noqa: E501
    told = summary(parse(text, "f.yaml", {"T": "0123456789abcdef"})).splitlines()
    assert "requests         with the token" in told
    memory = "from 300M memory with its children for 0s"
    heap = "from 95% live heap, looked at again after a collection for 10s"
    stages = "drain 5s, SIGTERM, grace 30s, 1 hook before, 2 hooks after"
    often = "1m to 15m apart, up to 30s at random, from an uptime of 1m on"
    first = f"restart after 10m unhealthy; restarted by webhook http://x: {stages}"
    second = f"restart {memory}; {heap}; from 90% container for 10s; restarted by pm2: {stages}"
    assert told[-7:-1] == [
        f"restart          {memory}; {heap}; from 90% container for 10s; after 10m unhealthy",
        rf"restarted by     command restart a\x1b: {stages}",
        f"at most          3 in 1h, {often}",
        "dry run          yes: restarts are decided and published, and nothing is touched",
        f"rule 1           script name: pid 5; {first}; dry run no",
        f"rule 2           script name: pid 6; {second}; at most 1 in 1d, {often}",
    ]


@pytest.mark.parametrize("pattern", ["\x1b[31m", "\ud800", "\x9b", "\u202e"])
def test_the_summary_is_safe_for_a_terminal(pattern: str) -> None:
    """Patterns may come from the environment."""
    settings = parse("processes: [{match: {command: '${P}|x'}}]", "f.yaml", {"P": re.escape(pattern)})
    assert summary(settings).replace("\n", "").isprintable()
