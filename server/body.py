"""A request's body: read under a cap, then made into a typed request or a 4xx."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from server.errors import ApiError, from_validation

DRAIN = 8  # times the cap: what is still read of a body that is too large, so that the client gets to see the answer
PATIENCE = 60.0  # seconds for a body to arrive


Body = TypeVar("Body", bound=BaseModel)


class Dropped(Exception):
    """The client went away while sending."""


async def read(scope: Scope, receive: Receive, model: type[Body], limit: int) -> Body:
    """Raises ApiError: 415, 413, 408 or 400; Dropped."""
    _expect_json(Headers(scope=scope))
    body = await _bytes(receive, limit)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error, body) from error


def _expect_json(headers: Headers) -> None:
    """Browsers send any other type across origins without asking."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"the content type is {kind or 'missing'}; it must be application/json", code="unsupported_media_type")


async def _bytes(receive: Receive, limit: int) -> bytes:
    try:
        async with asyncio.timeout(PATIENCE):
            return await _read(receive, limit)
    except TimeoutError:
        raise ApiError(408, f"the body did not arrive within {PATIENCE:.0f} seconds", code="timeout") from None


async def _read(receive: Receive, limit: int) -> bytes:
    parts, size, more = list[bytes](), 0, True
    while more and size <= limit * DRAIN:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Dropped
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size <= limit:
            parts.append(message.get("body", b""))
        else:
            parts.clear()
    if size > limit:
        raise ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
    return b"".join(parts)
