"""Everything that a dashboard must be able to show, real and at once: agents, apps, and one Prometheus that saw it all.

Three agents live in a cluster, so that the scrape gives their series ``cluster``, ``namespace``, ``workload`` and
``pod``; one stands on a host without all that.

    shop/api      server: healthy, with worker threads, buffers and garbage; shelf: leaked, and was restarted once
    jobs/batch    importer: leaks slowly near its limit, unhealthy; report: died of a full heap
    shop/gone     its agent was killed, and its target is down
    a host        server: healthy; bare: nothing reports for it, and it is too young for the restart that it wants
"""

import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fakes.cgroups import MIB, V1_MEMORY, inside, limited
from fakes.conditions import wait_for
from fakes.machine import APPS, DEMO, AgentHandle, agent, app, free_port, get, node, program
from fakes.prometheus import Prometheus, job, prometheus

CGROUPS = os.geteuid() == 0 and (V1_MEMORY / "memory.limit_in_bytes").exists()
LEAKY = APPS / "leaky.cjs"
JOB = "monitoring/heapwarden"
CLUSTER = "blue"
AGAIN = 'while :; do "$@" & wait $!; done'
HEAP_MIB, CONTAINER_MIB = 128, 400
IMPORTED_MIB, LEAK_MIB_PER_SECOND = 78, 0.15
RESTART_AT_MIB = 150
REPORTING = 6
"""Processes at the beginning, but for the bare one."""
SCRAPE_TIMEOUT = "400ms"
"""Less than the rules wait until they count events; see ``quick_rules``."""
OLD_ENOUGH_SECONDS = 25.0
"""Younger processes have no forecast; see ``quick_rules``."""

RULES = f"""
unmatched: ignore
processes:
  - {{name: server, match: {{command: " 0 server-"}}}}
  - name: bare
    match: {{command: " 0 bare-"}}
    restart: {{max_memory: {{above: 10M, for: 0s}}, min_uptime: 1h}}
  - name: importer
    match: {{command: " 0 importer-"}}
    health: {{heap_usage: {{unhealthy: 60%, recover: 50%, for: 0s}}}}
  - {{name: report, match: {{command: " 0 report-"}}}}
  - name: shelf
    match: {{command: "leaky"}}
    restart: {{max_memory: {{above: {RESTART_AT_MIB}M, for: 0s}}, min_uptime: 0s, drain: 1s, cooldown: 10m}}
"""


@dataclass(frozen=True)
class Scene:
    """What came of it: all has ended but Prometheus. Unix times."""

    prometheus: Prometheus
    began: float
    """Nothing was scraped yet."""
    restarting: float
    """The leak began that led to the restart."""
    ended: float
    """All was still as it is told above."""
    has_limit: bool
    """The container of ``importer`` has a memory limit: only where cgroups can be made."""


def relabelled(workload: str, namespace: str, agent_handle: AgentHandle) -> dict[str, Any]:
    """A job as discovery in Kubernetes makes it: the labels come from what is known of the pod."""
    rules = [
        {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}
        for source, target in (
            ("namespace", "namespace"),
            ("pod_name", "pod"),
            ("pod_label_app_kubernetes_io_name", "workload"),
        )
    ]
    labels = {
        "cluster": CLUSTER,
        "__meta_kubernetes_namespace": namespace,
        "__meta_kubernetes_pod_name": f"{workload}-0",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": workload,
    }
    found = {"labels": labels, "relabel_configs": rules, "scrape_timeout": SCRAPE_TIMEOUT}
    return job(agent_handle.url, name=f"{JOB}-{workload}", **found)


class Agents:
    """The four, each watching what has its own mark at the end of its command line."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """All started."""
        self._stack, self._folder = stack, folder
        self.of = {name: self._started(name) for name in ("api", "batch", "gone", "host")}

    def _started(self, name: str) -> AgentHandle:
        folder = self._folder / name
        folder.mkdir()
        return self._stack.enter_context(agent(folder, RULES, "--command", f"{self._mark(name)}$"))

    def _mark(self, name: str) -> str:
        return f"{name}-{os.getpid()}-{self._folder.name}"

    def demo(self, name: str, process: str, *options: str, major: int = 24, limited_to: Path | None = None) -> str:
        """A demo app that reports to the agent of this name, in a cgroup or in the test's; its address."""
        command = [node(major), "--expose-gc", *options, str(DEMO), "0", f"{process}-{self._mark(name)}"]
        whole = command if limited_to is None else inside(limited_to, *command)
        started = self._stack.enter_context(app(self.of[name], *whole))
        return started.line("demo app on ").split()[3].rstrip("/")

    def misled(self, name: str) -> None:
        """The agent's settings are spoilt, and it is told to read them; somebody speaks nonsense to its socket."""
        (self._folder / name / "heapwarden.yaml").write_text("sample_intervall: 5s\n")
        self.of[name].program.signal(signal.SIGHUP)
        with closing(socket.socket(socket.AF_UNIX)) as stranger:
            stranger.connect(str(self.of[name].socket))
            stranger.sendall(b"nonsense\n")

    def bare(self, name: str) -> None:
        """One that does not report."""
        command = (node(24), DEMO, "0", f"bare-{self._mark(name)}")
        self._stack.enter_context(program(command)).line("demo app on ")

    def shelf(self, name: str) -> str:
        """A leaky server that is brought back whenever it ends; its address."""
        port = free_port()
        command = ("sh", "-c", AGAIN, "sh", node(22), LEAKY, self._mark(name))
        environment = self.of[name].environment(PORT=str(port))
        started = self._stack.enter_context(program(command, environment, start_new_session=True))
        self._stack.callback(os.killpg, started.pid, signal.SIGKILL)
        started.line("listening")
        return f"http://127.0.0.1:{port}"


@contextmanager
def scene(folder: Path, rules: Sequence[Path] = ()) -> Iterator[Scene]:
    """All of it, played to its end, with these rule files in Prometheus."""
    with ExitStack() as stack:
        apps = stack.enter_context(ExitStack())
        agents = Agents(folder, apps)
        jobs = [
            relabelled("api", "shop", agents.of["api"]),
            relabelled("batch", "jobs", agents.of["batch"]),
            relabelled("gone", "shop", agents.of["gone"]),
            job(agents.of["host"].url, name="heapwarden", scrape_timeout=SCRAPE_TIMEOUT),
        ]
        began = time.time()
        server = stack.enter_context(prometheus(folder, *jobs, rules=rules))
        limit = apps.enter_context(limited(CONTAINER_MIB * MIB)) if CGROUPS else None
        restarting = _play(agents, server, limit)
        ended = _settled(server, time.time())
        apps.close()
        yield Scene(server, began, restarting, ended, has_limit=limit is not None)


def _play(agents: Agents, server: Prometheus, limit: Path | None) -> float:
    """Bring all about; when the leak began that was restarted."""
    importer = agents.demo("batch", "importer", f"--max-old-space-size={HEAP_MIB}", limited_to=limit)
    _ask(importer, "free", f"cache?mib={IMPORTED_MIB}", f"leak?mib={LEAK_MIB_PER_SECOND}")
    for name in ("api", "gone", "host"):
        server_app = agents.demo(name, "server", major=20 if name == "host" else 24)
        _ask(server_app, "garbage?mib=50", "free", "worker?mib=5", "buffers?mib=20", "cache?mib=20")
    agents.bare("host")
    report = agents.demo("batch", "report", "--max-old-space-size=32")
    shelf = agents.shelf("api")
    _until(server, 'count_over_time(heapwarden_up{source="reporter"}[1h]) > 5', REPORTING)
    agents.of["gone"].program.signal(signal.SIGKILL)
    agents.misled("host")
    restarting = time.time()
    get(f"{report}/leak?mib=200")
    get(f"{shelf}/leak?mib=200")
    _until(server, 'heapwarden_restarts_total{process="shelf"} == 1', 1)
    _until(server, "heapwarden_exits_total == 1", 2)
    _until(server, 'heapwarden_health_state{process="shelf"} == 2', 1)
    _until(server, 'heapwarden_health_state{process="importer"} == 4', 1)
    _until(server, "up == 0", 1)
    _until(server, 'heapwarden_agent_config_reloads_total{result="failed"} == 1', 1)
    wait_for(lambda: _older(server, importer), 90, every=1)
    return restarting


def _ask(url: str, *what: str) -> None:
    """Of a demo app; `free` is a mark-compact too."""
    for route in what:
        get(f"{url}/{route}")


def _older(server: Prometheus, importer: str) -> bool:
    """Whether it is old enough for a forecast; each look makes its container's memory grow."""
    _ask(importer, "buffers?mib=1")
    old = f'time() - heapwarden_process_start_time_seconds{{process="importer"}} > {OLD_ENOUGH_SECONDS}'
    return len(server.query(old)) == 1


def _until(server: Prometheus, expression: str, series: int) -> None:
    """Wait for so many series."""
    try:
        wait_for(lambda: len(server.query(expression)) == series, 90)
    except AssertionError as late:
        raise AssertionError(f"not {series} series of {expression}: {server.query(expression)}") from late


def _settled(server: Prometheus, since: float) -> float:
    """A time, some seconds after ``since``, up to which all rules were evaluated and no scrape failed that should not.

    On a busy machine one may come too late, and without it a process looks as if it were gone.
    """

    def settled() -> float | None:
        now = time.time()
        evaluated = [datetime.fromisoformat(rule["lastEvaluation"]).timestamp() for rule in server.rules()]
        late = min(evaluated, default=now) >= since + 5
        steady = server.query("count(min_over_time(up[5s]) == 1)", now) == [({}, 3.0)]
        return now if late and steady else None

    return wait_for(settled, 90) or 0.0
