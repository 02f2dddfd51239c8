"""Requests to a real server, which answers well and badly."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fakes.conditions import eventually
from fakes.judged import restart_of
from fakes.machine import free_port
from fakes.receiver import Receiver, receiver
from heapwarden import __version__
from heapwarden.actuators.context import body
from heapwarden.actuators.request import post
from heapwarden.domain.identity import ProcessId

pytestmark = pytest.mark.anyio

RESTART = restart_of(ProcessId(4711, 12_345))
LONG = 60.0


@pytest.fixture
def server() -> Iterator[Receiver]:
    """One that listens."""
    with receiver() as listening:
        yield listening


async def test_the_restart_arrives_as_json(server: Receiver) -> None:
    """All documented fields, under a name that says who asks."""
    answer = await post(f"{server.url}/status/204?key=secret", body(RESTART), LONG)
    assert answer.ok, answer.text
    [(path, headers, sent)] = server.got
    assert path == "/status/204?key=secret"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"heapwarden/{__version__}"
    assert sent == {
        "version": 1,
        "id": "r-1",
        "process": "api",
        "worker": "0",
        "pid": 4711,
        "reason": "max_memory",
        "text": "RSS is 1.2 GiB, max_memory 1 GiB",
        "figures": {"rss_bytes": 1_288_490_188, "limit_bytes": 1_073_741_824},
        "stage": "terminate",
        "method": "signal",
    }


async def test_figures_that_json_can_not_say_are_null(server: Receiver) -> None:
    """An infinite time to the limit, for one."""
    await post(f"{server.url}/status/200", body(replace(RESTART, figures={"eta_seconds": float("inf")})), LONG)
    assert server.got[0][2]["figures"] == {"eta_seconds": None}


@pytest.mark.parametrize(
    ("path", "ok", "text"),
    [
        pytest.param("status/200", True, "200", id="200"),
        pytest.param("status/202", True, "202", id="202"),
        pytest.param("status/500", False, "500: what went wrong", id="500"),
        pytest.param("status/404", False, "404: what went wrong", id="404"),
        pytest.param("redirect", False, "302, and no redirect is followed", id="redirect"),
        pytest.param("huge", True, "200", id="an endless body"),
        pytest.param("garbage", False, "the answer is not HTTP (BadStatusLine)", id="no HTTP"),
    ],
)
async def test_any_2xx_is_a_yes(server: Receiver, path: str, *, ok: bool, text: str) -> None:
    """Everything else is a no, told by host and status; nothing of the path, which may hold a secret."""
    answer = await post(f"{server.url}/{path}?token=secret", body(RESTART), LONG)
    assert answer.ok is ok
    assert answer.text.startswith(f"{server.url}: ")
    assert text in answer.text
    assert "secret" not in answer.text
    assert len(server.got) == 1


@pytest.mark.parametrize("path", ["hang", "drip"])
async def test_the_deadline_holds(server: Receiver, path: str) -> None:
    """For the whole, however it is drawn out; the thread ends with it."""
    answer = await post(f"{server.url}/{path}", body(RESTART), 0.5)
    assert answer.text == f"{server.url}: no answer within 0.5 s"
    await eventually(lambda: "heapwarden-request" not in [thread.name for thread in threading.enumerate()], LONG)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("http://127.0.0.1:{port}/x", "Connection refused", id="nobody listens"),
        pytest.param("http://no-such-host.invalid/x", "", id="no such host"),
        pytest.param("https://127.0.0.1:{server}/x", "SSL", id="no TLS"),
        pytest.param("file:///etc/passwd", "file scheme is not sent to", id="a file"),
        pytest.param("ftp://127.0.0.1/x", "ftp scheme is not sent to", id="FTP"),
        pytest.param("http://127.0.0.1:{server}/a b?secret", "can't be sent as it is", id="a space"),
    ],
)
async def test_what_can_not_be_sent_is_said(server: Receiver, url: str, text: str) -> None:
    """And raises nothing."""
    answer = await post(url.format(port=free_port(), server=server.url.rpartition(":")[2]), body(RESTART), LONG)
    assert not answer.ok
    assert text in answer.text
    assert "secret" not in answer.text
    assert server.got == []


async def test_a_url_without_a_path_is_sent_to_the_root(server: Receiver) -> None:
    """HTTP has no empty path."""
    await post(f"{server.url}?x=1", body(RESTART), LONG)
    assert server.got[0][0] == "/?x=1"
