"""What the live page is told by a real agent about a real process that is restarted."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from fakes.conditions import wait_for
from fakes.event_source import EventSource, event_source, rows_of
from fakes.machine import APPS, AgentHandle, Program, agent, app, node

TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105  of nothing
CONFIG = f"""\
api: {{token: {TOKEN}}}
sample_interval: 200ms
unmatched: ignore
processes:
  - {{name: api, match: {{command: 'leaky\\.cjs$'}}, restart: {{drain: 200ms}}}}
"""
AGAIN = 'trap "kill \\$!; exit" TERM; while :; do "$@" & wait $!; done'
"""What a supervisor is at its smallest: it starts the command again whenever it ends."""


@contextmanager
def supervised(watcher: AgentHandle) -> Iterator[Program]:
    """One app that is brought back."""
    with app(watcher, "sh", "-c", AGAIN, "sh", node(22), APPS / "leaky.cjs") as started:
        yield started


@contextmanager
def looking(watcher: AgentHandle) -> Iterator[EventSource]:
    """A page that shows the app."""
    with event_source(f"{watcher.url}/live/events?process=api&worker=0") as page:
        yield page


def restart(watcher: AgentHandle) -> None:
    """Ask for it, as an operator does."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    request = Request(f"{watcher.url}/processes/api/restart", method="POST", headers=headers)  # noqa: S310  loopback
    with urlopen(request, timeout=60) as response:  # noqa: S310  loopback
        assert json.load(response)["accepted"]


def point(page: EventSource, columns: list[str]) -> dict[str, Any]:
    """The next row with heap figures, by name."""
    while True:
        row = dict(zip(columns, page.next("point")["row"], strict=True))
        if row["heapUsed"] is not None:
            return row


@pytest.mark.node
def test_a_page_sees_a_restart_and_loses_nothing(tmp_path: Path) -> None:
    """Rows and marks while it looks; all of them again for whoever connects again; and the agent ends at once."""
    with agent(tmp_path, CONFIG) as watcher, supervised(watcher):
        wait_for(lambda: [one for one in watcher.processes() if one["isolates"]])
        with looking(watcher) as page:
            columns = page.next("history")["columns"]
            before = page.next("detail")["pid"]
            first = point(page, columns)
            assert 0 < first["heapUsed"] < first["heapLimit"]
            restart(watcher)
            whats: list[tuple[str, str]] = []
            while ("restart", "done") not in whats:
                whats += [(one["kind"], one["what"]) for one in page.next("entries")["entries"]]
            assert [what for kind, what in whats if kind == "restart"][:2] == ["drain", "terminate"]
            assert "exit" in [kind for kind, _ in whats]
            while page.next("detail")["pid"] == before:
                pass
            last = point(page, columns)
        with looking(watcher) as again:
            rows = rows_of(again.next("history"))
            assert [row["time"] for row in rows] == sorted({row["time"] for row in rows})
            for known in (first, last):
                (same,) = (row for row in rows if row["time"] == pytest.approx(known["time"], abs=0.002))
                assert same["heapUsed"] == pytest.approx(known["heapUsed"])
            assert ("restart", "done") in {(one["kind"], one["what"]) for one in again.next("entries")["entries"]}
            (tmp_path / "heapwarden.yaml").write_text(f"{CONFIG}history_memory: off\n")
            watcher.program.signal(signal.SIGHUP)
            watcher.program.line("settings reloaded")
            with looking(watcher) as third:
                assert rows_of(third.next("history")) == []
            watcher.program.signal(signal.SIGTERM)
            assert again.ended()
            assert watcher.program.wait() == 0
    with agent(tmp_path, CONFIG) as successor, looking(successor) as page:
        entries = page.next("entries")["entries"]
        assert ("restart", "done") in {(one["kind"], one["what"]) for one in entries}
        assert [one["wall"] for one in entries] == sorted(one["wall"] for one in entries)


@pytest.mark.node
def test_entries_come_without_a_journal(tmp_path: Path) -> None:
    """A state folder that is none takes nothing away from the page."""
    (tmp_path / "state").write_text("")
    with agent(tmp_path, CONFIG) as watcher, looking(watcher) as page, supervised(watcher):
        texts: list[str] = []
        while not any("healthy" in text for text in texts):
            texts += [one["text"] for one in page.next("entries")["entries"]]
