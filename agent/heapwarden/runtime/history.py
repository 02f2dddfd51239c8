"""What each process was like lately: every sample of the last minutes, and a row a minute of the last hours.

The rows belong to a slot and not to a process, so that a restart can be seen. Times are kept by the monotonic clock,
whatever happens to the other one, and are told as Unix time. While a machine is suspended that clock stands still.
"""

import asyncio
import heapq
import math
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from heapwarden.domain.identity import Name, ProcessId
from heapwarden.domain.snapshot import Snapshot, Watched
from heapwarden.runtime.columns import ROW, Totals, merged, packable, row
from heapwarden.runtime.ring import PAGE_ROWS, Ring

FINE_SECONDS = 600.0
COARSE_SECONDS = 60.0
FINE_PAGES = 61
"""Ten minutes of one sample a second, and the page that is being filled."""
COARSE_PAGES = 73
"""Twelve hours."""
KEPT_SECONDS = 600.0
"""How long an empty slot keeps its history."""
PAGE_BYTES = PAGE_ROWS * ROW.size + 72
"""With its head and its place in the ring."""
SLOT_BYTES = 2_000
"""Of what is kept beside the pages."""
_LEAST_BYTES = SLOT_BYTES + 2 * PAGE_BYTES
_SHORT_SECONDS = 180.0
_LEAST_SLEEP_SECONDS = 1.0
_STEP = 16
"""Slots by which their number is rounded up where they share, so that not each new one makes the others smaller."""
MOST_SLEEPS = 100
AT_ONCE = 50
"""Processes recorded before the event loop turns."""


@dataclass(slots=True)
class _Slot:
    """The history of one name."""

    fine: Ring
    coarse: Ring
    seen_at: float
    process: ProcessId | None = None
    totals: Totals | None = None
    """Collections of ``process`` as they were last known."""
    minute: list[float] = field(default_factory=list)
    """What the present minute comes to so far."""


class History:
    """Listens to snapshots. All slots together take no more than ``memory_bytes``; 0: nothing is kept."""

    def __init__(
        self,
        memory_bytes: int,
        *,
        soon: Callable[[Callable[[], None]], object] | None = None,
        slept: Callable[[], float] | None = None,
    ) -> None:
        """Nothing was seen yet. ``soon`` calls a function when the event loop turns.

        ``slept`` gives the seconds for which the machine was suspended until now.
        """
        self.on_recorded: Callable[[Snapshot], None] = lambda _snapshot: None
        """Called with each snapshot that ended a tick, once its figures are here."""
        self._soon = soon or (lambda call: asyncio.get_running_loop().call_soon(call))
        self._slept = slept or _suspended_seconds
        self._slept_seconds = self._slept()
        self._sleeps: deque[tuple[float, float]] = deque(maxlen=MOST_SLEEPS)
        """After which tick the machine was suspended, and for how long. Newest first."""
        self._slots: dict[Name, _Slot] = {}
        self._memory_bytes = memory_bytes
        self._snapshot: Snapshot | None = None
        self._left: list[Watched] = []
        self._before = self._at = -math.inf
        """Times of the last two ticks."""

    def resize(self, memory_bytes: int) -> None:
        """From now on so much; what is older goes where that is less."""
        self._memory_bytes = memory_bytes
        self._share_out()

    def published(self, snapshot: Snapshot) -> None:
        """A new snapshot; only those that end a tick count. Takes about 15 µs a process, a few of them at a time."""
        if snapshot.last_tick_at != snapshot.at:
            return
        while self._left:
            self._record_some()
        self._look_for_sleep()
        self._snapshot, self._before, self._at = snapshot, self._at, snapshot.at
        self._left = list(snapshot.processes)
        self._go_on()

    def rows(self, name: Name, wall_offset: float) -> tuple[bytes, float]:
        """All rows, packed, oldest first: one a minute, then every sample; and when the newest was taken.

        ``wall_offset`` is what makes Unix time of monotonic time.
        """
        slot = self._slots.get(name)
        rows = [] if slot is None else _rows_of(slot)
        packed = b"".join(ROW.pack(self._awake(one[0]) + wall_offset, *one[1:]) for one in rows)
        return packed, rows[-1][0] if rows else -math.inf

    def after(self, name: Name, at: float) -> list[tuple[float, ...]]:
        """Samples newer than ``at``, by the monotonic clock, oldest first."""
        slot = self._slots.get(name)
        return [] if slot is None else slot.fine.after(at)

    @property
    def bytes_used(self) -> int:
        """Memory of all slots."""
        return sum(SLOT_BYTES + slot.fine.bytes_used + slot.coarse.bytes_used for slot in self._slots.values())

    def _look_for_sleep(self) -> None:
        slept = self._slept()
        if slept - self._slept_seconds > _LEAST_SLEEP_SECONDS:
            self._sleeps.appendleft((self._at, slept - self._slept_seconds))
        self._slept_seconds = slept

    def _awake(self, at: float) -> float:
        """``at`` less what was slept since, for the offset of now has that in it."""
        since = 0.0
        for before, seconds in self._sleeps:
            if before < at:
                break
            since += seconds
        return at - since

    def _go_on(self) -> None:
        self._record_some()
        if self._left:
            self._soon(self._go_on)
        elif self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            self._let_go()
            self.on_recorded(snapshot)

    def _record_some(self) -> None:
        some, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        for watched in some:
            slot = self._slots.get(watched.name) or self._new_slot(watched.name)
            if slot is not None:
                _record(slot, watched, self._at)

    def _new_slot(self, name: Name) -> _Slot | None:
        if self._is_full():
            self._make_room()
        if self._is_full():
            return None
        fine, coarse = self._share(len(self._slots) + 1)
        slot = self._slots[name] = _Slot(Ring(ROW, fine), Ring(ROW, coarse), self._at)
        self._share_out()
        return slot

    def _share(self, slots: int) -> tuple[int, int]:
        """Pages of each slot, fine and coarse."""
        each = self._pages(slots)
        if each < FINE_PAGES + COARSE_PAGES:
            each = max(2, self._pages(-(-slots // _STEP) * _STEP))
        fine = min(FINE_PAGES, -(-each * FINE_PAGES // (FINE_PAGES + COARSE_PAGES)))
        return fine, max(1, min(COARSE_PAGES, each - fine))

    def _pages(self, slots: int) -> int:
        return (self._memory_bytes // slots - SLOT_BYTES) // PAGE_BYTES

    def _share_out(self) -> None:
        while len(self._slots) * _LEAST_BYTES > self._memory_bytes:
            self._slots.popitem()
        if not self._slots:
            return
        fine, coarse = self._share(len(self._slots))
        for slot in self._slots.values():
            if slot.fine.most_pages != fine or slot.coarse.most_pages != coarse:
                slot.fine.keep(fine)
                slot.coarse.keep(coarse)

    def _is_full(self) -> bool:
        return (len(self._slots) + 1) * _LEAST_BYTES > self._memory_bytes

    def _make_room(self) -> None:
        """Let some slots go that were empty at the last tick already, the longest first."""
        empty = ((slot.seen_at, name) for name, slot in self._slots.items() if slot.seen_at < self._before)
        for _, name in heapq.nsmallest(_STEP, empty, key=_time_of):
            del self._slots[name]

    def _let_go(self) -> None:
        """Slots that have been empty for long; where memory is short also the older ones of many for a while."""
        empty = sorted(
            ((slot.seen_at, name) for name, slot in self._slots.items() if slot.seen_at < self._at), key=_time_of
        )
        if not empty:
            return
        short = self._pages(len(self._slots)) < FINE_PAGES + COARSE_PAGES
        surplus = len(empty) - max(_STEP, len(self._slots) - len(empty)) if short else 0
        before = self._at - KEPT_SECONDS
        old = [name for place, (seen_at, name) in enumerate(empty) if seen_at < before or place < surplus]
        for name in old:
            del self._slots[name]
        if old:
            self._share_out()


def _suspended_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _time_of(slot: tuple[float, Name]) -> float:
    return slot[0]


def _record(slot: _Slot, watched: Watched, at: float) -> None:
    if slot.process != watched.process.id:
        slot.process, slot.totals = watched.process.id, None
    heap = watched.sample.heap
    totals = heap.gc() if heap is not None else None
    figures = row(at, watched, slot.totals, totals)
    if totals is not None:
        slot.totals = totals
    slot.seen_at = at
    try:
        slot.fine.append(figures)
    except (OverflowError, struct.error):
        figures = packable(figures)
        slot.fine.append(figures)
    slot.fine.forget(at - FINE_SECONDS)
    _count_in(slot, figures)


def _count_in(slot: _Slot, figures: list[float]) -> None:
    if not slot.minute:
        slot.minute = figures
    elif slot.minute[0] // COARSE_SECONDS == figures[0] // COARSE_SECONDS:
        slot.minute = merged(slot.minute, figures)
    else:
        slot.coarse.append(slot.minute)
        slot.minute = figures


def _rows_of(slot: _Slot) -> list[Sequence[float]]:
    """Minutes up to the one in which the samples begin, then the samples after it: nothing twice, and no gap.

    Where samples are few, those of that minute are worth more than to have none of it missing.
    """
    samples: list[Sequence[float]] = list(slot.fine.rows())
    if not slot.fine.forgot or not samples:
        return samples
    short = samples[-1][0] - samples[0][0] < _SHORT_SECONDS
    first = samples[0][0] // COARSE_SECONDS - short
    minutes: list[Sequence[float]] = [one for one in slot.coarse.rows() if one[0] // COARSE_SECONDS <= first]
    until = minutes[-1][0] if minutes else float("-inf")
    return minutes + [one for one in samples if one[0] > until]
