"""A stand-in for the agent's socket: accepts reporters, answers as told, keeps each line with its time of arrival."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Message = dict[str, Any]
T = TypeVar("T")


class Peer:
    """One connection from a reporter. ``lines`` and ``times`` grow together; ``closed`` once the reporter has left."""

    def __init__(self, connection: socket.socket, news: threading.Condition) -> None:
        """Lines are announced on ``news``."""
        self._connection = connection
        self._news = news
        self.lines: list[bytes] = []
        self.times: list[float] = []
        self.closed = False

    @property
    def hello(self) -> Message | None:
        """The first line, once it is there."""
        return json.loads(self.lines[0]) if self.lines else None

    @property
    def samples(self) -> list[Message]:
        """All lines after the first."""
        return [json.loads(line) for line in self.lines[1:]]

    def send(self, message: Message | bytes) -> None:
        """A message as one line, or bytes as they are. A reporter that has left is no error."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        try:
            self._connection.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        """Hang up."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def read_all(self, on_line: Callable[["Peer"], None]) -> None:
        """Read until the reporter leaves; ``on_line`` is called after each line."""
        try:
            with self._connection, self._connection.makefile("rb") as stream:
                for line in stream:
                    with self._news:
                        self.lines.append(line)
                        self.times.append(time.monotonic())
                        self._news.notify_all()
                    on_line(self)
        except OSError:
            pass  # the reporter's end was cut
        with self._news:
            self.closed = True
            self._news.notify_all()


class AgentSocket:
    """Listens on ``path`` until closed. ``config`` is the answer to each hello; None answers nothing."""

    def __init__(self, path: Path, config: Message | None) -> None:
        """Starts to listen at once."""
        self.path = path
        self.config = config
        self.peers: list[Peer] = []
        self._news = threading.Condition()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(connection, self._news)
            with self._news:
                self.peers.append(peer)
                self._news.notify_all()
            threading.Thread(target=peer.read_all, args=(self._answer,), daemon=True).start()

    def _answer(self, peer: Peer) -> None:
        if len(peer.lines) == 1 and self.config is not None:
            peer.send(self.config)

    def wait(self, find: Callable[["AgentSocket"], T | None], what: str, within: float = 20.0) -> T:
        """What ``find`` gives as soon as it gives anything true; ``what`` names it when the time is over."""
        deadline = time.monotonic() + within
        with self._news:
            while True:
                found = find(self)
                if found:
                    return found
                if not self._news.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise TimeoutError(f"not seen within {within} s: {what}")

    def close(self) -> None:
        """Hang up on everyone, stop listening and take the socket's file away. A second time does nothing."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for peer in self.peers:
            peer.close()


Serve = Callable[..., AgentSocket]
"""The fixture ``serve``: starts an agent that answers each hello with its argument."""


def config(interval_ms: int = 100, *, gc_profiler: bool = True) -> Message:
    """The agent's answer to a hello."""
    return {"t": "config", "v": 1, "interval_ms": interval_ms, "gc_profiler": gc_profiler}


@contextmanager
def agent_socket(path: Path, answer: Message | None) -> Iterator[AgentSocket]:
    """An :class:`AgentSocket` for the length of a ``with``."""
    agent = AgentSocket(path, answer)
    try:
        yield agent
    finally:
        agent.close()
