"""The page that a browser sees first."""

from html import escape
from urllib.parse import quote

from heapwarden.domain.snapshot import Snapshot
from heapwarden.web.health import Answer

MOST_NAMES = 50
SECURITY = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Heapwarden</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42em; margin: 2em auto; padding: 0 1em }}
  dt {{ float: left; clear: left; width: 12em }} dd {{ margin-left: 12em }}
</style>
<h1>Heapwarden</h1>
<p>Version {version}. {summary}</p>
<dl>
{links}
</dl>
"""

_LINKS = (
    ("/healthz", "health of all watched processes: 200 or 503"),
    ("/readyz", "the same, for a readiness probe"),
    ("/livez", "whether the agent itself ticks"),
    ("/metrics", "for Prometheus"),
    ("/processes", "all figures as JSON"),
)


def html(snapshot: Snapshot, health: Answer, version: str, *, prom_client: bool) -> str:
    """The page; ``health`` is that of all processes."""
    extra = (("/metrics/prom-client", "the same under prom-client's names"),) if prom_client else ()
    names = list(snapshot.by_name)
    each = tuple((f"/healthz/{name}", f"health of {name}") for name in names[:MOST_NAMES])
    links = "\n".join(_link(path, text) for path, text in (*_LINKS, *extra, *each))
    count = len(snapshot.processes)
    watched = f"{count} {'process' if count == 1 else 'processes'} watched: {health.body['status']}."
    return _PAGE.format(version=escape(version), summary=escape(watched), links=links)


def _link(path: str, text: str) -> str:
    return f'<dt><a href="{escape(quote(path))}">{escape(path)}</a></dt><dd>{escape(text)}</dd>'
