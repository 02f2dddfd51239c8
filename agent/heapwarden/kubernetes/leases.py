"""Places among restarts that may be under way at once: ``max_unavailable`` Leases, each with one holder.

Writes succeed only on the version that was read, so of two that want the same place one loses. Whether a holder has
died is judged as client-go's leader election does: by the agent's own clock since it last saw the Lease change, never
by comparing another machine's clock with its own.
"""

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from heapwarden.domain.errors import KubernetesError
from heapwarden.domain.restart import Restart
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.ports import Clock, NotYet

if TYPE_CHECKING:
    from lightkube.resources.coordination_v1 import Lease

log = logging.getLogger(__name__)

CODE = "coordination"
AGAIN_SECONDS = 3.0
"""Between two looks at places that others have."""
RACE_SECONDS = 0.5
"""After a race that was lost."""
TROUBLE_SECONDS = 10.0
CONFLICT = 409
LABEL, OURS = "app.kubernetes.io/managed-by", "heapwarden"
SHOWN_CHARACTERS = 100
"""Of a holder's name: a pod's has 63 mostly."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A Lease as it stood, and since when it has stood so, by the agent's monotonic clock."""

    holder: str
    renewed: object
    since: float


class LeaseCoordinator:
    """A Coordinator by Leases of one namespace."""

    def __init__(
        self, api: KubernetesApi, own: OwnPod, clock: Clock, chance: Callable[[], float] = random.random
    ) -> None:
        """The Leases are in the ``own`` pod's namespace, and it names the agent among all that use them."""
        self._api, self._namespace, self._where = api, own.namespace, own.where
        self._clock, self._chance = clock, chance
        self._seen: dict[str, Seen] = {}

    async def take(self, restart: Restart, seconds: float) -> NotYet | None:
        """See Coordinator."""
        try:
            return await self._take(restart, math.ceil(seconds))
        except KubernetesError as error:
            if error.status == CONFLICT:
                again = RACE_SECONDS * (1 + self._chance())
                return NotYet(CODE, f"lease {restart.plan.lease}: another was faster", again, sure=False)
            again = error.retry_after_seconds or TROUBLE_SECONDS
            return NotYet(CODE, f"lease {restart.plan.lease}: {error}", min(again, 60.0), sure=False)

    async def leave(self, restart: Restart) -> bool:
        """See Coordinator."""
        try:
            for name in _names(restart):
                lease = await self._api.lease(self._namespace, name)
                if lease is not None and _holder(lease) == self._holder(restart):
                    await self._write(lease, "", 1)
        except KubernetesError as error:
            log.info("lease %s not given back: %s", restart.plan.lease, error)
            return False
        return True

    async def _take(self, restart: Restart, seconds: int) -> NotYet | None:
        if not self._namespace:
            why = "the namespace is not known: set HEAPWARDEN_POD_NAMESPACE"
            return NotYet(CODE, f"lease {restart.plan.lease}: {why}", TROUBLE_SECONDS, sure=False)
        mine = self._holder(restart)
        leases = {name: await self._api.lease(self._namespace, name) for name in _names(restart)}
        now = self._clock.monotonic()
        own = [lease for lease in leases.values() if lease is not None and _holder(lease) == mine]
        if own:
            await self._write(own[0], mine, seconds)
            return None
        others = [name for name, lease in leases.items() if lease is not None and _foreign(lease)]
        if others:
            why = f"it is in use without the label {LABEL}={OURS}, so by somebody else: choose another name"
            return NotYet(CODE, f"lease {others[0]}: {why}", TROUBLE_SECONDS)
        for name, lease in leases.items():
            if lease is None or self._free(name, lease, now):
                await self._write(self._new(name) if lease is None else lease, mine, seconds)
                return None
        holders = ", ".join(_shown(_holder(lease)) for lease in leases.values() if lease is not None)
        why = f"lease {restart.plan.lease}: {restart.plan.max_unavailable} under way, held by {holders}"
        return NotYet(CODE, why, AGAIN_SECONDS * (1 + self._chance() / 3))

    def _free(self, name: str, lease: "Lease", now: float) -> bool:
        """Whether nobody holds it, or its holder has been silent for its whole duration while this agent looked on."""
        holder, spec = _holder(lease), lease.spec
        if not holder or spec is None:
            return True
        seen = self._seen.get(name)
        if seen is None or (seen.holder, seen.renewed) != (holder, spec.renewTime):
            seen = self._seen[name] = Seen(holder, spec.renewTime, now)
        return spec.leaseDurationSeconds is not None and now - seen.since >= spec.leaseDurationSeconds

    def _new(self, name: str) -> "Lease":
        from lightkube.models.meta_v1 import ObjectMeta  # noqa: PLC0415  heavy
        from lightkube.resources.coordination_v1 import Lease  # noqa: PLC0415  as above

        return Lease(metadata=ObjectMeta(name=name, namespace=self._namespace))

    async def _write(self, lease: "Lease", holder: str, seconds: int) -> None:
        """Whoever had it before, it is ``holder``'s now; empty: nobody's."""
        from lightkube.models.coordination_v1 import LeaseSpec  # noqa: PLC0415  heavy

        before, now = lease.spec or LeaseSpec(), _now()
        renewed = before.holderIdentity == holder
        lease.spec = LeaseSpec(
            holderIdentity=holder,
            leaseDurationSeconds=seconds,
            acquireTime=before.acquireTime if renewed else now,
            renewTime=now,
            leaseTransitions=(before.leaseTransitions or 0) + (0 if renewed else 1),
        )
        if lease.metadata is not None:
            lease.metadata.labels = {**(lease.metadata.labels or {}), LABEL: OURS}
        await self._api.write_lease(lease)

    def _holder(self, restart: Restart) -> str:
        """The same for each life of the agent: whoever takes a restart up again has its place already."""
        process, name = restart.process, restart.name
        return f"{self._where}/{name.process}/{name.worker}/{process.namespace or process.pid}-{process.start}"


def _names(restart: Restart) -> list[str]:
    """Of all places there are: ``NAME``, ``NAME-1`` and so on."""
    lease = restart.plan.lease
    return [lease, *(f"{lease}-{number}" for number in range(1, restart.plan.max_unavailable))]


def _foreign(lease: "Lease") -> bool:
    """Whether others use it, for the election of a leader mostly: the app's, which must not lose it to a restart.

    One that was only made, by a manifest, has had no holder.
    """
    labels = (lease.metadata.labels if lease.metadata is not None else None) or {}
    spec = lease.spec
    used = spec is not None and (spec.holderIdentity is not None or bool(spec.leaseTransitions))
    return used and labels.get(LABEL) != OURS


def _holder(lease: "Lease") -> str:
    return (lease.spec.holderIdentity if lease.spec is not None else None) or ""


def _shown(holder: str) -> str:
    """What others have written there may be anything; it goes to logs, to the page, and into the journal."""
    text = holder if len(holder) <= SHOWN_CHARACTERS else f"{holder[: SHOWN_CHARACTERS - 1]}…"
    return "".join(char if char.isprintable() else "?" for char in text)


def _now() -> datetime:
    """The API takes times with six digits after the point only, and the client's library leaves out six zeroes."""
    now = datetime.now(UTC)
    return now if now.microsecond else now.replace(microsecond=1)
