"""What programs and other services are told of a restart. ``VERSION`` grows when a field changes its meaning."""

import json
import math

from heapwarden.actuators.programs import clean_environment
from heapwarden.domain.restart import Figure, Restart

VERSION = 1


def environment(restart: Restart) -> dict[str, str]:
    """The environment of a program: the agent's own, cleaned, and the restart in ``HEAPWARDEN_…``."""
    return clean_environment(
        HEAPWARDEN_RESTART_ID=restart.id,
        HEAPWARDEN_PROCESS=restart.name.process,
        HEAPWARDEN_WORKER=restart.name.worker,
        HEAPWARDEN_PID=str(restart.process.pid),
        HEAPWARDEN_REASON=restart.trigger.reason,
        HEAPWARDEN_TEXT=restart.trigger.text,
        HEAPWARDEN_STAGE=restart.stage,
    )


def body(restart: Restart) -> bytes:
    """The JSON of a request. ``pid`` is 0 for a process in a PID namespace that the agent can't see into."""
    fields = {
        "version": VERSION,
        "id": restart.id,
        "process": restart.name.process,
        "worker": restart.name.worker,
        "pid": restart.process.pid,
        "reason": restart.trigger.reason,
        "text": restart.trigger.text,
        "figures": {name: _finite(figure) for name, figure in restart.figures.items()},
        "stage": restart.stage,
        "method": restart.plan.method,
    }
    return json.dumps(fields, allow_nan=False).encode()


def _finite(figure: Figure) -> Figure:
    """JSON has no infinity."""
    return None if isinstance(figure, float) and not math.isfinite(figure) else figure
