"""The page at /: what `web/` was built to, as files that browsers may keep, under a policy that lets nothing of a stranger run or load."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from server.http.auth import ASSETS
from server.http.sse import send_body

BUILT = Path(__file__).parent / "built_page"  # where scripts/page puts it; a wheel carries it
POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data: blob:",  # no picture of another host: its address could carry away what was said
    "media-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "vary": "accept, accept-encoding",
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stoa</title>
<h1>Stoa is running</h1><p>Its page has not been built: <code>scripts/page</code> does that in a checkout, with the Node of a wheel where
none is installed; the next start of the server finds it. The API is at <code>/v1</code>, its description at
<a href="/openapi.json">/openapi.json</a>.</p></html>"""
RUNNING = b"Stoa is running\n"  # clients of Ollama ask for it


@dataclass(frozen=True)
class PageFile:
    content: bytes
    media_type: str
    cache: str

    @cached_property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:24]}"'

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.content, 9, mtime=0)

    async def send(self, headers: Headers, send: Send) -> None:
        answer = {**HEADERS, "cache-control": self.cache, "etag": self.tag}
        if headers.get("if-none-match") == self.tag:
            await send_body(send, 304, b"", self.media_type, answer)
        elif "gzip" in headers.get("accept-encoding", ""):
            await send_body(send, 200, self.packed, self.media_type, {**answer, "content-encoding": "gzip"})
        else:
            await send_body(send, 200, self.content, self.media_type, answer)


class Page:
    """The built page. `shown`: whether browsers get it; where it was not built, they are told how."""

    def __init__(self, folder: Path = BUILT, *, shown: bool = True) -> None:
        self._shown = shown
        self._files: Mapping[str, PageFile] = _read(folder) if shown else {}

    async def index(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /: the page for browsers, one line of text for others."""
        headers = Headers(scope=scope)
        if not self._shown or "text/html" not in headers.get("accept", ""):
            await send_body(send, 200, RUNNING, "text/plain; charset=utf-8", {"vary": "accept"})
            return
        missing = PageFile(MISSING.encode(), TYPES[".html"], "no-cache")
        await self._files.get("index.html", missing).send(headers, send)

    def routes(self) -> list[BaseRoute]:
        return [Route(f"/{name}", _Asset(file), methods=["GET"]) for name, file in self._files.items() if name != "index.html"]


class _Asset:
    """GET of one file."""

    def __init__(self, file: PageFile) -> None:
        self.file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = ASSETS
        await self.file.send(Headers(scope=scope), send)


def _read(folder: Path) -> Mapping[str, PageFile]:
    """By paths below `folder`."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in TYPES)
    return {
        name: PageFile(path.read_bytes(), TYPES[path.suffix], _cache(name))
        for path in found
        for name in [path.relative_to(folder).as_posix()]
    }


def _cache(name: str) -> str:
    return "public, max-age=31536000, immutable" if f"/{name}".startswith(ASSETS) else "no-cache"
