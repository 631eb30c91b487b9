"""Sends responses: JSON bodies, and server-sent events. Cancels the work for clients that disconnect."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Send

from server.core.cost import counted_steps
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


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work` until it is done (True) or the client has disconnected (False: it was cancelled, and has cleaned up)."""
    work_task, disconnect_task = asyncio.create_task(counted_steps(work)), asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((work_task, disconnect_task), return_when=asyncio.FIRST_COMPLETED)
        if work_task.done():
            work_task.result()
            return True
        return False
    finally:
        for task in (work_task, disconnect_task):
            task.cancel()
        await asyncio.gather(work_task, disconnect_task, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
