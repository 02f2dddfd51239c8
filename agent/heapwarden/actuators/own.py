"""Which children of this process are programs whose end somebody here waits for.

Under ``heapwarden run`` the agent buries orphans, as PID 1 or as a child subreaper (prctl(2)): it must not take the
exit status of such a program from whoever waits for it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_starting = threading.Lock()
_pids: set[int] = set()


@contextmanager
def starting() -> Iterator[Callable[[int], None]]:
    """Hold while a program is started; call what it gives with the new pid, before it is let go."""
    with _starting:
        yield _pids.add


def waited_for(pid: int) -> None:
    """The status of ``pid`` has been taken. No lock: whoever buries must not find it held at a program's end."""
    _pids.discard(pid)


@contextmanager
def settled() -> Iterator[frozenset[int] | None]:
    """All programs, of which none is started meanwhile; None while one is being started. Never waits.

    Who gets None need not come back by itself: that program's end brings the next SIGCHLD.
    """
    if not _starting.acquire(blocking=False):
        yield None
        return
    try:
        yield frozenset(_pids)
    finally:
        _starting.release()


def pids() -> frozenset[int]:
    """Programs that run now, or have just ended."""
    return frozenset(_pids)
