"""A real Prometheus on loopback, and questions to it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fakes.conditions import wait_for
from fakes.machine import Program, get, program

Labels = dict[str, str]
LISTENING = re.compile(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)')


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    url: str
    program: Program

    def query(self, expression: str, at: float | None = None) -> list[tuple[Labels, float]]:
        """Each series' labels and value, now or at this Unix time; a scalar has no labels. Fails on a faulty query."""
        data = self._get("query", query=expression, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[tuple[Labels, list[tuple[float, float]]]]:
        """Each series' labels and its points (Unix time, value), as a panel would draw them."""
        data = self._get("query_range", query=expression, start=start, end=end, step=step)
        return [
            (one["metric"], [(float(time), float(value)) for time, value in one["values"]]) for one in data["result"]
        ]

    def targets(self) -> list[dict[str, Any]]:
        """Its active scrape targets."""
        return list(self._get("targets", state="active")["activeTargets"])

    def alertmanagers(self) -> list[str]:
        """Where it sends alerts."""
        return [one["url"] for one in self._get("alertmanagers")["activeAlertmanagers"]]

    def rules(self) -> list[dict[str, Any]]:
        """All its rules, recording and alerting, each with its ``health`` and ``lastError``."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str | float) -> Any:
        body = get(f"{self.url}/api/v1/{path}?{urlencode(parameters)}").json
        assert body["status"] == "success", body
        return body["data"]


def job(
    *targets: str, name: str = "heapwarden", labels: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """A scrape job of these ``host:port`` or URLs with labels of its own; ``more`` are other keys of the job."""
    static = {"targets": [target.removeprefix("http://") for target in targets], "labels": dict(labels or {})}
    return {"job_name": name, "static_configs": [static], **more}


@contextmanager
def prometheus(
    folder: Path,
    *jobs: Mapping[str, Any],
    rules: Sequence[Path] = (),
    alertmanager: str | None = None,
    scrape_interval: str = "1s",
    evaluation_interval: str = "1s",
) -> Iterator[Prometheus]:
    """One with these jobs (see :func:`job`), rule files and Alertmanager (``host:port``), its files in ``folder``."""
    alerting = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    config = {
        "global": {"scrape_interval": scrape_interval, "evaluation_interval": evaluation_interval},
        "scrape_configs": list(jobs),
        "rule_files": [str(rule) for rule in rules],
        **({"alerting": alerting} if alertmanager else {}),
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    with started(folder, file) as running:
        yield running


@contextmanager
def started(folder: Path, config: Path) -> Iterator[Prometheus]:
    """One with a configuration file as it is, its data in ``folder``."""
    command = (
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
    )
    with program(command) as running:
        url = f"http://{listening(running)}"
        wait_for(lambda: get(f"{url}/-/ready").status == 200)
        yield Prometheus(url, running)


def listening(running: Program) -> str:
    """The ``host:port`` that a program of Prometheus' family has said that it listens on."""
    found = LISTENING.search(running.line('msg="Listening on"'))
    assert found, running.err
    return found.group(1)
