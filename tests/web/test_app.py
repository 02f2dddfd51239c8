"""The endpoints, through the app."""

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from fakes.asgi import Client
from fakes.scrapes import OPENMETRICS, registry_of
from fakes.snapshots import NOW, fleet, snapshot, verdict, watched
from heapwarden.domain.health import HealthState
from heapwarden.exposition import prom_client
from heapwarden.exposition.text import page
from heapwarden.web.app import create_app
from heapwarden.web.options import WebOptions

PATHS = ("/", "/healthz", "/healthz/api", "/readyz", "/livez", "/metrics", "/processes", "/processes/api")
VERBS = ("/restart", "/drain", "/undrain")


class World:
    """What the app is told; tests change it between requests."""

    def __init__(self) -> None:
        """One healthy process."""
        self.snapshot = snapshot(watched())
        self.options = WebOptions()
        self.now = NOW


@pytest.fixture
def world() -> World:
    """See :class:`World`."""
    return World()


@pytest.fixture
def client(world: World) -> Client:
    """A client of the app over ``world``."""
    return Client(
        create_app(
            snapshot=lambda: world.snapshot,
            monotonic=lambda: world.now,
            options=lambda: world.options,
            metrics=lambda accept: page(registry_of(world.snapshot), accept),
            prom_client_metrics=lambda accept: page(registry_of(world.snapshot, prom_client.FAMILIES), accept),
        )
    )


@pytest.mark.parametrize("path", PATHS)
def test_get_and_head_are_answered_and_nothing_else(client: Client, path: str) -> None:
    """Every endpoint reads; none writes. No answer may be kept by a cache."""
    assert client.get(path).status_code == 200
    assert client.head(path).status_code == 200
    assert client.get(path).headers["cache-control"] == "no-store"
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        refused = client.request(method, path)
        assert refused.status_code == 405
        assert refused.json() == {"detail": "Method Not Allowed"}
        assert "GET" in refused.headers["allow"]


@pytest.mark.parametrize("path", ["/nope", "/healthz/", "/healthz/a/b", "/docs", "/redoc", "/metrics/"])
def test_elsewhere_is_nothing(client: Client, path: str) -> None:
    """404 as JSON, with where to look; no page that would load scripts from elsewhere."""
    refused = client.get(path)
    assert refused.status_code == 404
    assert refused.json() == {"detail": f"nothing is at {path}; see /"}


@pytest.mark.parametrize("path", ["/healthz", "/healthz/api", "/readyz"])
def test_an_unhealthy_process_is_503(client: Client, world: World, path: str) -> None:
    """With the header that tells when to come again, and the reasons; back to 200 when the verdict is."""
    world.snapshot = snapshot(watched(judged=verdict(HealthState.UNHEALTHY, text="heap use is 95 %")))
    world.options = WebOptions(retry_after_seconds=7)
    refused = client.get(path)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "7"
    assert refused.json()["reasons"] == ["heap use is 95 %"]
    assert client.head(path).status_code == 503
    world.snapshot = snapshot(watched())
    assert client.get(path).status_code == 200


def test_a_degraded_process_tells_envoy(client: Client, world: World) -> None:
    """200, so that traffic goes on, and the header by which Envoy prefers others."""
    world.snapshot = snapshot(watched(judged=verdict(HealthState.DEGRADED, text="near")))
    answer = client.get("/healthz")
    assert (answer.status_code, answer.headers["x-envoy-degraded"]) == (200, "true")


def test_an_unknown_name_is_404_with_the_names(client: Client) -> None:
    """Under both paths."""
    expected = {"detail": "no process is called 'wep'", "known": ["api"]}
    for path in ("/healthz/wep", "/processes/wep"):
        refused = client.get(path)
        assert (refused.status_code, refused.json()) == (404, expected)


def test_names_may_need_quoting(client: Client, world: World) -> None:
    """A script's name can have spaces and signs."""
    world.snapshot = snapshot(watched('my <app> & "co"'))
    assert client.get("/healthz/my%20%3Capp%3E%20%26%20%22co%22").status_code == 200


def test_livez_is_about_the_agent(client: Client, world: World) -> None:
    """A stuck tick is 503 there, and the processes' health is not."""
    world.now = NOW + 60
    assert client.get("/livez").status_code == 503
    assert client.get("/healthz").status_code == 200
    world.now = NOW
    world.snapshot = snapshot(watched(judged=verdict(HealthState.UNHEALTHY)))
    assert client.get("/livez").status_code == 200


def test_metrics_follow_accept_and_accept_encoding(client: Client) -> None:
    """Format by one header, compression by the other."""
    plain = client.get("/metrics", headers={"accept-encoding": "identity"})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "content-encoding" not in plain.headers
    zipped = client.get("/metrics", headers={"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.text == plain.text
    openmetrics = client.get("/metrics", headers={"accept": OPENMETRICS})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert "heapwarden_rss_bytes" in {family.name for family in parse_openmetrics(openmetrics.text)}


def test_prom_client_names_are_opt_in(client: Client, world: World) -> None:
    """Off until the settings turn it on, also while running."""
    refused = client.get("/metrics/prom-client")
    assert refused.status_code == 404
    assert "prom_client_metrics" in refused.json()["detail"]
    assert "/metrics/prom-client" not in client.get("/").json()["see"]
    world.options = replace(world.options, prom_client_metrics=True)
    assert "nodejs_heap_size_used_bytes{" in client.get("/metrics/prom-client").text
    assert "/metrics/prom-client" in client.get("/").json()["see"]


def test_processes_can_be_asked_for_by_name(client: Client, world: World) -> None:
    """All of them, or those of one name."""
    world.snapshot = fleet(30)
    assert len(client.get("/processes").json()["processes"]) == 30
    some = client.get("/processes/service-0001").json()["processes"]
    assert [one["worker"] for one in some] == [str(slot) for slot in range(10)]


def test_the_schema_lists_every_endpoint(client: Client) -> None:
    """For whoever generates a client; HEAD is understood."""
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        *("/", "/healthz", "/healthz/{process}", "/readyz", "/livez"),
        *("/metrics", "/metrics/prom-client", "/processes", "/processes/{process}"),
        *("/pressure", "/pressure/{process}", "/live/events", "/live/{file}"),
        *(f"/processes/{{process}}{verb}" for verb in VERBS),
    }
    for path, methods in paths.items():
        assert set(methods) == {"post" if path.endswith(VERBS) else "get"}


def test_each_request_sees_the_newest_snapshot(client: Client, world: World) -> None:
    """Nothing is kept between requests."""
    for known in (fleet(2), fleet(5), snapshot()):
        world.snapshot = known
        assert len(client.get("/processes").json()["processes"]) == len(world.snapshot.processes)
        assert client.get("/metrics").text.count("heapwarden_health_state{") == len(world.snapshot.processes)
