"""Signals, taken by a thread that waits for them, because only so their origin is known.

A Ctrl-C reaches every process of the terminal's foreground group; whoever hands it on to a child makes it two. The
kernel marks such signals (``si_code`` > 0, sigaction(2)); those that a process sent are marked otherwise.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HANDED_ON = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT})


@contextmanager
def blocked(signals: frozenset[signal.Signals]) -> Iterator[set[signal.Signals]]:
    """Block ``signals`` in this thread and in those started within; gives the mask that was in force before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield {signal.Signals(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def listen(signals: frozenset[signal.Signals], tell: Callable[[int, bool], None]) -> None:
    """From now on, call ``tell(number, from_terminal)`` on the running loop for each of the blocked ``signals``."""
    loop = asyncio.get_running_loop()

    def work() -> None:
        while True:
            info = signal.sigwaitinfo(signals)
            try:
                loop.call_soon_threadsafe(tell, info.si_signo, info.si_code > 0)
            except RuntimeError:
                return

    threading.Thread(target=work, name="heapwarden-signals", daemon=True).start()
