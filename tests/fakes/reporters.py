"""Simulated reporters: they speak the protocol, and break it on demand."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

MIB = 2**20


def hello(thread: int = 0, pid: int | None = None, **fields: Any) -> dict[str, Any]:
    """The first frame, of this very process unless told otherwise."""
    frame = {
        "t": "hello",
        "v": 1,
        "reporter": "0.1.0",
        "pid": os.getpid() if pid is None else pid,
        "start": 1,
        "ns": "pid:[4026531836]",
        "thread": thread,
        "node": "20.20.2",
        "v8": "11.3.244.8-node.33",
        "argv": ["/usr/bin/node", "/app/server.js"],
        "semi": 16 * MIB,
        "can": ["pressure", "drain", "gc", "signal", "bye"],
    }
    return {**frame, **fields}


def sample(used_mib: float = 40, seq: int = 1, major: int = 0, minor: int = 0, **fields: Any) -> dict[str, Any]:
    """Figures of a heap whose effective limit is 100 MiB."""
    spaces = ("read_only", "old", "code", "shared", "new", "large_object", "code_large_object", "new_large_object")
    frame = {
        "t": "sample",
        "seq": seq,
        "why": "interval",
        "mem": {
            "rss": 80 * MIB,
            "heapTotal": 60 * MIB,
            "heapUsed": int(used_mib * MIB),
            "external": 2 * MIB,
            "arrayBuffers": MIB,
        },
        "heap": {"limit": 148 * MIB, "malloced": MIB, "native": 1, "detached": 0},
        "spaces": {name: [MIB, MIB // 2, MIB // 2] for name in spaces},
        "loop": {"p50": 0.1, "p99": 1.5, "max": 3.0, "elu": 0.07},
        "gc": {
            "minor": {"n": [minor, 0, 0, 0, 0, 0, 0], "ms": minor * 0.5, "freed": minor * MIB},
            "major": {"n": [0, 0, major, 0, 0, 0, 0], "ms": major * 10.0, "freed": 0},
        },
        "live": 39 * MIB,
    }
    return {**frame, **fields}


class Reporter:
    """One connection to an agent's socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """See :meth:`connect`."""
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, path: Path) -> "Reporter":
        """Connect, and say nothing."""
        return cls(*await asyncio.open_unix_connection(path))

    @classmethod
    async def greet(cls, path: Path, **fields: Any) -> "Reporter":
        """Connect and say hello."""
        reporter = await cls.connect(path)
        reporter.send(hello(**fields))
        return reporter

    def send(self, frame: object) -> None:
        """Send one frame."""
        self.raw(json.dumps(frame).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        """Send anything."""
        self.writer.write(data)

    async def receive(self) -> dict[str, Any] | None:
        """The agent's next message; None when it has closed the connection."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), 10)
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    async def close(self) -> None:
        """Leave."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return
