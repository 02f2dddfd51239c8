"""A fleet of synthetic processes in a real Prometheus: two hours of history, as another Prometheus would write it.

Samples go in by remote write. The protobuf is packed here by hand, and snappy's framing is a literal: both are a few
bytes around what is the same for many processes, so that Prometheus, and not this script, is what takes the time.
"""

import http.client
import math
import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

STEP_SECONDS = 30
POINTS = 240
NAMESPACES, WORKLOADS = 20, 200
VARIANTS = 64
"""So many different courses of each figure; which process has which is drawn by lot."""
MIB = 2**20
BOUNDS = ("0.001", "0.005", "0.025", "0.1", "0.5", "2.5", "+Inf")
REQUEST_SERIES = 2_000
WRITERS = 2

Labels = Mapping[str, str]
Course = Sequence[float]
"""The values of one series at all points."""


@dataclass(frozen=True)
class Series:
    """Its labels, ``__name__`` among them, and its samples as they are sent."""

    labels: Labels
    samples: bytes


def times(end: int, step: int = STEP_SECONDS, points: int = POINTS) -> list[int]:
    """Unix times of ``points`` samples, the last at ``end``."""
    return [end - step * left for left in range(points - 1, -1, -1)]


def packed(at: Sequence[int], course: Course) -> bytes:
    """Samples as the field ``samples`` of a remote-write ``TimeSeries``, one message each."""
    return b"".join(
        b"\x12" + bytes((10 + len(stamp),)) + b"\x09" + struct.pack("<d", value) + b"\x10" + stamp
        for stamp, value in zip(map(_stamp, at), course, strict=True)
    )


def _stamp(seconds: int) -> bytes:
    return _varint(seconds * 1000)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _message(series: Series) -> bytes:
    labels = (
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(series.labels.items())
    )
    return _field(1, b"".join(labels) + series.samples)


def _snappy(body: bytes) -> bytes:
    """One literal of four length bytes: valid snappy that compresses nothing."""
    return _varint(len(body)) + b"\xfc" + struct.pack("<I", len(body) - 1) + body


def write(address: str, series: Iterator[Series], done: Callable[[int], object] = id) -> int:
    """Send all to the Prometheus at ``host:port``; how many series that were. ``done`` is told how many so far."""
    count = 0

    def batches() -> Iterator[list[Series]]:
        while batch := list(islice(series, REQUEST_SERIES)):
            yield batch

    with ThreadPoolExecutor(WRITERS) as pool:
        pending = []
        for batch in batches():
            pending.append(pool.submit(_post, address, batch))
            if len(pending) > WRITERS:
                count += pending.pop(0).result()
                done(count)
        count += sum(one.result() for one in pending)
    done(count)
    return count


def _post(address: str, batch: list[Series]) -> int:
    body = _snappy(b"".join(map(_message, batch)))
    connection = http.client.HTTPConnection(address, timeout=120)
    headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    connection.request("POST", "/api/v1/write", body, headers)
    answer = connection.getresponse()
    told = answer.read()
    connection.close()
    if answer.status != 204:
        raise SystemExit(f"Prometheus refused samples: {answer.status} {told[:300]!r}")
    return len(batch)


# What the processes look like


def gauge(base: float, swing: float, lot: random.Random) -> Course:
    """A day's breath around ``base`` and some noise, never below 0."""
    phase = lot.random() * math.tau
    return [max(0.0, base + swing * (math.sin(phase + i / 20) + lot.random() / 2)) for i in range(POINTS)]


def counter(per_step: float, lot: random.Random) -> Course:
    """Grows by about so much each step; whole numbers."""
    total, values = float(lot.randrange(1_000)), []
    for _ in range(POINTS):
        total += int(per_step * 2 * lot.random() + lot.random())
        values.append(total)
    return values


def buckets(per_step: float, lot: random.Random) -> list[Course]:
    """The cumulative buckets of one histogram of pauses."""
    parts = [counter(per_step * share, lot) for share in (0.2, 0.3, 0.3, 0.15, 0.04, 0.01, 0.0)]
    sums: list[Course] = [parts[0]]
    for part in parts[1:]:
        sums.append([below + own for below, own in zip(sums[-1], part, strict=True)])
    return sums


def growing(base: float, lot: random.Random) -> Course:
    """Up from ``base`` by up to a tenth; every other one stands still."""
    slope = lot.choice((0.0, base / 10 / POINTS))
    return [base + slope * i for i in range(POINTS)]


def _state(pressure: float) -> Course:
    return [4.0 if pressure > 0.95 else 3.0 if pressure > 0.85 else 2.0] * POINTS


class Fleet:
    """``processes`` of them, whose newest sample is at ``end`` (Unix time)."""

    def __init__(self, processes: int, end: int) -> None:
        """Draws the courses."""
        self.processes, self._end = processes, end
        self._lot = random.Random(4)  # noqa: S311  the same fleet each time
        self._at = times(end)
        self._variants = [self._variant() for _ in range(VARIANTS)]
        started = [float(end - 10**6)] * POINTS
        self._agent = (
            ("up", packed(self._at, [1.0] * POINTS)),
            ("heapwarden_agent_processes", packed(self._at, [1.0] * POINTS)),
            ("process_start_time_seconds", packed(self._at, started)),
        )

    def _variant(self) -> list[tuple[dict[str, str], bytes]]:
        """All series of one process but for the labels that say which process it is."""
        lot = self._lot
        pressure = lot.betavariate(4, 4)
        limit = lot.choice((512, 1024, 2048)) * MIB
        heap_limit = limit * 0.75
        figures: list[tuple[dict[str, str], Course]] = [
            ({"__name__": "heapwarden_pressure_ratio"}, gauge(pressure, 0.05, lot)),
            ({"__name__": "heapwarden_health_state"}, _state(pressure)),
            ({"__name__": "heapwarden_rss_bytes"}, gauge(limit * pressure, limit * 0.05, lot)),
            ({"__name__": "heapwarden_container_memory_bytes"}, gauge(limit * pressure, limit * 0.05, lot)),
            ({"__name__": "heapwarden_container_limit_bytes"}, [limit] * POINTS),
            ({"__name__": "heapwarden_heap_used_bytes", "thread": "main"}, gauge(heap_limit * pressure, MIB * 20, lot)),
            ({"__name__": "heapwarden_heap_effective_limit_bytes", "thread": "main"}, [heap_limit] * POINTS),
            ({"__name__": "heapwarden_heap_live_bytes", "thread": "main"}, growing(heap_limit * pressure / 2, lot)),
            ({"__name__": "heapwarden_isolates"}, [1.0] * POINTS),
            ({"__name__": "heapwarden_process_start_time_seconds"}, [float(self._end - lot.randrange(10**6))] * POINTS),
        ]
        for kind, per_step in (("minor", 30.0), ("major", 2.0), ("incremental", 1.0)):
            name, of = "heapwarden_gc_duration_seconds", {"kind": kind}
            every = buckets(per_step, lot)
            figures.append(({"__name__": f"{name}_sum", **of}, [value * 0.004 for value in every[-1]]))
            if kind != "minor":  # no panel of the fleet asks for those, and they would be a third of all series
                named = zip(BOUNDS, every, strict=True)
                figures += [({"__name__": f"{name}_bucket", "le": le, **of}, one) for le, one in named]
        return [(labels, packed(self._at, course)) for labels, course in figures]

    @property
    def series_count(self) -> int:
        """Of the processes and their agents, without those of events."""
        return self.processes * (len(self._variants[0]) + len(self._agent))

    def series(self) -> Iterator[Series]:
        """All of them, process by process."""
        for number in range(self.processes):
            target, name = who(number)
            identity = {**target, **name}
            for labels, samples in self._lot.choice(self._variants):
                yield Series({**identity, **labels}, samples)
            for metric, samples in self._agent:
                yield Series({**target, "__name__": metric}, samples)
            yield from self._events(number, identity)

    def _events(self, number: int, identity: Labels) -> Iterator[Series]:
        """One process in ten has been restarted or has ended: in the middle, or at the beginning and again."""
        if number % 10:
            return
        born = POINTS // 2 if number % 20 else 0
        at, course = self._at[born:], [1.0 + (i > POINTS // 3) for i in range(POINTS - born)]
        reason = ("heap_oom", "memory_restart", "crash")[number // 10 % 3]
        yield Series({**identity, "__name__": "heapwarden_exits_total", "reason": reason}, packed(at, course))
        if reason == "memory_restart":
            labels = {"__name__": "heapwarden_restarts_total", "reason": "max_memory", "dry_run": "false"}
            yield Series({**identity, **labels}, packed(at, course))


def who(number: int) -> tuple[Labels, Labels]:
    """The labels of one agent, and what its process has besides: one of each a pod, as many pods of each workload."""
    workload, replica = number % WORKLOADS, number // WORKLOADS
    target = {
        "job": "heapwarden",
        "instance": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:9797",
        "cluster": "production",
        "namespace": f"team-{workload % NAMESPACES:02}",
        "workload": f"service-{workload:03}",
        "pod": f"service-{workload:03}-{replica:04x}",
    }
    return target, {"process": "server", "worker": "0"}
