"""Rows of figures, packed into pages of one size: the oldest page goes when there is no room for another."""

import struct
from collections.abc import Iterator, Sequence
from sys import getsizeof

PAGE_ROWS = 10
"""Few, so that little is lost at once; and many, so that a page's own head costs little."""


class Ring:
    """At most ``most_pages`` pages, made as they are needed. A row is a time (float64) and figures (float32)."""

    __slots__ = ("_format", "_pages", "_used", "forgot", "most_pages")

    def __init__(self, row: struct.Struct, most_pages: int) -> None:
        """Empty; ``row`` packs a time and its figures, little-endian."""
        self._format = row
        self._pages: list[bytearray] = []
        self._used = PAGE_ROWS
        """Rows of the newest page."""
        self.most_pages = most_pages
        self.forgot = False
        """Whether a row was ever let go."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._pages) * PAGE_ROWS - (PAGE_ROWS - self._used) if self._pages else 0

    def append(self, row: Sequence[float]) -> None:
        """Keep a row that is newer than all before."""
        if self._used == PAGE_ROWS:
            self._pages.append(bytearray(PAGE_ROWS * self._format.size))
            self._used = 0
            self.keep(self.most_pages)
        self._format.pack_into(self._pages[-1], self._used * self._format.size, *row)
        self._used += 1

    def keep(self, most_pages: int) -> None:
        """Hold no more than so many pages from now on; the newest stay."""
        self.most_pages = most_pages
        while len(self._pages) > most_pages:
            self._drop()

    def forget(self, before: float) -> None:
        """Let pages go that hold nothing newer than ``before``; the newest page stays."""
        last = (PAGE_ROWS - 1) * self._format.size
        while len(self._pages) > 1 and _time(self._pages[0], last) < before:
            self._drop()

    def rows(self) -> Iterator[tuple[float, ...]]:
        """Oldest first."""
        for page in self._pages:
            end = len(page) if page is not self._pages[-1] else self._used * self._format.size
            yield from self._format.iter_unpack(page[:end])

    def after(self, time: float) -> list[tuple[float, ...]]:
        """Rows newer than ``time``, oldest first; looks at no more pages than it must."""
        found: list[tuple[float, ...]] = []
        used = self._used
        for page in reversed(self._pages):
            rows = [self._format.unpack_from(page, index * self._format.size) for index in range(used)]
            newer = [row for row in rows if row[0] > time]
            found[:0] = newer
            if len(newer) < len(rows):
                break
            used = PAGE_ROWS
        return found

    @property
    def bytes_used(self) -> int:
        """Memory of the pages."""
        return sum(map(getsizeof, self._pages))

    def _drop(self) -> None:
        del self._pages[0]
        self.forgot = True
        if not self._pages:
            self._used = PAGE_ROWS


def _time(page: bytearray, offset: int) -> float:
    (time,) = _TIME.unpack_from(page, offset)
    return float(time)


_TIME = struct.Struct("<d")
