"""All alerts. There is none about leaks: no metric tells a leak's verdict yet."""

from mixin.rules.alert import Alert
from mixin.rules.alerts_agents import AGENT_ALERTS
from mixin.rules.alerts_health import HEALTH_ALERTS
from mixin.rules.alerts_limits import LIMIT_ALERTS

INTERVAL_SECONDS = 30
"""How often they are evaluated."""

ALERTS: dict[str, tuple[Alert, ...]] = {
    "heapwarden-limits": LIMIT_ALERTS,
    "heapwarden-health": HEALTH_ALERTS,
    "heapwarden-agents": AGENT_ALERTS,
}
"""By the name of their group."""
