"""When a command is started again, and after how long: no process, no time but the test's own."""

import asyncio
import logging
import signal
from dataclasses import dataclass, field

import pytest

from fakes.clock import FakeClock
from heapwarden.actuators.keeper import GONE_SECONDS, Backoff, Keeper, RestartPolicy
from heapwarden.domain.errors import CommandNotStartedError
from heapwarden.domain.exit import ExitStatus
from heapwarden.domain.identity import ProcessId

pytestmark = pytest.mark.anyio

FINE, FAILED, KILLED = ExitStatus(code=0), ExitStatus(code=3), ExitStatus(signal=signal.SIGKILL)
NOT_FOUND = CommandNotStartedError("app: not found", 127)
NEVER, ON_FAILURE, ALWAYS = RestartPolicy.NEVER, RestartPolicy.ON_FAILURE, RestartPolicy.ALWAYS


@dataclass
class Life:
    """One life of the command: what happens in it, how long it lasts, how it ends."""

    end: ExitStatus
    seconds: float = 0.0
    ours: bool = False
    hears: tuple[int, ...] = ()
    """Signals that come right after its start."""
    from_terminal: bool = False


class StillClock(FakeClock):
    """Whoever sleeps by it never wakes up."""

    def __init__(self) -> None:
        """Nobody sleeps."""
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Never ends."""
        self.slept.append(seconds)
        self.asleep.set()
        await asyncio.Event().wait()


@dataclass
class FakeChild:
    """A command that lives by the script."""

    id: ProcessId
    life: Life
    world: "World"
    ended: bool = False
    signals: list[int] = field(default_factory=list)
    reaped: int = 0

    def signal(self, number: int) -> None:
        """Hear a signal."""
        self.signals.append(number)

    async def wait(self) -> ExitStatus:
        """Live."""
        for number in self.life.hears:
            self.world.keeper.hear(number, self.life.from_terminal)
        self.world.clock.advance(self.life.seconds)
        self.ended = True
        return self.life.end

    def reap_others(self) -> None:
        """Count."""
        self.reaped += 1


class World:
    """Everything around one keeper; it is the overseer, and what is left behind."""

    def __init__(self, policy: RestartPolicy, *lives: Life | CommandNotStartedError, still: bool = False) -> None:
        """The command has these lives; a start beyond them fails the test. ``still``: no pause ends by itself."""
        self.clock = StillClock() if still else FakeClock()
        self.children: list[FakeChild] = []
        self.ends: list[tuple[ProcessId, ExitStatus]] = []
        self.behind: list[int] = []
        self.bury = asyncio.Event()
        self._lives = iter(lives)
        self.keeper = Keeper("app", self._start, policy=policy, overseer=self, remains=self, clock=self.clock)

    def _start(self) -> FakeChild:
        life = next(self._lives)
        if isinstance(life, CommandNotStartedError):
            raise life
        self.children.append(FakeChild(ProcessId(100 + len(self.children), 7), life, self))
        return self.children[-1]

    def restarting(self, pid_of_child: int) -> bool:
        """As the life says."""
        return next(child.life.ours for child in self.children if child.id.pid == pid_of_child)

    def child_ended(self, process: ProcessId, status: ExitStatus) -> None:
        """Keep."""
        self.ends.append((process, status))

    def left(self) -> list[int]:
        """What was left behind."""
        return self.behind

    async def gone(self) -> None:
        """Wait for the burial."""
        await self.bury.wait()
        self.behind = []

    async def pausing(self) -> "asyncio.Task[int]":
        """Keep, and wait until it waits; the clock stands still."""
        keeping = asyncio.create_task(self.keeper.keep())
        assert isinstance(self.clock, StillClock)
        await self.clock.asleep.wait()
        return keeping


@pytest.mark.parametrize(
    ("policy", "end", "starts", "code"),
    [
        pytest.param(NEVER, FINE, 1, 0, id="never, fine"),
        pytest.param(NEVER, FAILED, 1, 3, id="never, failed"),
        pytest.param(NEVER, KILLED, 1, 137, id="never, killed"),
        pytest.param(ON_FAILURE, FINE, 1, 0, id="on-failure, fine"),
        pytest.param(ON_FAILURE, FAILED, 2, 143, id="on-failure, failed"),
        pytest.param(ON_FAILURE, KILLED, 2, 143, id="on-failure, killed"),
        pytest.param(ALWAYS, FINE, 2, 143, id="always, fine"),
        pytest.param(ALWAYS, KILLED, 2, 143, id="always, killed"),
    ],
)
async def test_the_policy_says_after_which_ends_it_is_started_again(
    policy: RestartPolicy, end: ExitStatus, starts: int, code: int
) -> None:
    """Its second life is ended by a SIGTERM to the agent, after which there is no third."""
    world = World(policy, Life(end), Life(ExitStatus(signal=15), hears=(signal.SIGTERM,)))
    assert await world.keeper.keep() == code
    assert len(world.children) == starts


async def test_the_exit_code_is_the_last_ends() -> None:
    """Not the first one's."""
    assert await World(ON_FAILURE, Life(FAILED), Life(KILLED), Life(FINE)).keeper.keep() == 0


async def test_a_crash_loop_is_slowed_down_up_to_a_bound() -> None:
    """One second, doubled each time, thirty at most."""
    world = World(ON_FAILURE, *[Life(FAILED, seconds=0.1)] * 8, Life(FINE))
    await world.keeper.keep()
    assert world.clock.slept == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_a_long_life_makes_the_wait_short_again() -> None:
    """Sixty seconds are long enough, and a little less is not."""
    lives = [Life(FAILED), Life(FAILED), Life(FAILED, seconds=59.9), Life(FAILED, seconds=60), Life(FAILED), Life(FINE)]
    world = World(ON_FAILURE, *lives)
    await world.keeper.keep()
    assert world.clock.slept == [1, 2, 4, 1, 2]


def test_the_wait_never_exceeds_its_bound() -> None:
    """After any number of ends."""
    backoff = Backoff()
    waits = [backoff.wait_seconds(0) for _ in range(2_000)]
    assert max(waits) == 30
    assert waits == sorted(waits)


@pytest.mark.parametrize("policy", list(RestartPolicy))
async def test_a_restart_of_ours_always_starts_it_again_at_once(policy: RestartPolicy) -> None:
    """Whatever the policy and the exit code; the dispatcher has its own cooldowns."""
    world = World(policy, Life(FINE, ours=True), Life(KILLED, ours=True), Life(FINE, hears=(signal.SIGTERM,)))
    assert await world.keeper.keep() == 0
    assert len(world.children) == 3
    assert world.clock.slept == []


async def test_a_restart_of_ours_does_not_count_as_a_crash() -> None:
    """The wait after the next crash is the first one."""
    world = World(ON_FAILURE, Life(FINE, ours=True), Life(FAILED), Life(FINE))
    await world.keeper.keep()
    assert world.clock.slept == [1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("ours", [False, True], ids=["by itself", "in a restart of ours"])
@pytest.mark.parametrize("from_terminal", [False, True], ids=["from a process", "from the terminal"])
async def test_after_a_request_to_stop_there_is_no_next_life(number: int, ours: bool, from_terminal: bool) -> None:
    """The signal is handed on once, and the command's own exit code counts."""
    world = World(ALWAYS, Life(FAILED, seconds=30, ours=ours, hears=(number,), from_terminal=from_terminal))
    assert await world.keeper.keep() == 3
    assert world.children[0].signals == ([] if from_terminal else [number])


async def test_an_app_that_lives_on_after_sighup_was_not_stopped_by_it() -> None:
    """Many read their settings again; a crash much later is a crash."""
    world = World(ON_FAILURE, Life(FAILED, seconds=61, hears=(signal.SIGHUP,)), Life(FINE))
    assert await world.keeper.keep() == 0
    assert len(world.children) == 2


async def test_a_later_sighup_does_not_undo_a_request_to_stop() -> None:
    """SIGTERM stays what it was, however long the command takes."""
    world = World(ALWAYS, Life(FAILED, seconds=1_000, hears=(signal.SIGTERM, signal.SIGHUP)))
    assert await world.keeper.keep() == 3


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
async def test_other_signals_stop_nothing(number: int) -> None:
    """They are handed on, and what dies of them is started again."""
    world = World(ON_FAILURE, Life(ExitStatus(signal=number), hears=(number,)), Life(FINE))
    assert await world.keeper.keep() == 0
    assert world.children[0].signals == [number]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
async def test_a_stop_during_the_wait_ends_it_at_once(number: int, code: int) -> None:
    """As if the signal had killed it; signals that stop nothing are dropped, and not kept for the next life."""
    world = World(ALWAYS, Life(FAILED), still=True)
    keeping = await world.pausing()
    world.keeper.hear(signal.SIGUSR2, False)
    world.keeper.hear(number, number == signal.SIGINT)
    assert await keeping == code
    assert world.children[0].signals == []


async def test_orphans_are_buried_in_every_life_and_between() -> None:
    """SIGCHLD is no signal for the command, and stops nothing."""
    world = World(ALWAYS, Life(FAILED, hears=(signal.SIGCHLD,)), still=True)
    keeping = await world.pausing()
    world.keeper.hear(signal.SIGCHLD, False)
    assert world.children[0].reaped == 2
    assert world.children[0].signals == []
    world.keeper.hear(signal.SIGTERM, False)
    await keeping


async def test_a_first_start_that_fails_is_no_end_but_an_error() -> None:
    """Whoever called sees it; nothing was started, nothing is told."""
    world = World(ALWAYS, NOT_FOUND)
    with pytest.raises(CommandNotStartedError):
        await world.keeper.keep(pytest.fail)
    assert world.ends == []


@pytest.mark.parametrize("policy", [ON_FAILURE, ALWAYS])
async def test_a_later_start_that_fails_is_tried_again(policy: RestartPolicy, caplog: pytest.LogCaptureFixture) -> None:
    """The file may come back, as in the middle of a deployment; each try is said."""
    world = World(policy, Life(FAILED), NOT_FOUND, NOT_FOUND, Life(FINE, hears=(signal.SIGTERM,)))
    assert await world.keeper.keep() == 0
    assert world.clock.slept == [1, 2, 4]
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [str(NOT_FOUND)] * 2


async def test_under_never_a_later_start_that_fails_is_the_end() -> None:
    """Who stands outside hears the exit code that a shell gives."""
    world = World(NEVER, Life(FINE, ours=True), NOT_FOUND)
    assert await world.keeper.keep() == 127


async def test_it_waits_for_what_was_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """Also in a restart of ours; the next life begins once all of that has ended."""
    world = World(NEVER, Life(FINE, ours=True), Life(FAILED), still=True)
    world.behind = [41, 42]
    keeping = await world.pausing()
    assert len(world.children) == 1
    world.bury.set()
    assert await keeping == 3
    assert world.clock.slept == [GONE_SECONDS]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_stays_is_waited_for_only_so_long_and_then_named(caplog: pytest.LogCaptureFixture) -> None:
    """The command is started all the same; never is anything killed."""
    world = World(NEVER, Life(FINE, ours=True), Life(FAILED))
    world.behind = list(range(41, 60))
    assert await world.keeper.keep() == 3
    assert world.clock.slept == [GONE_SECONDS]
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "may still be taken by pid 41, 42, 43, 44, 45, 46, 47, 48, 49, 50 and 9 more" in warning


async def test_a_stop_ends_the_wait_for_what_was_left_behind() -> None:
    """At once; 128 + the signal."""
    world = World(NEVER, Life(FINE, ours=True), still=True)
    world.behind = [41]
    keeping = await world.pausing()
    world.keeper.hear(signal.SIGTERM, False)
    assert await keeping == 143


async def test_the_agent_hears_of_each_end_and_people_of_each_start(caplog: pytest.LogCaptureFixture) -> None:
    """By pid and start time and as the kernel has it; the log counts the starts."""
    caplog.set_level(logging.INFO)
    world = World(ON_FAILURE, Life(FAILED), Life(KILLED, ours=True), Life(FINE))
    await world.keeper.keep()
    assert world.ends == [(ProcessId(100, 7), FAILED), (ProcessId(101, 7), KILLED), (ProcessId(102, 7), FINE)]
    said = [record.message for record in caplog.records if record.message.startswith("started")]
    assert said == [
        "started app",
        "started app again (2nd time) after exit code 3",
        "started app again (3rd time) after its restart by Heapwarden",
    ]
