"""The reporters' socket: accepts, identifies, groups by process, and tells the feed."""

import asyncio
import itertools
import logging
import resource
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from heapwarden.domain.errors import FrameRefusedError
from heapwarden.domain.findings import Limit, PressureLevel
from heapwarden.domain.identity import Process, ProcessId, Role
from heapwarden.domain.naming import role_of, script_name
from heapwarden.ports import Clock, Discovery, Feed, Telemetry
from heapwarden.sources.reporter import unix_socket
from heapwarden.sources.reporter.connection import Allowance, ReporterConnection
from heapwarden.sources.reporter.frames import PROTOCOL_VERSION, Hello, decode_bye, decode_sample
from heapwarden.sources.reporter.isolates import SOURCE, ReportingProcess

log = logging.getLogger(__name__)

HELLO_DEADLINE_SECONDS = 10.0
SWEEP_SECONDS = 2.0
MAX_CONNECTIONS = 16_384
MAX_SILENT_PER_PEER = 256
"""Connections of one process that have not said hello yet. An app that starts so many threads at once is not known."""
MAX_ISOLATES = 256
"""Of one process. The work for one frame grows with them."""
PROCESS_FRAMES_PER_SECOND, PROCESS_BURST_FRAMES = 600.0, 2_000.0
MAX_HIDDEN_PROCESSES = 256
"""Of one user in PID namespaces that can't be seen into: how many there are is their own word."""
RESERVED_DESCRIPTORS = 1_200
"""For HTTP, ``/proc`` and all else; of a small limit, half."""
MAX_UNREAD_BYTES = 65_536
"""A reporter that does not read is asked for nothing more."""
SIGNALS = frozenset({"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2", "SIGKILL"})
FORGET_AFTER_SECONDS = 60.0
"""How long the totals of a process that can't be seen are kept for its reconnection."""


class ReporterServer:
    """Holds all reporters' connections. Runs on the event loop; nothing in it blocks but microseconds of ``/proc``."""

    def __init__(
        self,
        path: Path,
        mode: int,
        *,
        discovery: Discovery,
        namespace_pids: Callable[[int], tuple[int, ...]],
        feed: Feed,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        """Nothing is opened before :meth:`start`."""
        self.telemetry = telemetry
        self.monotonic = clock.monotonic
        self._clock = clock
        self._path, self._mode = path, mode
        self._discovery, self._namespace_pids = discovery, namespace_pids
        self._feed = feed
        self._config: dict[str, Any] = {}
        self._greeted: dict[tuple[ProcessId, int], ReporterConnection] = {}
        self._processes: dict[ProcessId, ReportingProcess] = {}
        self._closed_at: dict[ProcessId, float] = {}
        self._silent: dict[ReporterConnection, None] = {}
        self._silent_of: Counter[int] = Counter()
        self._of: dict[ReporterConnection, ReportingProcess] = {}
        self._allowances: dict[ProcessId, Allowance] = {}
        self._nameless = itertools.count()
        self._open = 0
        self._server: asyncio.Server | None = None
        self._inode = 0

    def configure(self, *, interval_seconds: float, gc_profiler: bool) -> None:
        """Tell this to every reporter, now and as they come."""
        self._config = {
            "t": "config",
            "v": PROTOCOL_VERSION,
            "interval_ms": round(interval_seconds * 1_000),
            "gc_profiler": gc_profiler,
            "bye": True,
        }
        for connection in self._greeted.values():
            connection.send(self._config)

    async def start(self) -> None:
        """Listen. Raises SocketUnavailableError."""
        listener = unix_socket.listen(self._path, self._mode)
        self._inode = self._path.lstat().st_ino
        loop = asyncio.get_running_loop()
        backlog = unix_socket.BACKLOG  # asyncio listens anew, with 100 unless told
        self._server = await loop.create_unix_server(lambda: ReporterConnection(self), sock=listener, backlog=backlog)

    async def run(self) -> None:
        """Sweep until cancelled: connections that never say hello, and processes that never come back."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            try:
                self.sweep(self.monotonic())
            except Exception:  # the edge of the task: one bad sweep must not be the last
                self.telemetry.source_error(SOURCE, "error")
                log.exception("a sweep of connections failed; the next one comes")

    async def stop(self) -> None:
        """Close everything and give the path back."""
        if self._server is None:
            return
        self._server.close()
        for connection in [*self._silent, *self._of]:
            connection.abort()
        unix_socket.remove(self._path, self._inode)

    def sweep(self, now: float) -> None:
        """One turn of :meth:`run`."""
        late = [c for c in self._silent if now - c.opened_at > HELLO_DEADLINE_SECONDS]
        for connection in late:
            connection.refuse(FrameRefusedError("no_hello", f"no hello within {HELLO_DEADLINE_SECONDS:.0f} s"))
        for process_id, closed_at in list(self._closed_at.items()):
            gone = (
                not self._discovery.alive(process_id) if process_id.visible else now - closed_at > FORGET_AFTER_SECONDS
            )
            if gone:
                del self._closed_at[process_id]
                self._processes.pop(process_id, None)
                self._allowances.pop(process_id, None)

    def let_go_unwanted(self) -> None:
        """After a reload: close the connections of processes that are not watched any more."""
        for connection, reporting in list(self._of.items()):
            if not self._feed.wants(reporting.process):
                connection.finish()

    def opened(self, connection: ReporterConnection) -> None:
        """Count a new connection; too many are refused at once."""
        self._open += 1
        self._silent[connection] = None
        pid = connection.peer.pid
        self._silent_of[pid] += 1
        too_silent = pid != 0 and self._silent_of[pid] > MAX_SILENT_PER_PEER
        if too_silent or self._open > _most_connections():
            detail = f"{self._silent_of[pid]} connections without a hello, {self._open} in all"
            connection.refuse(FrameRefusedError("too_many", detail))
        elif pid != 0:
            connection.process = self._discovery.identify(pid)

    def greeted(self, connection: ReporterConnection, hello: Hello) -> None:
        """Find out which process this is, and whether it is watched."""
        process = self._identify(connection, hello)
        if process.role is Role.WRAPPER or not self._feed.wants(process):
            if process.role is Role.WRAPPER:
                connection.send({"t": "stop"})
            connection.finish()
            return
        self._admit(connection, process, hello)
        connection.send(self._config)
        reporting = self._of[connection]
        if hello.thread == 0 and reporting.pressure is not None:
            self._ask(process.id, reporting.pressure)
        self._feed.heap_figures(reporting.process, reporting.figures())

    def pressure(self, process: ProcessId, level: PressureLevel, ratio: float, nearer: Limit) -> bool:
        """See :class:`heapwarden.ports.Reporters`. Told again when the reporter comes back: it may have been calmed."""
        message = {"t": "pressure", "level": level, "ratio": round(ratio, 4), "nearer": nearer}
        told = self._ask(process, message)
        reporting = self._processes.get(process)
        if told and reporting is not None:
            reporting.pressure = message
        return told

    def drain(self, process: ProcessId, within_seconds: float) -> bool:
        """See :class:`heapwarden.ports.Reporters`."""
        return self._ask(process, {"t": "drain", "within_ms": round(within_seconds * 1_000)})

    def collect(self, process: ProcessId) -> bool:
        """See :class:`heapwarden.ports.Reporters`."""
        return self._ask(process, {"t": "gc"})

    def raise_signal(self, process: ProcessId, name: str) -> bool:
        """See :class:`heapwarden.ports.Reporters`. The reporter knows a few signals only: :data:`SIGNALS`."""
        return name in SIGNALS and self._ask(process, {"t": "signal", "signal": name})

    def _ask(self, process: ProcessId, message: Mapping[str, Any]) -> bool:
        """Of the main thread, which speaks for the process, where its reporter knows how and reads what it is sent."""
        connection = self._greeted.get((process, 0))
        if connection is None or connection.hello is None or message["t"] not in connection.hello.can:
            return False
        if connection.unread_bytes > MAX_UNREAD_BYTES:
            return False
        connection.send(message)
        return True

    def _admit(self, connection: ReporterConnection, process: Process, hello: Hello) -> None:
        """Group it with its process's others; of one isolate the newest connection counts, where it can be believed."""
        older = self._greeted.get((process.id, hello.thread))
        if older is not None and not process.id.visible:
            raise FrameRefusedError("duplicate", f"thread {hello.thread} of this process is connected already")
        reporting = self._processes.get(process.id)
        if reporting is None:
            self._make_room_for(process)
            reporting = self._processes[process.id] = ReportingProcess(process, hello)
        if older is not None:
            self._of.pop(older, None)
            older.abort()
        elif reporting.connections >= MAX_ISOLATES:
            raise FrameRefusedError("too_many", f"{reporting.connections} isolates of one process are connected")
        self._no_longer_silent(connection)
        reporting.open(hello.thread)
        self._closed_at.pop(process.id, None)
        self._of[connection] = reporting
        self._greeted[process.id, hello.thread] = connection

    def _make_room_for(self, process: Process) -> None:
        if process.id.visible:
            return
        same_user = sum(1 for other in self._processes.values() if _hidden_of(other.process, process.uid))
        if same_user >= MAX_HIDDEN_PROCESSES:
            raise FrameRefusedError("too_many", f"{same_user} processes of uid {process.uid} that can't be seen")

    def heard(self, connection: ReporterConnection, frame: dict[str, Any]) -> None:
        """Take figures, or what the main thread says of its process."""
        reporting = self._of.get(connection)
        if reporting is None or connection.hello is None:
            return
        now, id_ = self.monotonic(), reporting.process.id
        allowance = self._allowances.get(id_)
        if allowance is None:
            allowance = self._allowances[id_] = Allowance(now, PROCESS_FRAMES_PER_SECOND, PROCESS_BURST_FRAMES)
        if not allowance.spend(0, now):
            raise FrameRefusedError(
                "too_fast", f"more than {PROCESS_FRAMES_PER_SECOND:.0f} frames a second of one process"
            )
        kind = frame.get("t") if connection.hello.thread == 0 else "sample"
        if kind == "drained":
            self._feed.drained(reporting.process)
            return
        if kind == "bye":
            reporting.bye(decode_bye(frame))
        else:
            reporting.sample(decode_sample(frame, connection.hello, now))
        self._feed.heap_figures(reporting.process, reporting.figures())

    def closed(self, connection: ReporterConnection) -> None:
        """An isolate is over, or its process, or just the connection."""
        self._open -= 1
        self._no_longer_silent(connection)
        reporting = self._of.pop(connection, None)
        if reporting is None or connection.hello is None:
            return
        self._greeted.pop((reporting.process.id, connection.hello.thread), None)
        reporting.close(connection.hello.thread)
        if not reporting.connections:
            self._closed_at[reporting.process.id] = self.monotonic()
        self._feed.heap_figures(reporting.process, reporting.figures())

    def _no_longer_silent(self, connection: ReporterConnection) -> None:
        if connection in self._silent:
            del self._silent[connection]
            self._silent_of -= Counter([connection.peer.pid])  # drops a pid whose count falls to 0

    def _identify(self, connection: ReporterConnection, hello: Hello) -> Process:
        pid = connection.peer.pid
        if pid == 0:
            return self._hidden(connection, hello)
        pids = self._namespace_pids(pid)
        if hello.pid != pid and hello.pid not in pids:
            raise FrameRefusedError("pid_mismatch", f"it claims pid {hello.pid}; the kernel says {pid}")
        process = connection.process
        if process is None or not self._discovery.alive(process.id):
            raise FrameRefusedError("gone", f"pid {pid} ended before it could be identified")
        return process

    def _hidden(self, connection: ReporterConnection, hello: Hello) -> Process:
        """A process in a PID namespace that is not ours: its own word groups its threads, and names nothing else."""
        whose = f"{hello.namespace}/{hello.pid}" if hello.namespace else f"connection/{next(self._nameless)}"
        argv = tuple(argument for argument in hello.argv if argument)
        return Process(
            id=ProcessId(pid=0, start=hello.start, namespace=f"{whose}@{connection.peer.uid}"),
            argv=argv,
            started_at=self._discovery.started_at(hello.start) if hello.start else self._clock.wall(),
            script=script_name(argv, None),
            role=role_of(argv),
            uid=connection.peer.uid,
        )


def _most_connections() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MAX_CONNECTIONS
        if soft == resource.RLIM_INFINITY
        else min(MAX_CONNECTIONS, max(soft // 2, soft - RESERVED_DESCRIPTORS))
    )


def _hidden_of(process: Process, uid: int | None) -> bool:
    return not process.id.visible and process.uid == uid
