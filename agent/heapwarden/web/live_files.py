"""The files of the live page, as `npm run build` in dashboards/live has written them beside this module."""

import asyncio
import hashlib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from heapwarden.web.responses import GZIP, wants_gzip

FOLDER = Path(__file__).with_name("live")
INDEX = "index.html"
SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_HASHED = re.compile(r"-[0-9a-f]{10}\.")
"""In a name that changes with what the file holds."""
_LARGEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class _File:
    """One file as it is sent."""

    body: bytes
    tag: str


async def file(name: str, request: Request) -> Response | None:
    """The built file of this name; 304 where the client has it; None where there is none.

    It is read anew each time: a page is opened seldom, and a new build is seen at once.
    """
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or not _NAME.fullmatch(name):
        return None
    zipped = wants_gzip(request.headers.get("accept-encoding", "")) and not name.endswith((".png", ".woff2"))
    found = await asyncio.to_thread(_read, FOLDER / name, zipped=zipped)
    if found is None:
        return None
    cache = "public, max-age=31536000, immutable" if _HASHED.search(name) else "no-cache"
    headers = SECURITY | {"cache-control": cache, "etag": found.tag, "vary": "accept, accept-encoding"}
    if found.tag in re.split(r"\s*,\s*", request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, 200, headers | ({"content-encoding": "gzip"} if zipped else {}), kind)


def _read(path: Path, *, zipped: bool) -> _File | None:
    """Blocks for milliseconds."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return None
        body = path.read_bytes()
    except OSError:
        return None
    digest = hashlib.sha256(body).hexdigest()[:16]
    if not zipped:
        return _File(body, f'"{digest}"')
    compressor = zlib.compressobj(wbits=GZIP)
    return _File(compressor.compress(body) + compressor.flush(), f'"{digest}-gzip"')
