"""Real containers by podman, in a store of their own under .cache/container; they need root."""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fakes.machine import ROOT, AgentHandle, Answer, get, program

T = TypeVar("T")
Done = subprocess.CompletedProcess[str]
STORE = ROOT / ".cache" / "container"
AGENT_PORT, AGENT_SOCKET = 9797, Path("/run/heapwarden/agent.sock")
_CLONE_NEWNET = 0x40000000
"""See setns(2)."""
_MOST_FILES, _PROCESSES = 20_000, 4_096


class PodmanError(Exception):
    """A call that failed, with what podman said."""


class Podman:
    """Calls of podman. Nothing of it is shared with the machine's own images and containers."""

    def __init__(self, folder: Path) -> None:
        """Images and containers live below ``folder``, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._options = ("--root", str(folder / "store"), "--runroot", str(folder / "run"), "--storage-driver=overlay")
        self._config = folder / "containers.conf"
        self._config.write_text(_config())

    def command(self, *arguments: str | Path) -> list[str]:
        """A command line, for those who start it themselves with :attr:`environment`."""
        return ["podman", *self._options, *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        """Of every call."""
        return {**os.environ, "CONTAINERS_CONF": str(self._config)}

    def call(self, *arguments: str | Path, seconds: float = 120, **options: Any) -> Done:
        """Any exit code is an answer."""
        command = self.command(*arguments)
        return subprocess.run(
            command,
            cwd=self._folder,  # conmon leaves a file `oom` where it was started
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            **options,
        )

    def __call__(self, *arguments: str | Path, seconds: float = 120, **options: Any) -> str:
        """The output, stripped. Raises PodmanError."""
        done = self.call(*arguments, seconds=seconds, **options)
        if done.returncode:
            raise PodmanError(f"podman {' '.join(map(str, arguments))}: {done.returncode}: {done.stderr[-4000:]}")
        return done.stdout.strip()

    def inspect(self, name: str, kind: str = "container") -> dict[str, Any]:
        """What podman knows of a container, an image or a pod."""
        found = json.loads(self("inspect", "--type", kind, name))
        entry: dict[str, Any] = found[0] if isinstance(found, list) else found
        return entry

    def pid(self, container: str) -> int:
        """The pid of its first process, as the machine has it; 0 while it does not run."""
        return int(self.inspect(container)["State"]["Pid"])

    def has_image(self, name: str) -> bool:
        """Whether it is in the store."""
        return self.call("image", "exists", name).returncode == 0

    @contextmanager
    def container(self, *arguments: str | Path) -> Iterator[str]:
        """`podman run --detach`, and its removal; the container's id."""
        started = self("run", "--detach", *arguments)
        try:
            yield started
        finally:
            self("rm", "--force", "--time", "2", "--volumes", started)

    def clean_up(self) -> None:
        """End and remove every container and pod of this store, and what it has mounted."""
        self("pod", "rm", "--force", "--all", "--time", "2")
        self("rm", "--force", "--all", "--time", "2", "--volumes")
        self("volume", "prune", "--force")
        self("image", "prune", "--force", "--filter", "until=24h")  # what builds left behind
        below = f"{STORE}/"
        points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted((point for point in points if point.startswith(below)), reverse=True):
            subprocess.run(["umount", point], check=False, capture_output=True)


def _config() -> str:
    """No systemd is needed, and no limits are asked for that an ordinary machine would refuse."""
    files = min(_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return (
        f'[containers]\ndefault_ulimits=["nofile={files}:{files}", "nproc={_PROCESSES}:{_PROCESSES}"]\n'
        '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="runc"\n'
    )


@contextmanager
def alone() -> Iterator[Podman]:
    """The store, one user of it at a time; nothing runs in it before and after."""
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        podman = Podman(STORE)
        podman.clean_up()
        try:
            yield podman
        finally:
            podman.clean_up()


@contextmanager
def own_cgroup(path: str) -> Iterator[str]:
    """A parent for containers' cgroups that podman makes and leaves behind; removed as far as it is empty."""
    try:
        yield path
    finally:
        for hierarchy in Path("/sys/fs/cgroup").iterdir():
            lowest = hierarchy / path.strip("/")
            for folder in (lowest / "conmon", lowest, *lowest.parents):
                if folder == hierarchy:
                    break
                with contextlib.suppress(OSError):
                    folder.rmdir()


class Network:
    """A container's network, which need not be reachable from here: a thread of this process lives in it."""

    def __init__(self, pid: int) -> None:
        """The network of this process."""
        self._thread = ThreadPoolExecutor(1, initializer=_enter, initargs=(f"/proc/{pid}/ns/net",))

    def run(self, work: Callable[[], T]) -> T:
        """Done by that thread."""
        return self._thread.submit(work).result()

    def get(self, url: str, **headers: str) -> Answer:
        """GET; any status is an answer."""
        return self.run(lambda: get(url, **headers))

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


def _enter(path: str) -> None:
    with Path(path).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")


class ContainedAgent(AgentHandle):
    """An agent in a container, asked from within its network; its program is what podman says of its log."""

    network: Network

    def get(self, path: str, **headers: str) -> Answer:
        """GET from it."""
        return self.network.get(f"{self.url}{path}", **headers)


@contextmanager
def contained_agent(podman: Podman, container: str) -> Iterator[ContainedAgent]:
    """The agent that runs in a container, once it listens."""
    with (
        program(podman.command("logs", "--follow", container), podman.environment) as log,
        contextlib.closing(Network(podman.pid(container))) as network,
    ):
        agent = ContainedAgent(log, AGENT_SOCKET, f"http://127.0.0.1:{AGENT_PORT}")
        agent.network = network
        log.line('"port":')
        yield agent
