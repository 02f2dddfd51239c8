"""A real HAProxy in front of two servers, with the configuration of ``deploy/load-balancers``."""

import csv
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.machine import ROOT, free_port, program

CONFIG = ROOT / "deploy" / "load-balancers" / "haproxy.cfg"
SERVERS = ("one", "two")
NOBODY = 1
"""No agent-check is answered there; HAProxy goes on without."""


@dataclass(frozen=True)
class Server:
    """Where a server's app is, and where its health is asked for; all on loopback."""

    port: int
    health_port: int
    agent_check_port: int = NOBODY


@dataclass(frozen=True)
class HaProxy:
    """A running one."""

    url: str
    statistics: Path

    def servers(self) -> dict[str, str]:
        """UP, DRAIN, MAINT or DOWN by the name of the server, once each was checked."""
        rows = self._rows()
        return {name: row["status"].split()[0] for name, row in rows.items() if row["check_status"].startswith("L7")}

    def weights(self) -> dict[str, int]:
        """Of 100, by the name of the server."""
        return {name: int(row["weight"]) for name, row in self._rows().items()}

    def status(self, server: str) -> str:
        """In HAProxy's own words, as ``DRAIN (agent)``, checked or not."""
        return self._rows()[server]["status"]

    def operate(self, command: str) -> str:
        """What an operator may say to its socket; the answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.statistics))
            client.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def _rows(self) -> dict[str, dict[str, str]]:
        """Its statistics by the name of the server; none while it starts."""
        try:
            table = csv.DictReader(self.operate("show stat").removeprefix("# ").splitlines())
        except OSError:
            return {}
        return {row["svname"]: row for row in table if row["pxname"] == "app" and row["svname"] in SERVERS}

    def all_up(self) -> bool:
        """Whether both serve."""
        return self.servers() == dict.fromkeys(SERVERS, "UP")


@contextmanager
def haproxy(folder: Path, one: Server, two: Server) -> Iterator[HaProxy]:
    """Start it, with its files in ``folder``."""
    statistics, file, port = folder / "stats.sock", folder / "haproxy.cfg", free_port()
    text = CONFIG.read_text()
    log = "log stdout format raw local0"
    assert log in text
    file.write_text(text.replace(log, f"stats socket {statistics} level admin"))
    with program(("haproxy", "-db", "-f", file), {**os.environ, "LISTEN": f"127.0.0.1:{port}", **_named(one, two)}):
        yield HaProxy(f"http://127.0.0.1:{port}", statistics)


def _named(one: Server, two: Server) -> Mapping[str, str]:
    return {
        "APP_ONE": f"127.0.0.1:{one.port}",
        "APP_TWO": f"127.0.0.1:{two.port}",
        "HEAPWARDEN_ONE": str(one.health_port),
        "HEAPWARDEN_TWO": str(two.health_port),
        "AGENT_CHECK_ONE": str(one.agent_check_port),
        "AGENT_CHECK_TWO": str(two.agent_check_port),
    }
