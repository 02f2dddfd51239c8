"""Settings written back."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageRule
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.settings import parse
from heapwarden.settings.model import Listen, Settings
from heapwarden.settings.render import as_yaml, summary

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
    return ProcessRule(draw(NAMES), match, draw(HEALTH))


@st.composite
def all_settings(draw: st.DrawFn) -> Settings:
    """Any settings that a file could ask for."""
    some = tuple(draw(rules(pid)) for pid in range(1, draw(st.integers(1, 4))))
    return Settings(
        listen=Listen(draw(st.sampled_from(["127.0.0.1", "::1", "a.b"])), draw(st.integers(0, 65535))),
        socket=Path("/run") / draw(st.sampled_from(["x", "a b", "$$", "${A}", "ä", ": #"])),
        socket_mode=draw(st.sampled_from([0o660, 0o600, 0o777])),
        sample_interval_seconds=0.1,
        gc_profiler=draw(st.booleans()),
        prom_client_metrics=draw(st.booleans()),
        retry_after_seconds=float(draw(st.integers(1, 3600))),
        watchlist=Watchlist(some, not some or draw(st.booleans()), default_health=draw(HEALTH)),
    )


@given(all_settings())
def test_what_is_written_has_the_same_effect(settings: Settings) -> None:
    """The complete file reads as the very settings that it was written from."""
    assert parse(as_yaml(settings), "f.yaml", {"A": "wrong"}) == settings


def test_the_summary_of_the_defaults() -> None:
    """A line for each thing that matters."""
    assert summary(Settings()) == (
        "listen           0.0.0.0:9797\n"
        "socket           /run/heapwarden/agent.sock (mode 0660)\n"
        "sample interval  1s\n"
        "heap             unhealthy from 90% of heap_limit for 30s, healthy below 80%\n"
        "container        unhealthy from 95% of its limit for 30s, healthy below 85%\n"
        "when unknown     healthy\n"
        "start grace      10s\n"
        "stale after      10s\n"
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


@pytest.mark.parametrize("pattern", ["\x1b[31m", "\ud800", "\x9b", "\u202e"])
def test_the_summary_is_safe_for_a_terminal(pattern: str) -> None:
    """Patterns may come from the environment."""
    settings = parse("processes: [{match: {command: '${P}|x'}}]", "f.yaml", {"P": re.escape(pattern)})
    assert summary(settings).replace("\n", "").isprintable()
