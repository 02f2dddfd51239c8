"""Calls that may block, each in a daemon thread of its own: one that hangs can't hold up the agent's end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(name: str, call: Callable[[], T]) -> "Future[T]":
    """Start ``call``; the future has its result or error, and whoever stops waiting does not stop it."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  the edge of a thread: told to whoever waits
            future.set_exception(error)

    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:
        future.set_exception(error)
    return future
