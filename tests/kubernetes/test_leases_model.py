"""Agents that want the same places, at any interleaving, with any requests lost: never more than there are places."""

import copy
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from lightkube.resources.coordination_v1 import Lease

from fakes.clock import FakeClock
from fakes.journalled import a_restart
from heapwarden.domain.errors import KubernetesError
from heapwarden.domain.identity import ProcessId
from heapwarden.domain.restart import Plan, Restart
from heapwarden.kubernetes.leases import LeaseCoordinator
from heapwarden.kubernetes.own_pod import OwnPod

if TYPE_CHECKING:
    from heapwarden.kubernetes.api import KubernetesApi
    from heapwarden.ports import NotYet

SECONDS = 10.0
"""A place is taken for so long."""


@types.coroutine
def _meanwhile() -> Generator[None, None, None]:
    """Others may do something here."""
    yield


class Store:
    """The API server: replaces only the version that was read. Each request and each answer may be lost on its way."""

    def __init__(self) -> None:
        """There is nothing yet."""
        self.leases: dict[str, Lease] = {}
        self.version = 0
        self.lose = False
        """The next step of a request loses it."""

    async def _on_its_way(self) -> None:
        await _meanwhile()
        if self.lose:
            self.lose = False
            raise KubernetesError("lost")

    async def lease(self, _namespace: str, name: str) -> Lease | None:
        """As it is when the request arrives."""
        await self._on_its_way()
        found = copy.deepcopy(self.leases.get(name))
        await self._on_its_way()
        return found

    async def write_lease(self, lease: Lease) -> None:
        """Unless somebody was faster."""
        sent = copy.deepcopy(lease)
        await self._on_its_way()
        assert sent.metadata is not None
        known = self.leases.get(str(sent.metadata.name))
        version = None if known is None or known.metadata is None else known.metadata.resourceVersion
        if sent.metadata.resourceVersion != version:
            raise KubernetesError("conflict", 409)
        self.version += 1
        sent.metadata.resourceVersion = str(self.version)
        self.leases[str(sent.metadata.name)] = sent
        await self._on_its_way()


@dataclass
class Clock(FakeClock):
    """The same seconds, counted from another beginning."""

    true: FakeClock
    ahead: float

    def monotonic(self) -> float:
        """As this machine has it."""
        return self.true.now + self.ahead


@dataclass
class Agent:
    """One life of one agent after the other, each with one process to restart."""

    number: int
    places: int
    store: Store
    clock: Clock
    restart: Restart = field(init=False)
    request: Coroutine[Any, Any, Any] | None = None
    asked_at: float = 0.0
    sure_until: float = float("-inf")
    """True time up to which it may rely on its place. It goes on when the agent dies: its restart goes on, too."""

    def __post_init__(self) -> None:
        """Begin to live."""
        plan = Plan(lease="api", max_unavailable=self.places)
        self.restart = a_restart(process=ProcessId(100 + self.number, 1), plan=plan)
        self.die()

    def die(self) -> None:
        """Whatever is under way is forgotten, and so is what it has seen."""
        if self.request is not None:
            self.request.close()
            self.request = None
        own = OwnPod({"HEAPWARDEN_POD_NAMESPACE": "apps", "HEAPWARDEN_POD_NAME": f"api-{self.number}"})
        self.coordinator = LeaseCoordinator(cast("KubernetesApi", self.store), own, self.clock, lambda: 0.0)

    def go_on(self, *, leave: bool) -> None:
        """The next step of what is under way; or begin to take a place, or to leave."""
        if self.request is None:
            self.asked_at = self.clock.true.now
            if leave:
                self.sure_until = float("-inf")
            coordinator = self.coordinator
            self.request = coordinator.leave(self.restart) if leave else coordinator.take(self.restart, SECONDS)
        try:
            self.request.send(None)
        except StopIteration as end:
            self.request = None
            answer: NotYet | bool | None = end.value
            if answer is None:
                self.sure_until = self.asked_at + SECONDS


WHATS = ("all", "all", "all", "all", "step", "step", "step", "leave", "lose", "die", "wait", "wait", "wait long")
STEPS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(WHATS)), min_size=20, max_size=80)


def run(places: int, steps: list[tuple[int, str]], look: Callable[[list[Agent], float], None]) -> None:
    """Let three agents take these steps, with a look after each."""
    store, true = Store(), FakeClock()
    agents = [Agent(number, places, store, Clock(true, ahead)) for number, ahead in enumerate((0.0, -900.0, 5e6))]
    for who, what in steps:
        store.lose = what == "lose"
        match what:
            case "die":
                agents[who].die()
            case "wait" | "wait long":
                true.advance(1.0 if what == "wait" else 4.0)
            case "all":
                agents[who].go_on(leave=False)
                while agents[who].request is not None:
                    agents[who].go_on(leave=False)
            case _:
                agents[who].go_on(leave=what == "leave")
        look(agents, true.now)
    for agent in agents:
        agent.die()


@settings(max_examples=200)
@given(st.integers(1, 2), STEPS)
def test_there_are_never_more_than_there_are_places(places: int, steps: list[tuple[int, str]]) -> None:
    """Whoever relies on a place has it alone, whatever was lost, whoever died, and however clocks are set."""

    def look(agents: list[Agent], now: float) -> None:
        sure = [agent.number for agent in agents if now < agent.sure_until]
        assert len(sure) <= places, f"{sure} at {now}"

    run(places, steps, look)


def test_all_places_are_used_and_a_dead_ones_place_is_free_again() -> None:
    """One after the other takes its place; the third gets that of the first, once that has been silent for its time."""
    seen: list[int] = []

    def look(agents: list[Agent], now: float) -> None:
        seen.append(sum(1 for agent in agents if now < agent.sure_until))

    run(2, [(0, "all"), (1, "all")], look)
    assert seen == [1, 2]
    late: list[bool] = []

    def third(agents: list[Agent], now: float) -> None:
        late.append(now < agents[2].sure_until)

    run(2, [(0, "all"), (1, "all"), (2, "all"), *[(0, "wait long")] * 3, (2, "all")], third)
    assert late == [False] * 6 + [True]
