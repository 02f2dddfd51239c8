"""Each method has its actuator."""

from collections.abc import Mapping

import pytest

from fakes.judged import AskedReporters
from heapwarden.actuators.choose import actuators
from heapwarden.actuators.evict import EvictActuator
from heapwarden.domain.restart import Method
from heapwarden.kubernetes.api import KubernetesApi
from heapwarden.kubernetes.own_pod import OwnPod
from heapwarden.kubernetes.service_account import ServiceAccount
from heapwarden.ports import Actuator


def _all() -> Mapping[Method, Actuator]:
    return actuators(AskedReporters(), EvictActuator(KubernetesApi(ServiceAccount.of({})), OwnPod({})))


@pytest.mark.parametrize(
    ("method", "kills"),
    [
        (Method.SIGNAL, True),
        (Method.SUPERVISE, True),
        (Method.REPORTER, True),
        (Method.PM2, False),
        (Method.COMMAND, False),
        (Method.WEBHOOK, False),
        (Method.EVICT, False),
        (Method.NONE, False),
    ],
)
def test_sigkill_follows_where_nobody_else_sees_to_it(method: Method, *, kills: bool) -> None:
    """PM2, commands, webhooks, the kubelet and probes have ways of their own."""
    assert _all()[method].kills is kills


def test_every_method_has_an_actuator() -> None:
    """A method that the settings accept can be carried out."""
    assert set(_all()) == set(Method)
