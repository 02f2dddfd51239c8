"""Agents of several replicas under one lease, through outages, lost answers and deaths: one replica down at a time."""

import asyncio
import copy
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from fakes.clock import PatientClock
from fakes.restart_world import AT_ONCE, World
from heapwarden.domain.errors import KubernetesError
from heapwarden.domain.restart import Plan, Restart
from heapwarden.kubernetes.leases import LeaseCoordinator
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.policy.restart import Budget, Pauses, RestartRules
from heapwarden.runtime.clearance import Clearance

if TYPE_CHECKING:
    from lightkube.resources.coordination_v1 import Lease

    from heapwarden.kubernetes.api import KubernetesApi

pytestmark = pytest.mark.anyio

PLAN = Plan(drain_seconds=4.0, grace_seconds=10.0, successor_seconds=30.0, lease="api")
RULES = replace(AT_ONCE, plan=PLAN, pauses=Pauses(0.0, 0.0, 0.0), budget=Budget(1_000))
SECONDS = 900
REPLICAS = 3


class Store:
    """The API server: replaces only the version that was read."""

    def __init__(self, chance: random.Random) -> None:
        """``chance`` loses requests and answers."""
        self.leases: dict[str, Lease] = {}
        self.version, self.chance = 0, chance


@dataclass
class Api:
    """What one agent reaches of it."""

    store: Store
    cut_off_until: float
    clock: PatientClock

    async def _on_its_way(self) -> None:
        await asyncio.sleep(0)
        if self.clock.now < self.cut_off_until or self.store.chance.random() < 0.05:
            raise KubernetesError("lost")

    async def lease(self, _namespace: str, name: str) -> "Lease | None":
        """As it is when the request arrives."""
        await self._on_its_way()
        found = copy.deepcopy(self.store.leases.get(name))
        await self._on_its_way()
        return found

    async def write_lease(self, lease: "Lease") -> None:
        """Unless somebody was faster."""
        sent = copy.deepcopy(lease)
        await self._on_its_way()
        assert sent.metadata is not None
        known = self.store.leases.get(str(sent.metadata.name))
        version = None if known is None or known.metadata is None else known.metadata.resourceVersion
        if sent.metadata.resourceVersion != version:
            raise KubernetesError("conflict", 409)
        self.store.version += 1
        sent.metadata.resourceVersion = str(self.store.version)
        self.store.leases[str(sent.metadata.name)] = sent
        await self._on_its_way()


class Replica(World):
    """A machine with one app, whose supervisor takes its time, and an agent that may die."""

    def __init__(self, number: int, store: Store) -> None:
        """Its app is over the limit, always."""
        self.number, self.chance = number, store.chance
        self.api = Api(store, 0.0, PatientClock(1_000.0 + 1e6 * number))
        self.back_at: float | None = None
        self.lives = True
        super().__init__(RULES, clock=self.api.clock)

    def begin(self, rules: RestartRules) -> None:
        """A new agent, with the leases of all."""
        super().begin(rules)
        own = OwnPod({"HEAPWARDEN_POD_NAMESPACE": "apps", "HEAPWARDEN_POD_NAME": f"api-{self.number}"})
        leases = LeaseCoordinator(cast("KubernetesApi", self.api), own, self.clock, self.chance.random)
        self.restarts.clearance = Clearance(leases, {}, self.clock, self.watch.mark)
        self.restarts._tools = replace(self.restarts._tools, clearance=self.restarts.clearance)

    def end(self, restart: Restart) -> None:
        """It ends at once, and comes back a while later."""
        self.discovery.running.pop(restart.process, None)
        self.back_at = self.clock.now + self.chance.uniform(1.0, 28.0)

    async def second(self) -> None:
        """What happens in one: its supervisor works on, its agent may die or come back, the API may be out of reach."""
        if self.back_at is not None and self.clock.now >= self.back_at:
            successor = self.an_app(self.started + 1_000)
            self.discovery.running[successor.id] = successor
            self.back_at = None
        if self.chance.random() < 0.01:
            self.api.cut_off_until = self.clock.now + self.chance.choice((5.0, 30.0, 120.0))
        if self.lives and self.chance.random() < 0.01:
            until, self.api.cut_off_until = self.api.cut_off_until, float("inf")  # killed: it gives nothing back
            await self._die()
            self.api.cut_off_until = until
        elif not self.lives and self.chance.random() < 0.1:
            self.begin(RULES)
            await self.restarts.start()
            self.lives = True
        if self.lives:
            self.grow_all()
            self.tick()

    async def _die(self) -> None:
        stopping = asyncio.create_task(self.restarts.stop())
        while not stopping.done():
            self.clock.wake_all()
            await asyncio.sleep(0)
        self.lives = False


@pytest.mark.parametrize("seed", range(4))
async def test_one_replica_is_down_at_a_time(seed: int) -> None:
    """Through 15 minutes in which everybody wants to be restarted all the time."""
    store = Store(random.Random(seed))  # noqa: S311  to be repeated
    replicas = [Replica(number, store) for number in range(REPLICAS)]
    for replica in replicas:
        await replica.restarts.start()
    restarted = set()
    for _ in range(SECONDS):
        for replica in replicas:
            await replica.second()
        down = [replica.number for replica in replicas if not replica.discovery.running]
        assert len(down) <= 1, f"{down} after {replicas[0].clock.now - 1_000:.0f} s"
        restarted.update(down)
        for replica in replicas:
            replica.clock.advance(1.0)
        for _ in range(20):
            await asyncio.sleep(0)
    assert len(restarted) >= REPLICAS - 1  # deaths and outages may leave one out
    assert sum(replica.started - 1 for replica in replicas) >= 5
    for replica in replicas:
        await replica._die()
