"""Another service is asked for the restart."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fakes.judged import identity, restart_of
from fakes.receiver import Receiver, receiver
from heapwarden.actuators.webhook import WebhookActuator
from heapwarden.domain.errors import ActuationError
from heapwarden.domain.restart import Method

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[Receiver]:
    """One that listens."""
    with receiver() as listening:
        yield listening


async def test_it_is_asked_once(server: Receiver) -> None:
    """With the restart's fields."""
    restart = restart_of(os.getpid(), method=Method.WEBHOOK, url=f"{server.url}/status/200")
    await WebhookActuator().terminate(restart)
    [(_, _, sent)] = server.got
    assert (sent["method"], sent["pid"]) == ("webhook", os.getpid())


async def test_a_no_is_an_error(server: Receiver) -> None:
    """With the status."""
    with pytest.raises(ActuationError, match=r"webhook http://127\.0\.0\.1:\d+: 503"):
        await WebhookActuator().terminate(restart_of(os.getpid(), url=f"{server.url}/status/503"))


@pytest.mark.parametrize(
    ("path", "in_doubt"),
    [
        pytest.param("status/404", False, id="a no"),
        pytest.param("redirect", False, id="elsewhere"),
        pytest.param("status/503", True, id="a fault"),
        pytest.param("garbage", True, id="no HTTP"),
        pytest.param("hang", True, id="no answer"),
    ],
)
async def test_what_may_be_done_all_the_same_is_in_doubt(
    server: Receiver, monkeypatch: pytest.MonkeyPatch, path: str, in_doubt: bool
) -> None:
    """So its place among replicas is kept."""
    if path == "hang":
        monkeypatch.setattr("heapwarden.actuators.webhook.TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ActuationError) as caught:
        await WebhookActuator().terminate(restart_of(os.getpid(), url=f"{server.url}/{path}"))
    assert caught.value.in_doubt is in_doubt
    assert len(server.got) == 1


async def test_what_could_not_be_sent_is_not_in_doubt() -> None:
    """Nobody has heard of it."""
    with pytest.raises(ActuationError) as caught:
        await WebhookActuator().terminate(restart_of(os.getpid(), url="http://127.0.0.1:1/"))
    assert not caught.value.in_doubt


async def test_nothing_is_asked_for_a_process_that_has_ended(server: Receiver) -> None:
    """What came after it is healthy."""
    judged = identity(os.getpid())
    for restart in (
        restart_of(replace(judged, start=judged.start - 1), url=f"{server.url}/status/200"),
        restart_of(judged, boot="another", url=f"{server.url}/status/200"),
    ):
        with pytest.raises(ActuationError, match=r"ended already|booted since"):
            await WebhookActuator().terminate(restart)
    assert server.got == []


async def test_it_does_not_kill(server: Receiver) -> None:
    """Nobody asks it to."""
    with pytest.raises(ActuationError, match="does not kill"):
        await WebhookActuator().kill(restart_of(os.getpid(), url=f"{server.url}/status/200"))
    assert server.got == []
