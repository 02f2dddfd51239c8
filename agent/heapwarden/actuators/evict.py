"""Asks the Kubernetes API to evict the pod of a process, whose owner brings another. Disruption budgets hold."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable

from heapwarden.actuators.kernel import Kernel
from heapwarden.actuators.signals import check_runs
from heapwarden.domain.errors import ActuationError, KubernetesError
from heapwarden.domain.restart import Restart
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.policy.coordination import PATIENCE_SECONDS
from heapwarden.ports import NotYet, Pod, Pods

BUDGET = "disruption_budget"
"""Code of what a PodDisruptionBudget does not allow now."""
BUDGET_CAUSE = "DisruptionBudget"
TOO_MANY, SERVER_FAULT = 429, 500
LEAST_SECONDS, MOST_SECONDS = 2.0, 60.0
"""Between two requests; doubled each time, unless the API says when to come again."""
UNKNOWN_SECONDS = 5.0
"""Names of pods come late on a node; looking for them again asks nobody."""
MOST_REMEMBERED = 1_000


class EvictActuator:
    """An Actuator and its Permission. Each pod is evicted once, by its uid, whoever of its processes is to go."""

    kills: bool = False

    def __init__(
        self,
        api: KubernetesApi,
        pods: Pods,
        kernel: Kernel | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is asked yet."""
        self._api, self._pods = api, pods
        self._kernel, self._sleep = kernel or Kernel(), sleep
        self._evicted: dict[str, None] = {}
        self._refusals: dict[str, int] = {}

    async def ask(self, restart: Restart) -> NotYet | None:
        """Whether the API would evict its pod now: a dry run. The process goes on serving while it would not."""
        pod = self._pods.pod_of(restart.process)
        if pod is None:
            return NotYet("method", _UNKNOWN_POD, UNKNOWN_SECONDS)
        if pod.uid in self._evicted:
            return NotYet("sibling", f"its pod {pod.name} is being evicted already", MOST_SECONDS)
        try:
            await self._api.evict(pod, _grace(restart), dry_run=True)
        except KubernetesError as error:
            refusals = self._refusals[pod.uid] = self._refusals.get(pod.uid, -1) + 1
            _bound(self._refusals)
            wait = pause(error, refusals)
            code = BUDGET if error.status == TOO_MANY and BUDGET_CAUSE in error.causes else "method"
            return NotYet(code, f"{error}; asked again in {wait:.0f} s", wait, sure=bool(error.status))
        self._refusals.pop(pod.uid, None)
        return None

    async def terminate(self, restart: Restart) -> str | None:
        """Ask for the eviction. Raises ActuationError: it was refused, or nobody knows whether it was accepted.

        What may pass by itself (a budget just spent, an overloaded API) is waited for, for a while.
        """
        pod = self._pods.pod_of(restart.process)
        if pod is None:
            raise ActuationError(_UNKNOWN_POD)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        attempt, note, in_doubt = 0, None, False
        while pod.uid not in self._evicted:
            check_runs(self._kernel, restart)
            try:
                await self._evict(pod, restart)
            except KubernetesError as error:
                wait = pause(error, attempt)
                in_doubt = in_doubt or error.status == 0 or error.status >= SERVER_FAULT
                if not _may_pass(error) or time.monotonic() + wait > give_up_at:
                    raise ActuationError(f"{error}{_advice(error)}", in_doubt=in_doubt) from error
                attempt, note = attempt + 1, f"evicted at attempt {attempt + 2}, the last refusal was: {error}"
                await self._sleep(wait)
        return note

    async def kill(self, restart: Restart) -> None:
        """Never asked for: the kubelet kills at the end of the grace that it was told. Raises ActuationError."""
        raise ActuationError(f"pid {restart.process.pid}: the kubelet kills by itself")

    async def _evict(self, pod: Pod, restart: Restart) -> None:
        await self._api.evict(pod, _grace(restart), dry_run=False)
        self._evicted[pod.uid] = None
        _bound(self._evicted)


_UNKNOWN_POD = (
    "which pod it runs in is not known: give the agent HEAPWARDEN_POD_NAMESPACE, HEAPWARDEN_POD_NAME and "
    "HEAPWARDEN_POD_UID by the Downward API; one per node needs `list` and `watch` on `pods`"
)


def pause(error: KubernetesError, attempt: int) -> float:
    """How long to wait after an error, the first being ``attempt`` 0: as the API says, else longer each time."""
    asked = error.retry_after_seconds
    wait = min(MOST_SECONDS, LEAST_SECONDS * 2.0 ** min(attempt, 10) if asked is None else max(1.0, asked))
    return wait * random.uniform(1.0, 1.25)  # noqa: S311  so that replicas don't come at once


def _may_pass(error: KubernetesError) -> bool:
    """Asking again is safe: the uid says which pod is meant, and one that goes already goes only once."""
    return error.status in (0, TOO_MANY) or error.status >= SERVER_FAULT


def _advice(error: KubernetesError) -> str:
    advice = {
        0: "; whether it was accepted is not known",
        401: "; the API does not take the agent's token",
        403: "; the service account needs `create` on `pods/eviction`",
        404: "; there is no such pod any more",
        409: "; another pod has its name by now, or it has changed",
    }
    return advice.get(error.status, "")


def _grace(restart: Restart) -> int:
    """Whole seconds; never 0, by which the API forgets a pod before its processes have ended."""
    return max(1, math.ceil(restart.plan.grace_seconds))


def _bound(table: "dict[str, None] | dict[str, int]") -> None:
    if len(table) > MOST_REMEMBERED:
        del table[next(iter(table))]
