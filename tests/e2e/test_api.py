"""Restart, drain and undrain by request: real processes, the real command line, and what history says of it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, HEAPWARDEN, AgentHandle, Program, agent, app, get, node, post

APP = APPS / "leaky.cjs"
TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105  of nothing
AGAIN = 'while :; do "$@" & wait $!; done'
"""What a supervisor is at its smallest: it starts the command again whenever it ends."""


class Scene:
    """An agent with a token, and apps that a shell brings back."""

    def __init__(self, folder: Path, watcher: AgentHandle) -> None:
        """Nothing is asked yet."""
        self.folder, self.watcher = folder, watcher

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`heapwarden` beside the agent."""
        return subprocess.run(
            [*HEAPWARDEN, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=self.folder
        )

    def ask(self, *arguments: str) -> str:
        """One of the verbs, with the token; it must be accepted."""
        done = self.cli(*arguments, "--url", self.watcher.url, "--token-file", "token")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def history(self, kind: str) -> list[dict[str, object]]:
        """Oldest first."""
        done = self.cli("history", "--json", "--kind", kind, "--state-dir", "state")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def pids(self) -> dict[str, int]:
        """Those in service, by worker."""
        return {one["worker"]: one["pid"] for one in self.watcher.processes() if one["serving"]}

    def status(self) -> int:
        """What a balancer is told."""
        return self.watcher.get("/readyz").status


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """See :class:`Scene`."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    rules = "drain: 200ms, grace: 30s, budget: {restarts: 1, per: 1h}"
    config = f"api: {{token_file: {tmp_path}/token}}\nunmatched: ignore\nprocesses:\n"
    config += f"  - {{name: api, match: {{command: 'leaky\\.cjs$'}}, restart: {{{rules}}}}}\n"
    with agent(tmp_path, config) as watcher:
        yield Scene(tmp_path, watcher)


@contextmanager
def supervised(scene: Scene) -> Iterator[Program]:
    """One app that is brought back; when the shell is asked to end, the app that runs ends with it."""
    script = f'trap "kill \\$!; exit" TERM; {AGAIN}'
    with app(scene.watcher, "sh", "-c", script, "sh", node(22), APP) as started:
        yield started


def test_a_restart_by_request_goes_its_stages_and_is_in_the_history(scene: Scene) -> None:
    """Without any rule, twice although the budget is one: people are not bound by it."""
    with supervised(scene):
        for _ in range(2):
            before = wait_for(scene.pids)
            said = scene.ask("restart", "api", "--reason", "config has changed")
            assert said.startswith(f"api/0 (pid {before['0']}): restart accepted (")
            wait_for(lambda before=before: (now := scene.pids()) and now != before)  # type: ignore[misc]  mypy can't see lambda defaults
        wait_for(lambda: [one["what"] for one in scene.history("restart")].count("done") == 2)
        first = scene.history("restart")[0]
        assert "config has changed" in str(first["text"])
        requests = scene.history("request")
        assert [(one["what"], one["process"]) for one in requests] == [("restart", "api")] * 2
        assert requests[0]["figures"] == {"from": "127.0.0.1", "status": 202}
        assert first["restart"]
        labels = {"process": "api", "worker": "0", "reason": "requested", "dry_run": "false"}
        assert scene.watcher.metric("heapwarden_restarts_total", **labels) == 2


def test_all_workers_are_restarted_one_at_a_time(scene: Scene) -> None:
    """Two of a name: one request, and never both out of service."""
    with supervised(scene), supervised(scene):
        before = wait_for(lambda: len(found := scene.pids()) == 2 and found)
        scene.ask("restart", "api")
        fewest = 2

        def both_new() -> bool:
            nonlocal fewest
            now = scene.pids()
            fewest = min(fewest, len(now))
            return len(now) == 2 and not {*now.values()} & {*before.values()}

        wait_for(both_new, 60)
        assert fewest >= 1
        assert scene.history("exit")
        assert {one["what"] for one in scene.history("exit")} <= {"memory_restart", "clean"}


def test_a_drained_process_lives_on_until_it_is_undrained(scene: Scene) -> None:
    """503 with the reason, the same pid; 200 again after."""
    with supervised(scene):
        before = wait_for(scene.pids)
        scene.ask("drain", "api", "--worker", "0", "--reason", "maintenance")
        wait_for(lambda: scene.status() == 503)
        assert "maintenance" in " ".join(scene.watcher.get("/healthz/api").json["reasons"])
        refused = scene.cli("drain", "api", "--url", scene.watcher.url, "--token-file", "token")
        assert (refused.returncode, "409" in refused.stderr) == (1, True)
        scene.ask("undrain", "api")
        wait_for(lambda: scene.status() == 200)
        assert scene.pids() == before
        assert [one["what"] for one in scene.history("request")] == ["drain", "drain", "undrain"]


def test_a_drain_ends_with_its_process(scene: Scene) -> None:
    """Its successor serves."""
    with supervised(scene):
        before = wait_for(scene.pids)
        scene.ask("drain", "api")
        wait_for(lambda: scene.status() == 503)
        os.kill(before["0"], signal.SIGTERM)
        wait_for(lambda: (now := scene.pids()) and now != before)
        assert scene.status() == 200


def test_without_the_token_nothing_is_done(scene: Scene) -> None:
    """401, the process lives on, and the history says who tried; the token is nowhere in it."""
    with supervised(scene):
        before = wait_for(scene.pids)
        url = f"{scene.watcher.url}/processes/api/restart"
        assert post(url).status == 401
        assert post(url, authorization="Bearer wrong-token-of-somebody").status == 401
        (event,) = wait_for(lambda: scene.history("request"))
        assert event["figures"] == {"from": "127.0.0.1", "status": 401}
        assert scene.pids() == before
        assert get(f"{scene.watcher.url}/livez").status == 200
        written = b"".join(file.read_bytes() for file in (scene.folder / "state").iterdir())
        assert b"wrong-token" not in written
        assert TOKEN.encode() not in written
        assert not any(TOKEN in line or "wrong-token" in line for line in scene.watcher.program.err)
