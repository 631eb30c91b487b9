"""Reads a request's JSON body, up to a size limit, and its query string into pydantic models. Raises ApiError 4xx."""

import asyncio
import time
from collections.abc import AsyncGenerator
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from server.core.errors import ApiError, bad_request, from_fields, from_validation
from server.core.threads import in_thread_if_large
from server.http.connection.disconnect import ClientDisconnected, expect_connected, while_connected
from server.http.json_body.encoding import UTF_8, decoded, expect_charset
from server.http.json_body.size import MAX_VALUES, expect_few_values
from server.http.json_body.tolerated import tolerated
from server.runtime.throttle import BodyPace

DRAIN_FACTOR = 8  # times the limit: so much of a too large body is still read, as clients read the answer only after sending it
UNDECLARED = ("", "application/x-www-form-urlencoded")  # content types of programs that name none
BODY_TIMEOUT = 60.0  # seconds for a body to arrive, and as many more as its bytes need at MIN_RATE
MIN_RATE = 16 << 10  # bytes per second, on average
MENDINGS = 3  # one brings to light what another has hidden
INLINE_BYTES = 65_536  # larger bodies are parsed in a thread


Body = TypeVar("Body", bound=BaseModel)


async def read_body(scope: Scope, receive: Receive, model: type[Body], limit: int, pace: BodyPace) -> Body:
    """Raises ApiError: 415, 413, 408 or 400; ClientDisconnected."""
    charset = _expect_json(Headers(scope=scope))
    body = await _read_bytes(receive, limit, pace)
    if len(body) <= INLINE_BYTES:
        return await _decode_and_parse(model, body, charset)
    await expect_connected(receive)
    return await while_connected(receive, _decode_and_parse(model, body, charset))


async def _decode_and_parse(model: type[Body], body: bytes, charset: str) -> Body:
    return await parse_body(model, await in_thread_if_large(0 if charset == UTF_8 else len(body), decoded, body, charset))


async def parse_body(model: type[Body], body: bytes) -> Body:
    """Raises ApiError 400."""
    if len(body) <= INLINE_BYTES:
        return _parse(model, body)
    return await in_thread_if_large(len(body), _parse, model, body)


def _parse(model: type[Body], body: bytes) -> Body:
    """Raises ApiError 400."""
    expect_few_values(body, getattr(model, "MAX_VALUES", MAX_VALUES))
    try:
        return _validate(model, body)
    except ValidationError as error:
        raise from_validation(error, body) from error


def _validate(model: type[Body], body: bytes) -> Body:
    for _ in range(MENDINGS):
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            mended = tolerated(error, body)
            if mended is None:
                raise
            body = mended
    return model.model_validate_json(body)


def read_query(scope: Scope, model: type[Body]) -> Body:
    """`name[]=a&name[]=b` and `name=a&name=b` are lists where the model has one, `name[key]=a` is an object. Raises ApiError 400 for a
    parameter that is wrong, unknown or repeated."""
    lists = {name for name, field in model.model_fields.items() if _is_list(field.annotation)}
    try:
        return model.model_validate(_fold_query(_parse_pairs(scope["query_string"]), lists))
    except ValidationError as error:
        raise from_fields(error) from error


def _is_list(annotation: Any) -> bool:
    """Also for `list | None`."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(map(_is_list, get_args(annotation)))
    return get_origin(annotation) is list


def _fold_query(pairs: list[tuple[str, str]], list_names: set[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for raw_name, value in pairs:
        name, bracket, key = raw_name.removesuffix("]").partition("[")
        if not bracket or not raw_name.endswith("]"):
            name, key = raw_name, ""
        if name in list_names and not key:
            fields.setdefault(name, []).append(value)
        elif name in fields and not (key and isinstance(fields[name], dict) and key not in fields[name]):
            raise bad_request(name, f"{name}: given more than once", "duplicate")
        elif key:
            fields.setdefault(name, {})[key] = value
        else:
            fields[raw_name] = value
    return fields


def _parse_pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=32)
    except ValueError as error:
        raise bad_request(None, f"the query string cannot be read: {error}", "invalid_query") from error


def _expect_json(headers: Headers) -> str:
    """Returns the charset.

    Web pages may send other content types across origins without a CORS preflight, but never without an Origin. Programs that have
    none may leave the type out, or send curl's default."""
    kind, _, parameters = headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind != "application/json" and not (kind in UNDECLARED and "origin" not in headers and "sec-fetch-site" not in headers):
        raise ApiError(415, f"the content type is {kind or 'missing'}; it must be application/json", code="unsupported_media_type")
    return expect_charset(parameters)


async def _read_bytes(receive: Receive, limit: int, pace: BodyPace) -> bytes:
    parts, size = list[bytes](), 0
    async for part in read_parts(receive, pace):
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
        if size > limit * DRAIN_FACTOR:
            break
    if size > limit:
        raise ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
    return b"".join(parts)


async def read_parts(receive: Receive, pace: BodyPace) -> AsyncGenerator[bytes]:
    """The parts of a body as they arrive, at most at `pace`. Raises ApiError 408 for one that comes too slowly, and then closes the
    connection; ClientDisconnected."""
    size, more, started = 0, True, time.monotonic()
    while more:
        left = started + BODY_TIMEOUT + size / MIN_RATE - time.monotonic()
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError:
            told = f"the body comes too slowly: it must begin within {BODY_TIMEOUT:.0f} seconds and bring {MIN_RATE} bytes per second"
            raise ApiError(408, told, code="timeout", headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        paused = time.monotonic()
        await pace.received(len(part))
        started += time.monotonic() - paused
        yield part
