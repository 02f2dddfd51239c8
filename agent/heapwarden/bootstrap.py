"""The only place that builds concrete things and puts them together."""

import asyncio
import contextlib
import logging
import os
import resource
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from heapwarden import __version__
from heapwarden.actuators import own
from heapwarden.actuators.choose import actuators
from heapwarden.actuators.evict import EvictActuator
from heapwarden.actuators.hooks import run_hook
from heapwarden.domain.errors import SettingsError
from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import Process, ProcessId
from heapwarden.domain.restart import Method
from heapwarden.domain.snapshot import Ledger
from heapwarden.exposition.agent_metrics import AgentMetrics
from heapwarden.exposition.collector import SnapshotCollector
from heapwarden.exposition.families import FAMILIES
from heapwarden.exposition.prom_client import FAMILIES as PROM_CLIENT_FAMILIES
from heapwarden.exposition.text import page
from heapwarden.journal import SqliteJournal
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.kubernetes.leases import LeaseCoordinator
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.kubernetes.pod_feed import PodFeed
from heapwarden.kubernetes.pod_places import PodPlaces
from heapwarden.kubernetes.pod_table import PodTable
from heapwarden.kubernetes.selection import NODE, Selection, selection
from heapwarden.kubernetes.service_account import ServiceAccount
from heapwarden.runtime import memory_log
from heapwarden.runtime.checkups import Checkups
from heapwarden.runtime.clearance import Clearance
from heapwarden.runtime.clock import SystemClock
from heapwarden.runtime.course import Tools
from heapwarden.runtime.decisions import Decisions
from heapwarden.runtime.entries import MOST as MOST_ENTRIES
from heapwarden.runtime.entries import Entries
from heapwarden.runtime.exits import Exits, Witnesses
from heapwarden.runtime.health_log import HealthLog
from heapwarden.runtime.history import History
from heapwarden.runtime.pressure import PressureLevels
from heapwarden.runtime.requests import Requests
from heapwarden.runtime.restarts import Restarts
from heapwarden.runtime.soon import Soon
from heapwarden.runtime.subject import Ground, PortsInTime
from heapwarden.runtime.ticker import Ticker
from heapwarden.runtime.watch import Watch
from heapwarden.settings.model import Settings
from heapwarden.sources.cgroup import CgroupSource
from heapwarden.sources.discovery import ProcfsDiscovery
from heapwarden.sources.exit_status import PidfdExitStatuses
from heapwarden.sources.launch import ProcLaunches
from heapwarden.sources.listening import ListeningPorts
from heapwarden.sources.procfs import ProcfsSource, namespace_pids
from heapwarden.sources.reporter.server import ReporterServer
from heapwarden.sources.tree import TreeSource
from heapwarden.web import agent_check
from heapwarden.web.agent_check_server import AgentCheckServer
from heapwarden.web.app import create_app
from heapwarden.web.gate import Gate
from heapwarden.web.live_events import Live
from heapwarden.web.operations import Operations
from heapwarden.web.options import WebOptions
from heapwarden.web.server import HttpServer

log = logging.getLogger(__name__)

PROC = Path("/proc")
BOOT_ID = PROC / "sys" / "kernel" / "random" / "boot_id"
_FIXED = (
    *("listen", "agent_check", "socket", "socket_mode"),
    *("state_dir", "journal_max_age_seconds", "journal_max_rows", "ask_pods"),
)
"""Settings that a running agent can't change."""


class Agent:
    """Everything that runs, from :meth:`start` to :meth:`stop`. Built and used within one event loop."""

    def __init__(
        self, settings: Settings, *, log_interval_seconds: float, default_method: Method = Method.SIGNAL
    ) -> None:
        """Build; nothing is opened yet. ``log_interval_seconds`` 0: no memory line.

        ``default_method`` restarts what no rule names a method for.
        """
        self._settings = settings
        self._log_interval_seconds = log_interval_seconds
        self._clock = SystemClock()
        registry = CollectorRegistry()
        self._metrics = AgentMetrics(registry, __version__)
        discovery = ProcfsDiscovery(PROC)
        self._watch = Watch(settings.watchlist, discovery=discovery, clock=self._clock)
        self._soon = Soon(self._watch)
        self._reporters = ReporterServer(
            settings.socket,
            settings.socket_mode,
            discovery=discovery,
            namespace_pids=namespace_pids,
            feed=self._watch,
            clock=self._clock,
            telemetry=self._metrics,
        )
        self._journal = SqliteJournal(
            settings.state_dir,
            telemetry=self._metrics,
            max_age_seconds=settings.journal_max_age_seconds,
            max_rows=settings.journal_max_rows,
        )
        self._entries = Entries()
        self._ports = PortsInTime(ListeningPorts(PROC), self._metrics)
        self._kubernetes = KubernetesApi(ServiceAccount.of(os.environ))
        own_pod = OwnPod(os.environ)
        cgroups, per_node = CgroupSource(PROC), bool(os.environ.get(NODE))
        places = self._pod_places(own_pod, cgroups, per_node=per_node)
        evict = EvictActuator(self._kubernetes, places if per_node else own_pod)
        leases = LeaseCoordinator(self._kubernetes, own_pod, self._clock)
        tools = Tools(
            ground=Ground(self._watch, discovery, self._clock, self._ports),
            journal=self._journal,
            reporters=self._reporters,
            actuators=actuators(self._reporters, evict),
            run_hook=run_hook,
            clearance=Clearance(leases, {Method.EVICT: evict}, self._clock, self._watch.mark),
        )
        self._restarts = Restarts(tools, default_method=default_method, boot=_boot_id())
        self._watch.ignores = _is_ours
        if per_node or self._pods is not None:
            self._watch.place_of = places.place_of
        self._watch.on_drained = self._restarts.drained
        self._statuses = PidfdExitStatuses(self._watch.ended, PROC)
        witnesses = Witnesses(self._statuses, cgroups, self._restarts.of, self._watch.restart_rules_for, places)
        self._exits = Exits(witnesses, self._journal, self._clock)
        self._watch.on_admitted = self._admitted
        self._watch.on_ended = self._exits.ended
        self._watch.on_published.append(HealthLog(self._journal).published)
        self._pressure = PressureLevels(self._reporters)
        self._watch.on_published.append(self._pressure.published)
        self._checkups = Checkups(
            self._watch,
            ProcLaunches(PROC),
            clock=self._clock,
            telemetry=self._metrics,
            machine_bytes=psutil.virtual_memory().total,
            agent_version=__version__,
            interval=lambda: self._settings.sample_interval_seconds,
        )
        Decisions(self._restarts, self._watch, reporters=self._reporters, journal=self._journal, clock=self._clock)
        self._history = History(settings.history_bytes)
        self._live = self._live_page()
        self._watch.ledger = lambda: Ledger(self._restarts.counts, self._exits.counts)
        self._ticker = Ticker(
            self._watch,
            discovery,
            (ProcfsSource(PROC), cgroups, TreeSource(self._counts_children, PROC)),
            clock=self._clock,
            telemetry=self._metrics,
            interval_seconds=settings.sample_interval_seconds,
        )
        self._http = HttpServer(self._app(registry), settings.listen)
        self._agent_check: AgentCheckServer | None = None
        if settings.agent_check is not None:
            self._agent_check = AgentCheckServer(self._agent_check_line, settings.agent_check, self._clock.monotonic)
        self._tasks: list[asyncio.Task[None]] = []
        self.broken = asyncio.Event()
        """Set when a part has ended that should run for ever: better no agent than half of one."""

    async def start(self) -> None:
        """Open the address and the socket, and begin to tick. Raises ListenError, SocketUnavailableError."""
        host, port = self._http.bind()
        self._entries.seed(await self._journal.recent(MOST_ENTRIES))
        await self._restarts.start()
        self._configure_reporters()
        await self._reporters.start()
        if self._agent_check is not None:
            log.info("HAProxy's agent-check is answered on port %d", await self._agent_check.start())
        work: dict[str, Callable[[], Coroutine[None, None, None]]]
        work = {"tick": self._ticker.run, "reporters": self._reporters.run, "http": self._http.serve}
        if self._pods is not None:
            work["pods"] = self._pods.run
        if self._log_interval_seconds:
            work["memory log"] = lambda: memory_log.run(self._watch, self._clock, self._log_interval_seconds)
        for name, run in work.items():
            task = asyncio.create_task(run(), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        for notice in self._notices(self._settings):
            log.warning("%s", notice)
        where = {"host": host, "port": port, "socket": str(self._settings.socket)}
        log.info("heapwarden %s on http://%s:%d, reporters at %s", __version__, *where.values(), extra=where)

    async def stop(self) -> None:
        """End everything; what is not open is no error."""
        self._soon.cancel()
        self._live.stop()
        self._http.stop()
        if self._agent_check is not None:
            self._agent_check.stop()
        await self._restarts.stop()
        await self._kubernetes.close()
        await self._reporters.stop()
        for task in self._tasks:
            if task.get_name() != "http":
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._checkups.stop()
        await self._exits.stop()
        self._statuses.close()
        self._ports.close()
        await self._journal.close()

    def reload(self, load: Callable[[], Settings]) -> None:
        """Take new settings from ``load``; when they are bad the old ones stay in force, and that is said."""
        try:
            settings = load()
        except SettingsError as error:
            self._metrics.config_reloaded(ok=False)
            log.error("settings not reloaded, the old ones stay in force:\n%s", error)  # noqa: TRY400  the text is whole
            return
        for name in _FIXED:
            if getattr(settings, name) != getattr(self._settings, name):
                log.warning("`%s` has changed; that needs a restart of the agent", name)
        self._settings = replace(settings, **{name: getattr(self._settings, name) for name in _FIXED})
        self._ticker.interval_seconds = settings.sample_interval_seconds
        self._configure_reporters()
        self._history.resize(settings.history_bytes)
        self._watch.apply(settings.watchlist)
        self._reporters.let_go_unwanted()
        self._metrics.config_reloaded(ok=True)
        for notice in self._notices(settings):
            log.warning("%s", notice)
        log.info("settings reloaded")

    def _notices(self, settings: Settings) -> Iterator[str]:
        """What is right and yet deserves a word, here and now."""
        yield from settings.notices
        why = self._kubernetes.unusable()
        if why is not None and settings.watchlist.asks_kubernetes:
            yield f"method evict and coordinate hold back all restarts here: {why}"

        wanted = selection(settings.ask_pods, os.environ, OwnPod(os.environ).namespace)
        if isinstance(wanted, str):
            yield wanted
        elif wanted is not None and why is not None:
            yield f"of pods only their uids are known: {why}"

    def restarting(self, pid_of_child: int) -> bool:
        """Whether the end of this started command belongs to a restart of ours, so that it is to be started again.

        True while a restart has come to its stage ``terminate`` and has no successor yet, and its process is the
        command itself or stands below it.
        """
        return self._restarts.ending(pid_of_child)

    def child_ended(self, process: ProcessId, status: ExitStatus) -> None:
        """Hear from its parent how a started command ended."""
        self._statuses.told(process, status)
        self._watch.ended(process)

    def _admitted(self, process: Process) -> None:
        self._statuses.keep(process)
        self._restarts.admitted(process)

    def _counts_children(self, process: ProcessId) -> bool:
        rules = self._watch.rules_of(process)
        return rules is not None and rules.tree and rules.max_memory is not None

    def _pod_places(self, own_pod: OwnPod, cgroups: CgroupSource, *, per_node: bool) -> PodPlaces:
        """Where processes run: by the kernel's word and, where that is wanted and can be, by the API's."""
        table, wanted = PodTable(), selection(self._settings.ask_pods, os.environ, own_pod.namespace)
        self._pods: PodFeed | None = None
        if isinstance(wanted, Selection) and self._kubernetes.unusable() is None:
            self._pods = PodFeed(ServiceAccount.of(os.environ), table, self._metrics, wanted)
        own_uid = own_pod.pod.uid if own_pod.pod is not None else ""
        return PodPlaces(cgroups.pod_path, table, own_uid=own_uid, shown=per_node)

    def _app(self, registry: CollectorRegistry) -> FastAPI:
        """The HTTP side over whatever the newest snapshot and settings are."""
        prom_client = CollectorRegistry()
        for registered, families in ((registry, FAMILIES), (prom_client, PROM_CLIENT_FAMILIES)):
            registered.register(SnapshotCollector(families, lambda: self._watch.snapshot, self._clock.monotonic))
        return create_app(
            snapshot=lambda: self._watch.snapshot,
            monotonic=self._clock.monotonic,
            options=self._web_options,
            metrics=partial(page, registry),
            prom_client_metrics=partial(page, prom_client),
            operations=Operations(
                Requests(self._restarts, self._watch, self._clock),
                Gate(self._token, self._clock.sleep),
                self._journal.append,
                lambda: self._watch.snapshot,
                self._clock,
            ),
            level=self._pressure.level,
            live=self._live,
        )

    def _agent_check_line(self, name: str) -> str:
        return agent_check.line(
            name, self._watch.snapshot, self._web_options(), self._pressure.level, self._clock.monotonic()
        )

    def _live_page(self) -> Live:
        """The live page's figures and entries, and its clients."""
        live = Live(self._watch.snapshot, self._history, self._entries, self._journal.recent, self._web_options)
        self._watch.on_published.append(self._history.published)
        self._history.on_recorded = live.recorded
        self._entries.on_new = live.wake
        self._journal.on_event = self._entries.add
        return live

    def _token(self) -> str | None:
        token = self._settings.api_token
        return None if token is None else token.value

    def _web_options(self) -> WebOptions:
        settings = self._settings
        return WebOptions(
            retry_after_seconds=settings.retry_after_seconds,
            start_grace_seconds=settings.watchlist.default_health.start_grace_seconds,
            sample_interval_seconds=settings.sample_interval_seconds,
            prom_client_metrics=settings.prom_client_metrics,
            known_names=frozenset(rule.name for rule in settings.watchlist.rules if rule.name is not None),
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.critical("task %s ended", task.get_name(), exc_info=task.exception())
            self.broken.set()

    def _configure_reporters(self) -> None:
        interval, profiler = self._settings.sample_interval_seconds, self._settings.gc_profiler
        self._reporters.configure(interval_seconds=interval, gc_profiler=profiler)


def _is_ours(process: Process) -> bool:
    """Whether it is a program that the agent runs, a hook or PM2's own command, or below one."""
    ours = own.pids()
    return bool(ours) and not ours.isdisjoint((process.id.pid, *(above.pid for above in process.ancestors)))


def _boot_id() -> str:
    """Of the kernel (random(4)); empty where it can't be read."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def raise_descriptor_limit() -> None:
    """A connection a worker thread needs more than the usual 1,024 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
