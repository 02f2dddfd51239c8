"""Each method has its actuator."""

import pytest

from fakes.judged import AskedReporters
from heapwarden.actuators.choose import actuators
from heapwarden.domain.restart import Method


@pytest.mark.parametrize(
    ("method", "kills"),
    [
        (Method.SIGNAL, True),
        (Method.SUPERVISE, True),
        (Method.REPORTER, True),
        (Method.PM2, False),
        (Method.COMMAND, False),
        (Method.WEBHOOK, False),
        (Method.NONE, False),
    ],
)
def test_sigkill_follows_where_nobody_else_sees_to_it(method: Method, *, kills: bool) -> None:
    """PM2, commands, webhooks and probes have ways of their own."""
    assert actuators(AskedReporters())[method].kills is kills


def test_every_method_has_an_actuator() -> None:
    """A method that the settings accept can be carried out."""
    assert set(actuators(AskedReporters())) == set(Method)
