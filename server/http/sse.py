"""Sends responses: JSON bodies, and server-sent events."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.types import Send

from server.core.errors import ApiError

DONE = b"data: [DONE]\n\n"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
JSON_LINES = b"application/x-ndjson"


async def send_body(send: Send, status: int, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> None:
    all_headers = {"content-type": media_type, "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """`body`: JSON text."""
    await send_body(send, status, body, "application/json", headers)


async def send_events(send: Send, events: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> None:
    """`events`: framed server-sent events. An error before the first event is raised; a later ApiError is sent as an event, as the
    status has been sent."""
    await _send_stream(send, events, EVENT_STREAM, _error_event, headers)


async def send_lines(send: Send, lines: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> None:
    """`lines`: each a JSON object. Errors as in `send_events`."""
    await _send_stream(send, lines, JSON_LINES, _error_line, headers)


async def _send_stream(
    send: Send,
    events: AsyncGenerator[bytes],
    media_type: bytes,
    format_error: Callable[[ApiError], bytes],
    headers: Mapping[str, str] | None,
) -> None:
    async with aclosing(events):
        first = await anext(events, b"")
        raw = [(b"content-type", media_type), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        raw += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        try:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        except ApiError as error:
            await send({"type": "http.response.body", "body": format_error(error), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _error_event(error: ApiError) -> bytes:
    return b"data: " + json.dumps({"error": error.error()}).encode() + b"\n\n"


def _error_line(error: ApiError) -> bytes:
    return json.dumps({"error": error.message}).encode() + b"\n"
