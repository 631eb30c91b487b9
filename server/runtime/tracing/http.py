"""A span for each HTTP request, which continues the client's trace (W3C Trace Context)."""

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.core.logs import PROBES
from server.runtime.tracing import names
from server.runtime.tracing.spans import attached, fail

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TracingMiddleware:
    """Probes and scrapes have no span. A WebSocket has none of its own, for it may last for days: what is asked on it has one each."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self.app, self.tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            with attached(_of_client(scope)):
                await self.app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] not in PROBES:
            await self._request(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, status = scope["method"] if scope["method"] in METHODS else "_OTHER", 0
        around = _of_client(scope)
        span = self.tracer.start_span(
            method if method in METHODS else "HTTP", around, SpanKind.SERVER, {names.METHOD: method, names.SCHEME: scope["scheme"]}
        )

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with attached(set_span_in_context(span, around)):
                await self.app(scope, receive, send_and_note_status)
        finally:
            _describe(span, method, scope, status)
            span.end()


def _of_client(scope: Scope) -> Context:
    return propagate.extract({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


def _describe(span: Span, method: str, scope: Scope, status: int) -> None:
    """A path that leads to nothing of ours may hold anything, and is not told."""
    if (route := scope.get("route")) is not None:
        span.update_name(f"{method if method in METHODS else 'HTTP'} {route}")
        span.set_attribute(names.ROUTE, route)
    if route is not None and 0 < status < 400:
        span.set_attribute(names.PATH, scope["path"])
    if (request_id := scope.get("request_id")) is not None:
        span.set_attribute(names.REQUEST_ID, request_id)
    if status:
        span.set_attribute(names.STATUS, status)
    if not status or status >= 500:
        fail(span, str(status) if status else "client_disconnected")
