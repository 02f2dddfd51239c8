"""Ten thousand decisions in a world where pids change hands at any moment: no other process is ever signalled."""

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes.judged import AskedReporters, restart_of
from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.reporter import ReporterActuator
from heapwarden.actuators.signals import SignalActuator
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Restart

DECISIONS = 10_000
PIDS = range(2, 8)
AGENT, PARENT = 2, 3
MAX_SKEW = 2


@dataclass(eq=False)
class Life:
    """One process."""

    pid: int
    start: int
    boot: int
    ended: bool = False
    reaped: bool = False

    @property
    def id(self) -> ProcessId:
        """As it was judged."""
        return ProcessId(self.pid, self.start)


@dataclass
class World(Kernel):
    """A table of processes. Before each call anything may happen to any of them, save to the agent and its parent."""

    chance: random.Random
    skewed: bool = False
    """Whether ``/proc`` belongs to another PID namespace, in which other pids stand for the same processes."""
    nasty: float = 0.5
    now: int = 1_000
    boots: int = 0
    lives: dict[int, Life] = field(default_factory=dict)
    pidfds: dict[int, Life] = field(default_factory=dict)
    signalled: list[tuple[Life, signal.Signals]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """All pids are taken."""
        self.lives = {pid: Life(pid, self.now + pid, self.boots) for pid in PIDS}
        self.now += max(PIDS)

    def reboot(self) -> None:
        """Everything begins anew; by chance with the same pids and start times."""
        self.boots += 1
        self.now = self.chance.choice([1_000, self.now])
        self.__post_init__()

    def happen(self) -> None:
        """Something, or nothing."""
        self.now += self.chance.randrange(3)
        if self.chance.random() > self.nasty:
            return
        pid = self.chance.choice([pid for pid in PIDS if pid not in (AGENT, PARENT)])
        life = self.lives.get(pid)
        if life is None:
            self.now += 1  # no pid goes round within one tick
            self.lives[pid] = Life(pid, self.now, self.boots)
        elif not life.ended:
            life.ended = True
        else:
            life.reaped = True
            del self.lives[pid]

    def in_proc(self, pid: int) -> Life | None:
        """The process under ``pid`` in ``/proc``."""
        return self.lives.get(PIDS[(pid - PIDS[0] + MAX_SKEW) % len(PIDS)] if self.skewed else pid)

    def boot(self) -> str:
        """See Kernel."""
        return str(self.boots)

    def own_pids(self) -> tuple[int, int]:
        """See Kernel."""
        return AGENT, PARENT

    def open(self, pid: int) -> int:
        """See Kernel."""
        self.happen()
        if self.chance.random() < 0.01:
            raise OSError(24, "Too many open files")
        life = self.lives.get(pid)
        if life is None:
            raise ProcessLookupError
        number = max(self.pidfds, default=2) + 1
        self.pidfds[number] = life
        return number

    def start_of(self, pid: int) -> int | None:
        """See Kernel."""
        self.happen()
        if self.chance.random() < 0.01:
            raise PermissionError(13, "Permission denied")
        life = self.in_proc(pid)
        return None if life is None or life.ended else life.start

    def pid_behind(self, pidfd: int) -> int:
        """See Kernel."""
        self.happen()
        life = self.pidfds[pidfd]
        if life.reaped:
            return -1
        return next((pid for pid in PIDS if self.in_proc(pid) is life), 0)

    def send(self, pidfd: int, number: int) -> None:
        """See Kernel."""
        self.happen()
        life = self.pidfds[pidfd]
        if life.reaped:
            raise ProcessLookupError
        self.signalled.append((life, signal.Signals(number)))

    def close(self, pidfd: int) -> None:
        """See Kernel."""
        del self.pidfds[pidfd]


def world_of(seed: int, **fields: Any) -> World:
    """The same for each seed."""
    return World(random.Random(seed), **fields)  # noqa: S311  no secret


def judged(world: World) -> tuple[Life, Restart]:
    """A decision about a process that ``/proc`` shows, and all that may happen until it is carried out."""
    while True:
        pid = world.chance.choice(PIDS)
        life = world.in_proc(pid)
        if life is not None and not life.ended:
            break
        world.happen()
    restart = restart_of(ProcessId(pid, life.start), boot=world.boot())
    for _ in range(world.chance.choice([0, 3, 40])):
        world.happen()
    if world.chance.random() < 0.02:
        world.reboot()
    return life, restart


def naive(world: World, restart: Restart) -> None:
    """As kill(1) would."""
    world.send(world.open(restart.process.pid), signal.SIGTERM)


def checked(world: World, restart: Restart) -> None:
    """One of the three ways that end in a signal."""
    ways = (
        SignalActuator(world).terminate,
        SignalActuator(world).kill,
        ReporterActuator(AskedReporters(), world).kill,
    )
    coroutine = world.chance.choice(ways)(restart)
    with contextlib.suppress(StopIteration):  # nothing in it waits, so it needs no loop
        coroutine.send(None)


def outcomes(world: World, act: Callable[[World, Restart], None]) -> Counter[str]:
    """What became of all decisions."""
    count: Counter[str] = Counter()
    for _ in range(DECISIONS):
        life, restart = judged(world)
        world.signalled.clear()
        try:
            act(world, restart)
        except (ActuationError, OSError):
            count["nothing"] += 1
        hit = [one for one, _ in world.signalled]
        count["right"] += life in hit and life.boot == world.boots
        count["wrong"] += any(one is not life for one in hit)
        count["agent"] += any(one.pid in (AGENT, PARENT) for one in hit)
    return count


@pytest.mark.parametrize("skewed", [False, True], ids=["own /proc", "another namespace's /proc"])
def test_no_other_process_is_ever_signalled(*, skewed: bool) -> None:
    """Not the next one under the pid, nor one of another boot, nor the agent; and the judged one is."""
    count = outcomes(world_of(7, skewed=skewed), checked)
    assert count["wrong"] == count["agent"] == 0
    assert count["right"] == 0 if skewed else count["right"] > DECISIONS / 20
    assert count["right"] + count["nothing"] == DECISIONS


def test_a_bare_kill_would_hit_others() -> None:
    """The same world is dangerous: without the checks many a signal goes astray."""
    count = outcomes(world_of(7), naive)
    assert count["wrong"] > DECISIONS / 20
    assert count["agent"] > DECISIONS / 100


def test_one_that_lives_on_is_always_reached() -> None:
    """In doubt nothing is done; but there is no doubt where nothing happens."""
    world = world_of(1, nasty=0.0)
    for pid in PIDS:
        if pid not in (AGENT, PARENT):
            life = world.lives[pid]
            checked(world, restart_of(life.id, boot=world.boot()))
            assert world.signalled.pop()[0] is life
