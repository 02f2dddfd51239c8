"""The routes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from heapwarden import __version__
from heapwarden.domain.snapshot import Snapshot
from heapwarden.web import health, landing, live_files, pressure
from heapwarden.web.gate import OFF
from heapwarden.web.health import Answer
from heapwarden.web.listing import listing
from heapwarden.web.live_events import Live
from heapwarden.web.operations import Operations, Verb
from heapwarden.web.options import Page, WebOptions
from heapwarden.web.responses import NO_STORE, PagedResponse, Turns, answer

Metrics = Callable[[str], Page]
"""Takes the request header ``Accept``."""


def create_app(
    *,
    snapshot: Callable[[], Snapshot],
    monotonic: Callable[[], float],
    options: Callable[[], WebOptions],
    metrics: Metrics,
    prom_client_metrics: Metrics,
    operations: Operations | None = None,
    level: pressure.Level = lambda _process: None,
    live: Live | None = None,
) -> FastAPI:
    """All endpoints over the newest ``snapshot``; ``monotonic`` is the clock that its times were read from.

    Without ``operations`` nothing can be asked for that would change anything. ``level`` knows the level of pressure
    that each process is told. Without ``live`` there are no events for the live page.
    """
    app = FastAPI(title="Heapwarden", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    site = _Site(snapshot, monotonic, options, metrics, prom_client_metrics, operations, level, live)
    _get(app, "/", site.index)
    _get(app, "/healthz", site.healthz)
    _get(app, "/healthz/{process}", site.healthz_of_one)
    _get(app, "/readyz", site.readyz)
    _get(app, "/livez", site.livez)
    _get(app, "/metrics", site.prometheus)
    _get(app, "/metrics/prom-client", site.prom_client)
    _get(app, "/processes", site.processes)
    _get(app, "/processes/{process}", site.processes_of_one)
    _get(app, "/pressure", site.pressure)
    _get(app, "/pressure/{process}", site.pressure_of_one)
    _get(app, "/live/events", site.live_events)
    _get(app, "/live/{file}", site.live_file)
    for verb, endpoint in (("restart", site.restart), ("drain", site.drain), ("undrain", site.undrain)):
        app.add_api_route(f"/processes/{{process}}/{verb}", endpoint, methods=["POST"], response_model=None)
    app.add_exception_handler(HTTPException, _refused)
    return app


def _get(app: FastAPI, path: str, endpoint: Callable[..., Awaitable[Response]]) -> None:
    """GET, and HEAD beside it, of which the server drops the body."""
    app.add_api_route(path, endpoint, methods=["GET"], response_class=Response, response_model=None)
    app.add_api_route(path, endpoint, methods=["HEAD"], response_model=None, include_in_schema=False)


@dataclass(frozen=True)
class _Site:
    """The endpoints. Their docstrings stand in ``/openapi.json``."""

    snapshot: Callable[[], Snapshot]
    monotonic: Callable[[], float]
    options: Callable[[], WebOptions]
    metrics: Metrics
    prom_client_metrics: Metrics
    operations: Operations | None
    level: pressure.Level
    live: Live | None
    turns: Turns = field(default_factory=Turns)

    async def healthz(self) -> Response:
        """Health of all watched processes together: 200, or 503 with Retry-After."""
        return answer(health.of_all(self.snapshot(), self.options(), self.monotonic()))

    async def readyz(self) -> Response:
        """As /healthz, for a readiness probe."""
        return await self.healthz()

    async def healthz_of_one(self, process: str) -> Response:
        """Health of the processes of one name: 200, 503, or 404 for a name that is not known."""
        return answer(health.of_one(process, self.snapshot(), self.options(), self.monotonic()))

    async def livez(self) -> Response:
        """Whether the agent itself ticks: 200 or 503."""
        return answer(health.of_agent(self.snapshot(), self.options(), self.monotonic()))

    async def prometheus(self, request: Request) -> Response:
        """Metrics in the Prometheus text format, or OpenMetrics by Accept."""
        return self._paged(request, self.metrics(_accept(request)))

    async def prom_client(self, request: Request) -> Response:
        """The same figures under prom-client's names, where the settings have `prom_client_metrics: true`."""
        if not self.options().prom_client_metrics:
            raise HTTPException(404, "not served: `prom_client_metrics: true` in the settings turns it on")
        return self._paged(request, self.prom_client_metrics(_accept(request)))

    async def processes(self, request: Request) -> Response:
        """Everything that is known of every watched process."""
        snapshot = self.snapshot()
        return self._paged(request, listing(snapshot, snapshot.processes, self.monotonic()))

    async def processes_of_one(self, request: Request, process: str) -> Response:
        """Everything that is known of the processes of one name."""
        snapshot = self.snapshot()
        found = snapshot.by_name.get(process)
        if not found:
            return answer(health.unknown_name(process, snapshot, self.options()))
        return self._paged(request, listing(snapshot, found, self.monotonic()))

    async def pressure(self) -> Response:
        """How near the worst process is to its nearer limit: the level that it is told itself."""
        return answer(pressure.of_all(self.snapshot(), self.level))

    async def pressure_of_one(self, process: str) -> Response:
        """The same for the processes of one name: 200, or 404 for a name that is not known."""
        return answer(pressure.of_one(process, self.snapshot(), self.options(), self.level, self.monotonic()))

    async def restart(self, request: Request, process: str) -> Response:
        """Restart the processes of one name (`?worker=0`: one of them), one at a time. Needs the token."""
        return await self._changed("restart", process, request)

    async def drain(self, request: Request, process: str) -> Response:
        """Have load balancers told 503 until it is undrained or ends; restarts nothing. Needs the token."""
        return await self._changed("drain", process, request)

    async def undrain(self, request: Request, process: str) -> Response:
        """End a drain, or a restart that has not yet asked the process to end. Needs the token."""
        return await self._changed("undrain", process, request)

    async def live_events(self, request: Request) -> Response:
        """Everything that the live page shows, as server-sent events; with `?process=NAME&worker=0`, one in detail."""
        if self.live is None:
            raise HTTPException(404)
        return self.live.answer(request)

    async def live_file(self, request: Request, file: str) -> Response:
        """A file of the live page."""
        found = await live_files.file(file, request) if file != live_files.INDEX else None
        if found is None:
            raise HTTPException(404)
        return found

    async def index(self, request: Request) -> Response:
        """The live page; for what does not ask for HTML, a summary as JSON."""
        wants_html = "text/html" in _accept(request)
        page = await live_files.file(live_files.INDEX, request) if wants_html else None
        if page is not None:
            return page
        snapshot, options = self.snapshot(), self.options()
        state = health.of_all(snapshot, options, self.monotonic())
        headers = {"vary": "accept, accept-encoding"}
        if wants_html:
            return HTMLResponse(landing.html(snapshot, state, options), 200, NO_STORE | headers | live_files.SECURITY)
        return answer(Answer(200, landing.summary(snapshot, state, options), headers))

    async def _changed(self, verb: Verb, process: str, request: Request) -> Response:
        return answer(OFF if self.operations is None else await self.operations.answer(verb, process, request))

    def _paged(self, request: Request, page: Page) -> Response:
        return PagedResponse(page, self.turns, request.headers.get("accept-encoding", ""))


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


async def _refused(request: Request, error: Exception) -> Response:
    """Whatever has no answer, 404 and 405 above all, as JSON."""
    if not isinstance(error, HTTPException):
        raise error
    detail = f"nothing is at {request.url.path}; see /" if error.detail == "Not Found" else error.detail
    return answer(Answer(error.status_code, {"detail": detail}, dict(error.headers or {})))
