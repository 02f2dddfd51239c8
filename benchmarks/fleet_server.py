"""The benchmark's own Prometheus on loopback: its data in a temporary folder, and hardly a limit on what is asked."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from fakes.conditions import wait_for
from fakes.machine import free_port, get, program
from measure import rss_mib

FLAGS = (
    "--web.enable-remote-write-receiver",
    "--web.enable-lifecycle",
    # All stays in the newest block, as the last two hours do anywhere, and may be written in any order of series.
    "--storage.tsdb.min-block-duration=1d",
    "--storage.tsdb.max-block-duration=1d",
    # Raw queries over a fleet need more than the defaults of 50 million samples and two minutes.
    "--query.max-samples=1000000000",
    "--query.timeout=10m",
)


@dataclass(frozen=True)
class Answer:
    """What came back, and how long it took from asking to the last byte."""

    seconds: float
    data: Any

    @property
    def series(self) -> int:
        """How many there are; a scalar is one."""
        return len(self.data["result"]) if self.data["resultType"] in ("vector", "matrix") else 1


@dataclass(frozen=True)
class Server:
    """A running one."""

    address: str
    folder: Path
    pid: int

    def at(self, expression: str, when: float) -> Answer:
        """Its value at one time."""
        return self._ask("query", query=expression, time=when)

    def over(self, expression: str, start: float, end: float, step: float) -> Answer:
        """Its values over a range."""
        return self._ask("query_range", query=expression, start=start, end=end, step=step)

    def groups(self) -> list[dict[str, Any]]:
        """Rule groups, each with what its last evaluation took."""
        return list(self._ask("rules").data["groups"])

    def use(self, config: Mapping[str, Any]) -> None:
        """Run with this configuration from now on."""
        _config(self.folder).write_text(json.dumps(config))
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("POST", "/-/reload")
        told = connection.getresponse()
        assert told.status == 200, told.read()
        connection.close()

    @property
    def rss_mib(self) -> float:
        """Its memory now."""
        return rss_mib(self.pid)

    @property
    def disk_mib(self) -> float:
        """What its data take."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()) / 2**20

    def _ask(self, path: str, **parameters: str | float) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=600)
        began = time.perf_counter()
        connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
        body = connection.getresponse().read()
        took = time.perf_counter() - began
        connection.close()
        told = json.loads(body)
        if told["status"] != "success":
            raise SystemExit(f"{parameters}: {told}")
        return Answer(took, told["data"])


def _config(folder: Path) -> Path:
    return folder / "prometheus.json"


@contextmanager
def serving() -> Iterator[Server]:
    """One that is empty and scrapes nothing."""
    with TemporaryDirectory(prefix="heapwarden-bench-") as name:
        folder, address = Path(name), f"127.0.0.1:{free_port()}"
        _config(folder).write_text("{}")
        own = (f"--config.file={_config(folder)}", f"--storage.tsdb.path={folder / 'tsdb'}")
        with program(("prometheus", *own, f"--web.listen-address={address}", *FLAGS)) as started:
            started.line("Server is ready")
            wait_for(lambda: get(f"http://{address}/-/ready").status == 200)
            yield Server(address, folder, started.pid)
