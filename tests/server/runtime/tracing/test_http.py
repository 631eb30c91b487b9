"""What the middleware makes of requests, around applications that do one thing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span
from starlette.types import Message, Receive, Scope, Send

from server.runtime.tracing.http import TracingMiddleware

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = [(b"traceparent", f"00-{TRACE}-{CALLER}-01".encode())]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def passed(app: App, **scope: Any) -> list[Any]:
    """The spans of one request."""
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    known = {"type": "http", "method": "POST", "scheme": "http", "path": "/v1/files", "headers": HEADERS, **scope}

    async def run() -> None:
        await TracingMiddleware(app, provider.get_tracer("test"))(known, nothing, ignore)
        assert not get_current_span().get_span_context().is_valid

    asyncio.run(run())
    return list(found.get_finished_spans())


async def nothing() -> Message:
    raise AssertionError


async def ignore(message: Message) -> None: ...


def answering(status: int, route: str | None = "/v1/files") -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if route is not None:
            scope["route"] = route
        assert f"{get_current_span().get_span_context().trace_id:032x}" == TRACE
        await send({"type": "http.response.start", "status": status})

    return app


@pytest.mark.parametrize(("status", "failed"), [(200, False), (404, False), (500, True), (503, True)])
def test_only_what_is_the_servers_fault_is_an_error(status: int, failed: bool) -> None:
    (span,) = passed(answering(status))
    assert (span.name, f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == ("POST /v1/files", TRACE, CALLER)
    assert (span.status.status_code is StatusCode.ERROR) is failed and span.attributes["http.response.status_code"] == status
    assert ("url.path" in span.attributes) is (status < 400)


def test_a_path_of_nobody_is_not_told() -> None:
    (span,) = passed(answering(404, route=None), path="/my/secret")
    assert span.name == "POST" and "secret" not in span.to_json()


def test_methods_that_nobody_knows_have_one_name() -> None:
    (span,) = passed(answering(405), method="SECRET")
    assert span.name == "HTTP /v1/files" and span.attributes["http.request.method"] == "_OTHER"


def test_a_client_that_goes_away_gets_no_status() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    (span,) = passed(app)
    assert span.attributes["error.type"] == "client_disconnected" and "http.response.status_code" not in span.attributes


def test_a_websocket_has_no_span_but_continues_the_trace() -> None:
    seen = list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{get_current_span().get_span_context().span_id:016x}")

    assert passed(app, type="websocket") == [] and seen == [CALLER]


def test_who_is_not_sampled_leaves_nothing() -> None:
    assert passed(answering(200), headers=[(b"traceparent", f"00-{TRACE}-{CALLER}-00".encode())]) == []
