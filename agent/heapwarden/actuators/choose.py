"""Which actuator carries out which method."""

from collections.abc import Mapping

from heapwarden.actuators.command import CommandActuator
from heapwarden.actuators.evict import EvictActuator
from heapwarden.actuators.none import NoActuator
from heapwarden.actuators.pm2 import Pm2Actuator
from heapwarden.actuators.reporter import ReporterActuator
from heapwarden.actuators.signals import SignalActuator
from heapwarden.actuators.webhook import WebhookActuator
from heapwarden.domain.restart import Method
from heapwarden.ports import Actuator, Reporters


def actuators(reporters: Reporters, evict: EvictActuator) -> Mapping[Method, Actuator]:
    """One for each method."""
    signals = SignalActuator()
    return {
        Method.SIGNAL: signals,
        Method.SUPERVISE: signals,
        Method.REPORTER: ReporterActuator(reporters),
        Method.PM2: Pm2Actuator(),
        Method.COMMAND: CommandActuator(),
        Method.WEBHOOK: WebhookActuator(),
        Method.EVICT: evict,
        Method.NONE: NoActuator(),
    }
