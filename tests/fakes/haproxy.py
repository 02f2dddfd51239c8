"""A real HAProxy in front of two servers, with the configuration of ``deploy/load-balancers``."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.machine import ROOT, free_port, program

CONFIG = ROOT / "deploy" / "load-balancers" / "haproxy.cfg"
SERVERS = ("one", "two")


@dataclass(frozen=True)
class Server:
    """Where a server's app is, and where its health is asked for; both on loopback."""

    port: int
    health_port: int


@dataclass(frozen=True)
class HaProxy:
    """A running one."""

    url: str
    statistics: Path

    def servers(self) -> dict[str, str]:
        """UP or DOWN by the name of the server, once each was checked."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.statistics))
                client.sendall(b"show stat\n")
                text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        except OSError:
            return {}
        rows = [line.split(",") for line in text.splitlines() if line.startswith("app,")]
        return {row[1]: row[17].split()[0] for row in rows if row[1] != "BACKEND" and row[36].startswith("L7")}

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
    }
