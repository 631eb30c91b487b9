"""Answers onto the wire: JSON at once, events as they come. A connection that is dropped ends the work behind it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, ParamSpec, TypeVar

from starlette.types import Receive, Send

from server.core.errors import ApiError

DONE = b"data: [DONE]\n\n"
EVENTS = b"text/event-stream; charset=utf-8"

P = ParamSpec("P")
T = TypeVar("T")


async def send_body(send: Send, status: int, body: bytes, media: str, headers: Mapping[str, str] | None = None) -> None:
    named = {"content-type": media, "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """`body` is JSON already."""
    await send_body(send, status, body, "application/json", headers)


async def send_error(send: Send, error: ApiError) -> None:
    await send_json(send, error.status, error.body(), error.headers)


async def send_events(send: Send, events: AsyncGenerator[bytes]) -> None:
    """Server-sent events, each already framed. What fails before the first of them is raised; what fails later is told in an
    event of its own, as the status has gone out."""
    async with aclosing(events):
        first = await anext(events, b"")
        headers = [(b"content-type", EVENTS), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        try:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        except ApiError as error:
            await send({"type": "http.response.body", "body": to_event(error.error(), "error"), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def to_event(value: object, name: str) -> bytes:
    return b"data: " + json.dumps({name: value}).encode() + b"\n\n"


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work` until it is done (True) or the client has gone (False: it was cancelled, and has cleaned up)."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_dropped(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _dropped(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
