"""Reads a request's JSON body, up to a size limit, and its query string into pydantic models. Raises ApiError 4xx."""

import asyncio
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from server.core.errors import ApiError, bad_request, from_fields, from_validation
from server.http.unknown_nulls import drop_unknown_nulls

DRAIN_FACTOR = 8  # times the limit: so much of a too large body is still read, as clients read the answer only after sending it
BODY_TIMEOUT = 60.0  # seconds for a body to arrive


Body = TypeVar("Body", bound=BaseModel)


class ClientDisconnected(Exception):
    """The client went away while sending."""


async def read_body(scope: Scope, receive: Receive, model: type[Body], limit: int) -> Body:
    """Raises ApiError: 415, 413, 408 or 400; ClientDisconnected."""
    _expect_json(Headers(scope=scope))
    body = await _read_within_timeout(receive, limit)
    try:
        return _validate(model, body)
    except ValidationError as error:
        raise from_validation(error, body) from error


def _validate(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        cleaned = drop_unknown_nulls(error, body)
        if cleaned is None:
            raise
    return model.model_validate_json(cleaned)


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


def _expect_json(headers: Headers) -> None:
    """Web pages may send other content types across origins without a CORS preflight."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"the content type is {kind or 'missing'}; it must be application/json", code="unsupported_media_type")


async def _read_within_timeout(receive: Receive, limit: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_bytes(receive, limit)
    except TimeoutError:
        raise ApiError(408, f"the body did not arrive within {BODY_TIMEOUT:.0f} seconds", code="timeout") from None


async def _read_bytes(receive: Receive, limit: int) -> bytes:
    parts, size, more = list[bytes](), 0, True
    while more and size <= limit * DRAIN_FACTOR:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size <= limit:
            parts.append(message.get("body", b""))
        else:
            parts.clear()
    if size > limit:
        raise ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
    return b"".join(parts)
