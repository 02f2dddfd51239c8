"""What a Kubernetes API server keeps and how it answers, without any network: pods, leases, budgets, and who may what.

Answers are those of a real one (1.28 and later), word for word where a client could look at them.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Answer = tuple[int, Json]

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
"""As the server parses metav1.MicroTime: six digits after the point, no fewer and no more."""
EVERYTHING: list[Json] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def status(code: int, message: str, reason: str = "", **details: Any) -> Answer:
    """A Status of failure."""
    body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return code, {**body, "reason": reason or _REASONS[code], "details": details, "code": code}


@dataclass
class Written:
    """A Lease as it was written, by the test's monotonic clock."""

    at: float
    name: str
    holder: str
    seconds: int


@dataclass
class Asked:
    """Who wants what of the API."""

    verb: str
    group: str
    resource: str
    """With its subresource, ``pods/eviction``."""
    namespace: str
    name: str
    query: Mapping[str, str]
    body: Json


@dataclass
class Cluster:
    """All that is kept. Every method is called with :attr:`lock` held, by the server's threads and by tests."""

    rules: list[Json] = field(default_factory=lambda: EVERYTHING)
    """Of the Role that the only service account has."""
    budget: int | None = None
    """How many pods a PodDisruptionBudget over all of them lets go now; None: there is no budget."""
    budget_lags: bool = False
    """The budget's controller has not caught up: 429 with a time to come again."""
    on_evicted: Callable[[Json, int], None] = lambda _pod, _grace: None
    """What the kubelet does: gets the pod and its grace, once for each."""
    pods: dict[tuple[str, str], Json] = field(default_factory=dict)
    leases: dict[tuple[str, str], Json] = field(default_factory=dict)
    evictions: list[tuple[str, int]] = field(default_factory=list)
    """Uid and grace of each that was accepted, dry runs left out."""
    dry_runs: list[str] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    version: int = 100
    oldest: int = 0
    """Watches from before are told that it is gone."""
    events: list[tuple[int, str, Json]] = field(default_factory=list)
    """Version, type and pod."""
    page_pods: int = 0
    """How many pods are in one part of a list; 0: all."""
    generation: int = 0
    """Grows when all watches are to be closed."""
    lock: threading.Condition = field(default_factory=threading.Condition)

    def add_pod(self, name: str, namespace: str = "apps", node: str = "node-1", **spec: Any) -> Json:
        """A pod that runs; gives it, with its new uid. One of the same name is replaced."""
        with self.lock:
            metadata = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), **spec.pop("metadata", {})}
            spec = {"nodeName": node, "containers": [{"name": "app"}], **spec}
            pod: Json = {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}
            known = (namespace, name) in self.pods
            self.pods[namespace, name] = pod
            self._changed("MODIFIED" if known else "ADDED", pod)
            return pod

    def change_pod(self, name: str, namespace: str = "apps", **changes: Any) -> None:
        """Change what stands at the top of a pod, as ``status``."""
        with self.lock:
            self.pods[namespace, name].update(changes)
            self._changed("MODIFIED", self.pods[namespace, name])

    def remove_pod(self, name: str, namespace: str = "apps") -> None:
        """It is gone."""
        with self.lock:
            self._changed("DELETED", self.pods.pop((namespace, name)))

    def say(self, what: str, thing: Json) -> None:
        """Something that watches are told besides pods: a ``BOOKMARK``, or what no server should say."""
        with self.lock:
            self.version += 1
            self.events.append((self.version, what, thing))
            self.lock.notify_all()

    def bookmark(self) -> None:
        """Tell watches how far they have come, as a server does once a minute."""
        metadata = {"resourceVersion": str(self.version + 1), "creationTimestamp": None}
        spec = {"containers": None}
        self.say("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}})

    def close_watches(self) -> None:
        """As a server does after some minutes."""
        with self.lock:
            self.generation += 1
            self.lock.notify_all()

    def compact(self) -> None:
        """Forget all that has happened: whoever watches from before is answered 410."""
        with self.lock:
            self.oldest = self.version

    def holder(self, name: str, namespace: str = "apps") -> str | None:
        """Of a Lease; None where there is no such Lease."""
        with self.lock:
            lease = self.leases.get((namespace, name))
            return None if lease is None else str(lease["spec"].get("holderIdentity", ""))

    def answer(self, asked: Asked) -> Answer:
        """To one request that is no watch."""
        with self.lock:
            refused = self._forbidden(asked)
            if refused is not None:
                return refused
            known: dict[tuple[str, str], Callable[[Asked], Answer]] = {
                ("create", "pods/eviction"): self._evict,
                ("create", "leases"): self._create_lease,
                ("update", "leases"): self._update_lease,
                ("get", "leases"): lambda asked: _get(self.leases, asked, "leases.coordination.k8s.io"),
                ("get", "pods"): lambda asked: _get(self.pods, asked, "pods"),
                ("list", "pods"): self._list,
            }
            handler = known.get((asked.verb, asked.resource))
            return handler(asked) if handler else status(404, "the server could not find the requested resource")

    def refusal(self, asked: Asked) -> Answer | None:
        """Why not, by the rules."""
        with self.lock:
            return self._forbidden(asked)

    def watch(self, asked: Asked) -> Iterator[Json | None]:
        """Events of pods from a version on, None where a moment passed without any; ends where watches are closed."""
        seen, generation = int(asked.query.get("resourceVersion") or self.version), self.generation
        ends = time.monotonic() + float(asked.query.get("timeoutSeconds", 300))
        if seen < self.oldest:
            yield {"type": "ERROR", "object": status(410, f"too old resource version: {seen} ({self.oldest})")[1]}
            return
        while generation == self.generation and time.monotonic() < ends:
            with self.lock:
                news = [event for event in self.events if event[0] > seen and _selected(event[2], asked.query)]
                if not news:
                    self.lock.wait(0.05)
            for version, what, pod in news:
                seen = version
                yield {"type": what, "object": pod}
            if not news:
                yield None

    def _forbidden(self, asked: Asked) -> Answer | None:
        for rule in self.rules:
            names = rule.get("resourceNames")
            right = all(
                "*" in rule[key] or value in rule[key]
                for key, value in (("apiGroups", asked.group), ("resources", asked.resource), ("verbs", asked.verb))
            )
            if right and (not names or asked.name in names):
                return None
        who = 'User "system:serviceaccount:apps:heapwarden"'
        text = f'{who} cannot {asked.verb} resource "{asked.resource}" in API group "{asked.group}"'
        where = f' in the namespace "{asked.namespace}"'
        return status(403, f'{asked.resource} "{asked.name}" is forbidden: {text}{where}')

    def _list(self, asked: Asked) -> Answer:
        pods = [pod for pod in self.pods.values() if _selected(pod, asked.query)]
        metadata = {"resourceVersion": str(self.version)}
        begin = int(asked.query.get("continue", 0))
        end = begin + (self.page_pods or len(pods))
        if end < len(pods):
            metadata["continue"] = str(end)
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods[begin:end]}

    def _changed(self, what: str, pod: Json) -> None:
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, what, {**pod, "metadata": dict(pod["metadata"])}))
        self.lock.notify_all()

    def _evict(self, asked: Asked) -> Answer:
        pod = self.pods.get((asked.namespace, asked.name))
        if pod is None:
            return status(404, f'pods "{asked.name}" not found')
        options = asked.body.get("deleteOptions", {})
        wanted, uid = options.get("preconditions", {}).get("uid"), pod["metadata"]["uid"]
        if wanted not in (None, uid):
            why = f"the UID in the precondition ({wanted}) does not match the UID in record ({uid})"
            return status(409, f'Operation cannot be fulfilled on pods "{asked.name}": {why}')
        going = "deletionTimestamp" in pod["metadata"]
        if not going and self.budget_lags:
            why = "The disruption budget api is still being processed by the server."
            return self._over_budget(why, retryAfterSeconds=10)
        if not going and self.budget == 0:
            return self._over_budget("The disruption budget api needs 2 healthy pods and has 2 currently")
        if asked.query.get("dryRun") == "All":
            self.dry_runs.append(uid)
        elif not going:
            self._let_go(pod, int(options.get("gracePeriodSeconds", 30)))
        return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _over_budget(self, why: str, **details: Any) -> Answer:
        text = "Cannot evict pod as it would violate the pod's disruption budget."
        return status(429, text, causes=[{"reason": "DisruptionBudget", "message": why}], **details)

    def _let_go(self, pod: Json, grace: int) -> None:
        if self.budget is not None:
            self.budget -= 1
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.evictions.append((pod["metadata"]["uid"], grace))
        self._changed("MODIFIED", pod)
        self.on_evicted(pod, grace)

    def _create_lease(self, asked: Asked) -> Answer:
        name = asked.body.get("metadata", {}).get("name", "")
        if (asked.namespace, name) in self.leases:
            return status(409, f'leases.coordination.k8s.io "{name}" already exists', "AlreadyExists")
        if asked.body["metadata"].get("resourceVersion"):
            return status(500, "resourceVersion should not be set on objects to be created")
        return _wrong(asked.body) or (201, self._write(asked.namespace, name, asked.body))

    def _update_lease(self, asked: Asked) -> Answer:
        known = self.leases.get((asked.namespace, asked.name))
        if known is None:
            return status(404, f'leases.coordination.k8s.io "{asked.name}" not found')
        read = asked.body["metadata"].get("resourceVersion")
        if not read:
            return status(422, "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update")
        if read != known["metadata"]["resourceVersion"]:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            return status(409, f'Operation cannot be fulfilled on leases.coordination.k8s.io "{asked.name}": {why}')
        return _wrong(asked.body) or (200, self._write(asked.namespace, asked.name, asked.body))

    def _write(self, namespace: str, name: str, body: Json) -> Json:
        self.version += 1
        metadata = {**body["metadata"], "namespace": namespace, "resourceVersion": str(self.version)}
        lease = self.leases[namespace, name] = {**body, "metadata": metadata}
        spec = body.get("spec", {})
        holder, seconds = spec.get("holderIdentity", ""), spec.get("leaseDurationSeconds", 0)
        self.written.append(Written(time.monotonic(), name, holder, seconds))
        return lease


def _get(table: Mapping[tuple[str, str], Json], asked: Asked, kind: str) -> Answer:
    found = table.get((asked.namespace, asked.name))
    return status(404, f'{kind} "{asked.name}" not found') if found is None else (200, found)


def _wrong(lease: Json) -> Answer | None:
    """What a real server would not take."""
    spec = lease.get("spec", {})
    for key in ("acquireTime", "renewTime"):
        if key in spec and not MICRO_TIME.fullmatch(spec[key]):
            why = f'parsing time "{spec[key]}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
            return status(400, f'Lease in version "v1" cannot be handled as a Lease: {why}')
    for key, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        if key in spec and (not isinstance(spec[key], int) or spec[key] < least):
            return status(422, f"spec.{key}: Invalid value: {spec[key]}: must be at least {least}")
    return None


def _selected(pod: Json, query: Mapping[str, str]) -> bool:
    """By the field selectors that pods have."""
    if "nodeName" not in pod.get("spec", {}):
        return True  # no pod
    known = {"spec.nodeName": pod["spec"].get("nodeName"), "metadata.name": pod["metadata"]["name"]}
    known |= {"metadata.namespace": pod["metadata"]["namespace"], "status.phase": pod["status"].get("phase")}
    wanted = [part.split("=", 1) for part in query.get("fieldSelector", "").split(",") if part]
    return all(known.get(key) == value for key, value in wanted)
