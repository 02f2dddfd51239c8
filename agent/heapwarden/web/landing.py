"""What there is under ``/`` for whoever is no browser, and for browsers where the live page was not built."""

from html import escape
from urllib.parse import quote

from heapwarden import __version__
from heapwarden.domain.snapshot import Snapshot
from heapwarden.web.health import Answer
from heapwarden.web.options import WebOptions
from heapwarden.web.views import Json

MOST_NAMES = 50
BUILD = "make .cache/live"
_LINKS = {
    "/healthz": "health of all watched processes: 200 or 503",
    "/readyz": "the same, for a readiness probe",
    "/livez": "whether the agent itself ticks",
    "/metrics": "for Prometheus",
    "/processes": "all figures as JSON",
    "/pressure": "how near the worst process is to its limit",
    "/live/events": "what the live page shows, as server-sent events",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Heapwarden</title>
<h1>Heapwarden</h1>
<p>Version {version}. {summary}</p>
<p>The live page is not part of this installation: it was started from a source tree in which the page was not built.
<code>{build}</code> there builds it, with Node and npm; then load this page again. All else works without it:</p>
<ul>
{links}
</ul>
"""


def summary(snapshot: Snapshot, health: Answer, options: WebOptions) -> Json:
    """Version, health and the other endpoints, for programs; ``health`` is that of all processes."""
    return {
        "version": __version__,
        "status": health.body["status"],
        "processCount": len(snapshot.processes),
        "see": _links(snapshot, options),
    }


def html(snapshot: Snapshot, health: Answer, options: WebOptions) -> str:
    """The same for people, and how to build the live page. Links are relative: there may be a prefix before them."""
    links = "\n".join(
        f'<li><a href="{escape(quote(path.removeprefix("/")))}">{escape(path)}</a> {escape(text)}'
        for path, text in _links(snapshot, options).items()
    )
    count = len(snapshot.processes)
    watched = f"{count} {'process' if count == 1 else 'processes'} watched: {health.body['status']}."
    return _PAGE.format(version=escape(__version__), summary=escape(watched), build=escape(BUILD), links=links)


def _links(snapshot: Snapshot, options: WebOptions) -> dict[str, str]:
    more = {"/metrics/prom-client": "the same under prom-client's names"} if options.prom_client_metrics else {}
    return _LINKS | more | {f"/healthz/{name}": f"health of {name}" for name in list(snapshot.by_name)[:MOST_NAMES]}
