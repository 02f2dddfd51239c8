"""A real Alertmanager on loopback, and what it sends to a webhook."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from fakes.conditions import wait_for
from fakes.machine import get, program
from fakes.prometheus import listening
from fakes.receiver import Receiver

AT_ONCE = {"group_wait": "0s", "group_interval": "1s"}


@dataclass(frozen=True)
class Alertmanager:
    """A running one."""

    url: str

    @property
    def address(self) -> str:
        """Its ``host:port``, as Prometheus is told it."""
        return self.url.removeprefix("http://")

    def post(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Let an alert fire, as Prometheus would."""
        body = json.dumps([{"labels": labels, "annotations": annotations}]).encode()
        request = Request(f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"})  # noqa: S310  loopback
        with urlopen(request, timeout=60) as response:  # noqa: S310  loopback
            assert response.status == 200

    def state(self, alert: str) -> str | None:
        """Of the one alert of this name: active, or suppressed by another; None if it has none."""
        held = get(f"{self.url}/api/v2/alerts").json
        return next((one["status"]["state"] for one in held if one["labels"]["alertname"] == alert), None)


@contextmanager
def alertmanager(folder: Path, config: Mapping[str, Any]) -> Iterator[Alertmanager]:
    """One with this configuration, its files in ``folder``."""
    file = folder / "alertmanager.yml"
    file.write_text(json.dumps(config))
    command = (
        "prometheus-alertmanager",
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    )
    with program(command) as running:
        url = f"http://{listening(running)}"
        wait_for(lambda: get(f"{url}/-/ready").status == 200)
        yield Alertmanager(url)


def to_webhook(config: Mapping[str, Any], receiver: Receiver) -> dict[str, Any]:
    """The same routing and inhibition, but every receiver is the webhook, and what is new is sent at once."""
    names = [one["name"] for one in config["receivers"]]
    hooks = [{"url": f"{receiver.url}/status/200?{name}", "send_resolved": True} for name in names]
    receivers = [{"name": name, "webhook_configs": [hook]} for name, hook in zip(names, hooks, strict=True)]
    return {**config, "receivers": receivers, "route": _at_once(config["route"])}


def _at_once(route: Mapping[str, Any]) -> dict[str, Any]:
    return {**route, **AT_ONCE, "routes": [_at_once(one) for one in route.get("routes", ())]}


@dataclass(frozen=True)
class Notification:
    """One alert in one message to a webhook."""

    receiver: str
    status: str
    """``firing`` or ``resolved``."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def notifications(receiver: Receiver, alert: str) -> list[Notification]:
    """All that has come of an alert so far, oldest first."""
    return [
        Notification(body["receiver"], one["status"], one["labels"], one["annotations"])
        for _, _, body in list(receiver.got)
        for one in body["alerts"]
        if one["labels"]["alertname"] == alert
    ]
