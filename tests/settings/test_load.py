"""The settings file as a whole: from text to records, or to all that is wrong with it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from heapwarden.domain.errors import SettingsError
from heapwarden.domain.place import AskPods
from heapwarden.domain.restart import Hook, Method, Plan
from heapwarden.policy.health import HealthRules, HeapDenominator, OnUnknown, UsageRule
from heapwarden.policy.matching import Match, ProcessRule, Watchlist
from heapwarden.policy.restart import Budget, HeapFigure, MemoryRule, Pauses, RestartRules, ShareRule
from heapwarden.settings import default_path, load, parse, parse_duration, parse_listen, parse_memory
from heapwarden.settings.load import MAX_BYTES
from heapwarden.settings.model import ApiToken, Listen, Settings
from heapwarden.settings.schema import all_keys
from heapwarden.settings.section import example_of

EVERYTHING = r"""
listen: "[::1]:8080"
socket: /tmp/agent.sock
socket_mode: 0600
state_dir: /tmp/state
journal: {max_age: 8d, max_rows: 1234}
api: {token: "${TOKEN}"}
sample_interval: 250ms
gc_profiler: off
prom_client_metrics: on
kubernetes: {pods: own}
history_memory: 32M
retry_after: 1m
unmatched: ignore
defaults:
  health:
    heap_usage: {unhealthy: 70%, recover: 60%, of: heap_total, for: 0s}
    container_usage: {unhealthy: 80%, recover: 75%, for: 1m30s}
    on_unknown: unhealthy
    start_grace: 1m
    stale_after: 500ms
    escalate_to_restart_after: 10m
  restart:
    max_memory: {above: 50%, for: 1s}
    tree: true
    heap_usage: {above: 97%, of: live}
    container_usage: 98%
    for: 2s
    min_uptime: 3s
    drain: 4s
    grace: 5s
    successor_timeout: 6s
    signal: SIGINT
    method: command
    command: docker restart 'an app'
    before: [{command: [dump], timeout: 7s}, {url: http://a/b}]
    after: [{url: 'https://a/c?d=e'}]
    budget: {restarts: 8, per: 9m}
    cooldown: 10s
    max_cooldown: 11s
    cooldown_reset: 12s
    jitter: 13s
    coordinate: {lease: all.apis, max_unavailable: 2}
    confirm_with_gc: true
    dry_run: true
processes:
  - name: api
    match: {command: 'server\.js$', children_of: 42}
    health:
      heap_usage: {recover: 50%}
      on_unknown: healthy
      escalate_to_restart_after: off
    restart:
      max_memory_restart: 300M
      heap_usage: off
      before: []
      method: webhook
      url: http://a/restart
      dry_run: false
  - match: {pid: 7, children_of: pm2}
"""


def faults(text: str, environment: dict[str, str] | None = None) -> list[str]:
    """What is wrong with ``text``, a line each."""
    with pytest.raises(SettingsError) as caught:
        parse(text, "f.yaml", environment or {})
    return str(caught.value).splitlines()


def refusal(text: str) -> list[str]:
    """As :func:`faults`, of a text that may be right; then whatever comes out holds together."""
    try:
        health = parse(text, "f.yaml", {"A": "80%"}).watchlist.default_health
    except SettingsError as error:
        return str(error).splitlines()
    assert health.heap.recover_ratio < health.heap.unhealthy_ratio
    return []


def test_no_file_is_the_defaults() -> None:
    """As is an empty file, and one with nothing but empty sections."""
    for text in (
        "",
        "# nothing\n",
        "---\n",
        "defaults:\nprocesses:\n",
        "defaults: {health: {heap_usage: }}\nprocesses: []",
    ):
        assert parse(text, "f.yaml", {}) == Settings()
    assert load(None, {}) == Settings()


def test_every_key_arrives() -> None:
    """Each in its record, and rules with the defaults that they don't override."""
    health = HealthRules(
        heap=UsageRule(0.7, 0.6, 0.0),
        heap_of=HeapDenominator.HEAP_TOTAL,
        container=UsageRule(0.8, 0.75, 90.0),
        on_unknown=OnUnknown.UNHEALTHY,
        start_grace_seconds=60.0,
        stale_after_seconds=0.5,
    )
    restart = RestartRules(
        max_memory=MemoryRule(0.5, 1.0),
        tree=True,
        heap_usage=ShareRule(0.97, 2.0),
        heap_of=HeapFigure.LIVE,
        container_usage=ShareRule(0.98, 2.0),
        escalate_after_seconds=600.0,
        confirm_with_gc=True,
        min_uptime_seconds=3.0,
        budget=Budget(8, 540.0),
        pauses=Pauses(10.0, 11.0, 12.0, 13.0),
        method=Method.COMMAND,
        plan=Plan(
            signal="SIGINT",
            drain_seconds=4.0,
            grace_seconds=5.0,
            successor_seconds=6.0,
            before=(Hook(command=("dump",), timeout_seconds=7.0), Hook(url="http://a/b")),
            after=(Hook(url="https://a/c?d=e"),),
            command=("docker", "restart", "an app"),
            lease="all.apis",
            max_unavailable=2,
        ),
        dry_run=True,
    )
    api = replace(health, heap=UsageRule(0.7, 0.5, 0.0), on_unknown=OnUnknown.HEALTHY)
    restarted = replace(
        restart,
        max_memory=MemoryRule(300 * 2**20, 1.0),
        heap_usage=None,
        heap_of=HeapFigure.USED,
        escalate_after_seconds=None,
        method=Method.WEBHOOK,
        plan=replace(restart.plan, before=(), command=(), url="http://a/restart"),
        dry_run=False,
    )
    first = ProcessRule("api", Match(command=re.compile(r"server\.js$"), children_of_pid=42), api, restarted)
    second = ProcessRule(None, Match(pid=7, children_of_command=re.compile("pm2")), health, restart)
    assert parse(EVERYTHING, "f.yaml", {"TOKEN": "0123456789abcdef"}) == Settings(
        listen=Listen("::1", 8080),
        socket=Path("/tmp/agent.sock"),  # noqa: S108  only a path, nothing is opened
        socket_mode=0o600,
        state_dir=Path("/tmp/state"),  # noqa: S108  as above
        journal_max_age_seconds=8 * 86_400.0,
        journal_max_rows=1234,
        api_token=ApiToken("0123456789abcdef"),
        sample_interval_seconds=0.25,
        gc_profiler=False,
        prom_client_metrics=True,
        ask_pods=AskPods.OWN,
        history_bytes=32 * 2**20,
        retry_after_seconds=60.0,
        watchlist=Watchlist((first, second), watch_unmatched=False, default_health=health, default_restart=restart),
    )


@pytest.mark.parametrize("rule", ["method: evict", "coordinate: api"])
def test_what_needs_the_kubernetes_client_is_refused_without_it(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the settings are read, not at the first eviction; with what to install."""
    text = f"defaults: {{restart: {{{rule}}}}}"
    assert parse(text, "f.yaml", {}).watchlist.asks_kubernetes
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    key = rule.partition(":")[0]
    (told,) = faults(text)
    assert told.startswith("f.yaml:1:")
    wrong = "this needs the client of the Kubernetes API, which is not installed"
    assert told.endswith(f": defaults.restart.{key}: {wrong}; install it: pip install 'heapwarden[kubernetes]'")
    assert not parse("defaults: {restart: {coordinate: off}}", "f.yaml", {}).watchlist.asks_kubernetes


def restarts(text: str) -> list[RestartRules]:
    """Restart rules in a file with this as its body: the default's, then those of each process."""
    watchlist = parse(text, "f.yaml", {}).watchlist
    return [watchlist.default_restart, *(rule.restart for rule in watchlist.rules)]


def test_without_a_word_nothing_is_restarted() -> None:
    """Rules that are there, and hold never."""
    assert restarts("processes: [{match: {pid: 1}}]") == [RestartRules()] * 2
    assert not RestartRules().any


@pytest.mark.parametrize(
    ("default", "own", "held"),
    [
        pytest.param("max_memory: 1G", "drain: 1s", 10.0, id="nobody says it"),
        pytest.param("max_memory: 1G, for: 5s", "drain: 1s", 5.0, id="the defaults' section"),
        pytest.param("max_memory: 1G, for: 5s", "for: 7s", 7.0, id="the process's section, for what is inherited"),
        pytest.param("max_memory: {above: 1G, for: 6s}, for: 5s", "for: 7s", 6.0, id="the defaults' rule"),
        pytest.param("max_memory: {above: 2G, for: 6s}", "max_memory: 1G, for: 7s", 6.0, id="only above is other"),
        pytest.param("max_memory: {above: 1G, for: 6s}", "max_memory: {for: 0s}", 0.0, id="only the time is other"),
        pytest.param("max_memory_restart: 2G, for: 5s", "max_memory: 1G", 5.0, id="by PM2's name in the defaults"),
        pytest.param("max_memory: 2G, for: 5s", "max_memory_restart: 1G", 5.0, id="by PM2's name in the rule"),
    ],
)
def test_how_long_a_rule_must_hold(default: str, own: str, held: float) -> None:
    """What is nearest to the rule says it; a process's keys are laid over the defaults' one by one."""
    rules = restarts(f"defaults: {{restart: {{{default}}}}}\nprocesses: [{{match: {{pid: 1}}, restart: {{{own}}}}}]")[1]
    assert rules.max_memory == MemoryRule(2**30, held)


def test_off_takes_back_what_the_defaults_say() -> None:
    """Each rule by itself."""
    rules = restarts(
        "defaults: {health: {escalate_to_restart_after: 1m}, restart: {max_memory: 1G, heap_usage: 90%, "
        "container_usage: 91%}}\nprocesses: [{match: {pid: 1}, health: {escalate_to_restart_after: off}, "
        "restart: {max_memory: off, heap_usage: {above: off, of: live}, container_usage: off}}]"
    )
    assert rules[0].any
    assert rules[1] == RestartRules()


def test_a_command_is_inherited_only_by_its_method() -> None:
    """A process that is restarted in another way has none, and one that comes back to it has that of the defaults."""
    rules = restarts(
        "defaults: {restart: {method: command, command: a b}}\n"
        "processes: [{match: {pid: 1}, restart: {method: signal}}, {match: {pid: 2}, restart: {method: command}}]"
    )
    assert [rule.plan.command for rule in rules] == [("a", "b"), (), ("a", "b")]


def test_lists_replace_those_of_the_defaults() -> None:
    """They are not added to them."""
    rules = restarts(
        "defaults: {restart: {before: [{command: a}, {command: b}]}}\n"
        "processes: [{match: {pid: 1}}, {match: {pid: 2}, restart: {before: [{command: c}]}}]"
    )
    assert [[hook.command for hook in rule.plan.before] for rule in rules] == [
        [("a",), ("b",)],
        [("a",), ("b",)],
        [("c",)],
    ]


def test_a_value_is_read_by_its_key() -> None:
    """Quotes change nothing, and YAML 1.1's own ideas don't come into it."""
    for mode in ("0660", "'0660'", '"0660"'):
        assert parse(f"socket_mode: {mode}", "f.yaml", {}).socket_mode == 0o660
    rule = parse("processes: [{name: no, match: {command: 1.0}}]", "f.yaml", {}).watchlist.rules[0]
    assert rule.name == "no"
    assert rule.match.command is not None
    assert rule.match.command.pattern == "1.0"


def test_variables() -> None:
    """From the mapping that was handed in, and from nowhere else."""
    text = "listen: ${HOST:-127.0.0.1}:${PORT}\ndefaults: {health: {start_grace: '${GRACE:-5s}'}}"
    settings = parse(text, "f.yaml", {"PORT": "81", "GRACE": "7s"})
    assert settings.listen == Listen("127.0.0.1", 81)
    assert settings.watchlist.default_health.start_grace_seconds == 7.0


def test_rules_may_share_a_name() -> None:
    """One service that is started in two ways."""
    text = "processes: [{name: a, match: {pid: 1}}, {name: a, match: {pid: 2}}]"
    assert [rule.name for rule in parse(text, "f.yaml", {}).watchlist.rules] == ["a", "a"]


def test_a_narrower_rule_before_a_wider_one_is_right() -> None:
    """Only the other way round is the second one never reached."""
    parse("processes: [{match: {command: a, pid: 1}}, {match: {command: a}}]", "f.yaml", {})


@pytest.mark.parametrize(
    "text",
    [
        "sample_interval: 5s",
        "sample_interval: 30s\ndefaults: {health: {stale_after: 1m}}",
        "defaults: {health: {heap_usage: {unhealthy: 100%, recover: 99.9%}}}",
        "defaults: {health: {heap_usage: {unhealthy: 80.1%}}}",
        "defaults: {health: {heap_usage: {recover: 40%}}}\n"  # noqa: ISC004  one text of two lines
        "processes: [{match: {pid: 1}, health: {heap_usage: {unhealthy: 45%}}}]",
        "unmatched: ignore\nprocesses: [{match: {pid: 1}}]",
        "unmatched: watch",
        "retry_after: 1h",
        "sample_interval: 100ms",
        "sample_interval: 1m\ndefaults: {health: {stale_after: 2m}}",
        "processes: [{match: {pid: 1}, restart: {max_memory: 10M}}]",
        "processes: [{match: {pid: 1}, restart: }]",
        "defaults: {restart: {cooldown: 15m}}",
        "defaults: {restart: {cooldown: 0s, max_cooldown: 0s, cooldown_reset: 0s}}",
        "defaults: {restart: {max_cooldown: 1h}}",
        "defaults: {restart: {jitter: 1h}}",
        "defaults: {restart: {jitter: 2m, budget: {restarts: 1, per: 2m}}}",
        "defaults: {restart: {max_memory: {for: 0s}}}",
        "defaults: {restart: {heap_usage: 99.9%, max_memory: 99%, tree: true}}",
        "defaults: {restart: {drain: 0s, grace: 0s}}",
        "defaults: {restart: {method: command, command: x}}\n"  # noqa: ISC004  one text of two lines
        "processes: [{match: {pid: 1}, restart: {method: webhook, url: http://x}}]",
        "defaults: {restart: {max_memory_restart: 1G}}\n"  # noqa: ISC004  as above
        "processes: [{match: {pid: 1}, restart: {max_memory: 1G}}]",
    ],
)
def test_pairs_that_just_hold_together(text: str) -> None:
    """The neighbours of what is refused."""
    parse(text, "f.yaml", {})


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    """Unset variables, unknown keys, wrong values and pairs, whichever step finds them."""
    told = faults(
        "processes:\n  - match: {pid: x}\n  - match: {}\nlisten: ${NOPE}\nlisn: 1\n"
        "defaults: {health: {heap_usage: {unhealthy: 50%}, on_unknown: 1, on_unknown: 2}}\n"
    )
    assert [line.split(": ")[:2] for line in told] == [
        ["f.yaml:2:18", "processes[0].match.pid"],
        ["f.yaml:3:12", "processes[1].match"],
        ["f.yaml:4:9", "listen"],
        ["f.yaml:5:1", "lisn"],
        ["f.yaml:6:45", "defaults.health.heap_usage.unhealthy"],
        ["f.yaml:6:66", "defaults.health.on_unknown"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("defaults: {health: {heap_usage: {unhealthy: 75%, recover: 60}}}", id="recover is wrong itself"),
        pytest.param("defaults: {health: {heap_usage: {recover: 95%, unhealthy: 99}}}", id="unhealthy is wrong itself"),
        pytest.param(
            "defaults: {health: {heap_usage: {recover: 60}}}\n"
            "processes: [{match: {pid: 1}, health: {heap_usage: {unhealthy: 75%}}}]",
            id="the default below is wrong itself",
        ),
        pytest.param("processes: [{match: {comand: a}}]", id="the only condition is misspelled"),
        pytest.param("processes: [{match: {command: '['}}]", id="the only condition is wrong"),
        pytest.param("processes: [5]", id="the rule is none"),
        pytest.param("unmatched: ignore\nprocesses: 5", id="no rules, because they are wrong"),
        pytest.param("sample_interval: 30s\ndefaults: {health: {stale_after: 60}}", id="stale_after is wrong itself"),
        pytest.param("processes: [{match: {pid: 1}, restart: {budget: {restarts: 3, pr: 1h}}}]", id="half a budget"),
        pytest.param("defaults: {restart: {method: comand, command: x}}", id="the method is wrong itself"),
        pytest.param("defaults: {restart: {method: command, command: [x, [y]]}}", id="the command is wrong itself"),
        pytest.param("defaults: {restart: {before: [{url: x}]}}", id="the hook's only action is wrong itself"),
        pytest.param("defaults: {restart: {before: [x]}}", id="the hook is none"),
        pytest.param("defaults: {restart: {cooldown: 20m, max_cooldown: 30}}", id="the other pause is wrong itself"),
        pytest.param("defaults: {restart: {jitter: 20m, budget: {restarts: 1, per: 1}}}", id="per is wrong itself"),
        pytest.param(
            "processes: [{match: {pid: 1}, restart: {max_memory: {above: 1, for: 1s}}}]", id="above is wrong itself"
        ),
        pytest.param(
            "defaults: {restart: {heap_usage: 9}}\nprocesses: [{match: {pid: 1}, restart: {heap_usage: {for: 1s}}}]",
            id="the default mark is wrong itself",
        ),
        pytest.param("listen: ${NOPE}", id="a value that is missing for want of a variable"),
    ],
)
def test_a_fault_has_no_echoes(text: str) -> None:
    """What is no more than a consequence of another fault is not told."""
    assert len(faults(text)) == 1


def test_a_wrong_file_does_not_become_an_endless_message() -> None:
    """The first 50 faults, and how many more there are."""
    told = faults("".join(f"key{number}: 1\n" for number in range(1000)))
    assert len(told) == 51
    assert told[0].startswith("f.yaml:1:1: key0: unknown key")
    assert told[-1] == "f.yaml: 950 more faults are not shown; mend these first"


def test_what_is_shown_is_safe_for_a_terminal() -> None:
    """Keys and values may hold escape sequences, and the environment any bytes."""
    told = faults('"\\e]0;x\\a": 1\nlisten: "\\e[31m"\nsocket: ${S}\n"\\n": 2', {"S": "\udcff\x1b" + "x" * 10_000})
    text = "".join(told)
    assert text.isprintable()
    assert len(told) == 4
    assert all(len(line) < 400 for line in told)


PARTNERS = (
    ("restart.max_memory.for", "above: 1G"),
    ("restart.max_memory_restart.for", "above: 1G"),
    ("restart.heap_usage.for", "above: 95%"),
    ("restart.heap_usage.of", "above: 95%"),
    ("restart.container_usage.for", "above: 95%"),
    ("restart.command", "method: command"),
    ("restart.url", "method: webhook"),
    ("coordinate.max_unavailable", "lease: api"),
    ("budget.restarts", "per: 1h"),
    ("budget.per", "restarts: 3"),
    ("[].timeout", "command: [x]"),
)
"""What keys that end so can't be without."""


@pytest.mark.parametrize(
    ("keys", "field"), [pytest.param(keys, field, id=".".join(keys)) for keys, field in all_keys()]
)
def test_every_example_is_right(keys: tuple[str, ...], field: FieldInfo, tmp_path: Path) -> None:
    """Messages and the reference show them, so they must work when they are pasted."""
    (tmp_path / "token").write_text("0123456789abcdef\n")
    example = example_of(field).replace("/etc/heapwarden/token", str(tmp_path / "token"))
    partners = "".join(f", {partner}" for end, partner in PARTNERS if ".".join(keys).endswith(end))
    text = f"{keys[-1]}: {example}{partners}"
    for key in reversed(keys[:-1]):
        if key == "processes[]":
            condition = "" if "match" in keys else "match: {pid: 1}, "
            text = f"processes: [{{{condition}{text}}}]"
        elif key.endswith("[]"):
            text = f"{key[:-2]}: [{{{text}}}]"
        else:
            text = f"{key}: {{{text}}}"
    parse(text, "f.yaml", {"HEAPWARDEN_TOKEN": "0123456789abcdef"})


@hypothesis_settings(deadline=None)
@given(st.text())
@example("a: [")
@example("\ud800")
@example("a: !!int x")
@example("%YAML 2.0\n---\n")
@example("? ? ?")
@example("<<: {}")
@example("a: \x85b")
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    """Nothing but SettingsError is ever raised, and each line of it has its place."""
    told = refusal(text)
    assert all(re.match(r"f\.yaml:\d+:\d+: .+; .+", line) for line in told)


KEYS = [*sorted({keys[-1] for keys, _ in all_keys()}), "<<", "other"]
SCALARS = st.sampled_from(
    [
        "",
        "~",
        "90%",
        "10s",
        "1G",
        "${A}",
        "${B:-1s}",
        "watch",
        "'['",
        "true",
        "0660",
        "/x",
        ":1",
        "&a",
        "*a",
        "!t x",
        "42",
        '"\\x00"',
    ]
)
FLOW = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(KEYS), inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=25,
)


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KEYS), FLOW), max_size=6))
def test_arbitrary_settings_are_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    """Known keys in any place with any value: nothing but SettingsError is ever raised."""
    told = refusal("".join(f"{key}: {value}\n" for key, value in pairs))
    assert all(line.startswith("f.yaml:") for line in told)


def test_load_reads_a_file(tmp_path: Path) -> None:
    """Whose name is in the messages."""
    path = tmp_path / "h.yaml"
    path.write_text("listen: :1\n")
    assert load(path, {}).listen.port == 1
    path.write_text("listen: 1\n")
    with pytest.raises(SettingsError, match=re.escape(f"{path}:1:9: listen: ")):
        load(path, {})


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    """Missing, a folder, a name that no file can have: what is wrong, and the next step."""
    for path, reason in (
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "x\0y", "embedded null byte"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(SettingsError, match=f"can't be read: .*{reason}; name another file, or none"):
            load(path, {})


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    """The place of the first wrong byte."""
    path = tmp_path / "h.yaml"
    path.write_bytes(b"listen: :1\nsocket: /\xe4\n")
    with pytest.raises(SettingsError, match=re.escape(f"{path}:2:10: byte 0xe4 is not UTF-8")):
        load(path, {})
    path.write_text("listen: :1\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=re.escape(f"{path}:1:1: byte 0xff is not UTF-8")):
        load(path, {})
    path.write_text("listen: :1\n", encoding="utf-8-sig")
    assert load(path, {}).listen.port == 1


def test_a_file_has_at_most_a_mebibyte(tmp_path: Path) -> None:
    """One byte more is refused before it is parsed; a file that never ends is too."""
    path = tmp_path / "h.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert load(path, {}) == Settings()
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    for endless in (path, Path("/dev/zero")):
        with pytest.raises(SettingsError, match="more than 1,048,576 bytes"):
            load(endless, {})


def test_the_file_that_is_read_when_none_is_named(tmp_path: Path) -> None:
    """The variable's, else the usual one if it is there, else none."""
    usual = tmp_path / "usual.yaml"
    assert default_path({"HEAPWARDEN_CONFIG": "/x"}, usual) == Path("/x")
    assert default_path({"HEAPWARDEN_CONFIG": ""}, usual) is None
    usual.touch()
    assert default_path({}, usual) == usual


def test_options_of_the_command_line_are_read_alike() -> None:
    """And name the option where they are wrong."""
    assert parse_duration("1m30s") == 90.0
    assert parse_listen(":1") == Listen(port=1)
    with pytest.raises(SettingsError, match=r'^--log-interval: "5" has no unit; write 5s'):
        parse_duration("5", "--log-interval")
    assert parse_memory("300M") == 300 * 2**20
    assert parse_memory("80%") == 0.8
    with pytest.raises(SettingsError, match=r'^--max-memory: "5" has no unit, and would be 5 bytes; write 5M'):
        parse_memory("5", "--max-memory")
    with pytest.raises(SettingsError, match=r'^"5" has no colon; write :5'):
        parse_listen("5")
