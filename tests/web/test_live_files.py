"""The live page's files, and what is at ``/`` without them."""

import gzip
from pathlib import Path

import pytest

from fakes.asgi import Client
from fakes.scrapes import registry_of
from fakes.snapshots import NOW, snapshot, watched
from heapwarden.exposition.text import page
from heapwarden.web import live_files
from heapwarden.web.app import create_app
from heapwarden.web.options import WebOptions

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
INDEX = "<!doctype html><title>Heapwarden</title>"
SCRIPT = "export const answer = 42\n" * 100


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are taken from; empty."""
    found = tmp_path / "live"
    found.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(live_files, "FOLDER", found)
    return found


@pytest.fixture
def built(folder: Path) -> Path:
    """The same with a page in it."""
    (folder / "index.html").write_text(INDEX)
    (folder / "app-ab12cd34ef.js").write_text(SCRIPT)
    (folder / "mark.svg").write_text("<svg/>")
    (folder / "notes.exe").write_text("")
    (folder / ".left.js").write_text("")
    return folder


@pytest.fixture
def client() -> Client:
    """A client of an app that watches a process with an odd name."""
    known = snapshot(watched('my <app> & "co"'))
    return Client(
        create_app(
            snapshot=lambda: known,
            monotonic=lambda: NOW,
            options=WebOptions,
            metrics=lambda accept: page(registry_of(known), accept),
            prom_client_metrics=lambda accept: page(registry_of(known), accept),
        )
    )


@pytest.mark.usefixtures("built")
def test_a_browser_gets_the_page(client: Client) -> None:
    """It is asked for anew each time, and may load and send nothing from or to elsewhere."""
    answer = client.get("/", headers=HTML)
    assert (answer.status_code, answer.text) == (200, INDEX)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.usefixtures("built")
def test_whatever_is_no_browser_gets_a_summary(client: Client) -> None:
    """`curl` shows what there is; a cache keeps the two apart."""
    answer = client.get("/")
    assert answer.json()["status"] == "healthy"
    assert {"/healthz", "/metrics", "/live/events"} <= set(answer.json()["see"])
    assert "accept" in answer.headers["vary"]
    assert "accept" in client.get("/", headers=HTML).headers["vary"]


@pytest.mark.usefixtures("built")
def test_a_file_comes_compressed_and_is_kept_by_its_hash(client: Client) -> None:
    """A name with a hash in it never means another content."""
    plain = client.get("/live/app-ab12cd34ef.js", headers={"accept-encoding": "identity"})
    zipped = client.get("/live/app-ab12cd34ef.js", headers={"accept-encoding": "gzip"})
    assert plain.text == zipped.text == SCRIPT
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in plain.headers["cache-control"]
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < len(gzip.compress(SCRIPT.encode())) + 20
    assert plain.headers["etag"] != zipped.headers["etag"]


def test_a_file_that_has_not_changed_is_not_sent_again(client: Client, built: Path) -> None:
    """304 by its tag; a new build is seen at once."""
    first = client.get("/live/mark.svg")
    assert first.headers["cache-control"] == "no-cache"
    seen = {"if-none-match": f'"other", {first.headers["etag"]}'}
    again = client.get("/live/mark.svg", headers=seen)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    (built / "mark.svg").write_text("<svg></svg>")
    assert client.get("/live/mark.svg", headers=seen).text == "<svg></svg>"


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/live/nope.js", id="no such file"),
        pytest.param("/live/notes.exe", id="no such kind"),
        pytest.param("/live/.left.js", id="what a build has left over"),
        pytest.param("/live/index.html", id="the page itself, whose links are relative to /"),
        pytest.param("/live/..%2Fsecret.txt", id="outside"),
        pytest.param("/live/%2e%2e/secret.txt", id="outside, in other words"),
        pytest.param("/live/%00.js", id="no name"),
        pytest.param(f"/live/{'x' * 5000}.js", id="a long name"),
        pytest.param("/live/", id="no name at all"),
    ],
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    """Only what was built, from this one folder."""
    assert client.get(path).status_code == 404


@pytest.mark.usefixtures("folder")
def test_without_a_page_it_says_how_to_build_it(client: Client) -> None:
    """200 in plain words, with links that work behind a prefix, and nothing that a name could break out of."""
    answer = client.get("/", headers=HTML)
    assert answer.status_code == 200
    assert "make .cache/live" in answer.text
    assert 'href="healthz/my%20%3Capp%3E%20%26%20%22co%22"' in answer.text
    assert "<app>" not in answer.text
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.usefixtures("built")
def test_head_is_answered(client: Client) -> None:
    """As GET, without the body."""
    assert client.head("/live/mark.svg").status_code == 200
