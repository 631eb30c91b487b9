"""What to make of a message that the SDK cannot read: where it answers an open request, that request ends with it."""

import json
import re
from collections.abc import Set
from typing import Any, cast

from mcp.shared.dispatcher import coerce_request_id
from mcp.types import ErrorData, JSONRPCError, JSONRPCResponse, RequestId
from mcp_types import INTERNAL_ERROR, PARSE_ERROR
from pydantic import ValidationError

ID = re.compile(r'"id"\s*:\s*(-?\d{1,15}|"[^"\\]{1,64}")')
LIKELY = re.compile(r'"(?:jsonrpc|result|error)"')
MAX_DIGITS = 4000  # Python reads no more than 4300
SEARCHED_CHARS = 300  # at both ends of a text that is no JSON, for the id
Answer = JSONRPCResponse | JSONRPCError


def answer_of(error: ValidationError, waiting: Set[RequestId]) -> Answer | None:
    """`waiting`: ids of the open requests. None: it answers none of them, as far as can be seen."""
    content = _content(error)
    if isinstance(content, str):
        if not LIKELY.search(content):
            return None  # noise that happens to begin with a brace
        return _failed(_id_in(content, waiting), "what it answered is no JSON that can be read")
    if not isinstance(content, dict) or "method" in content:
        return None
    message = cast("dict[str, Any]", content)
    number = _known(message.get("id"), waiting)
    result, fault = message.get("result"), message.get("error")
    if number is not None and isinstance(result, dict):
        return JSONRPCResponse(jsonrpc="2.0", id=number, result=cast("dict[str, Any]", result))
    return _failed(number, "its result is no object" if fault is None else "it reports an error", fault)


def text_of(error: ValidationError) -> str:
    """The beginning of what could not be read."""
    content = error.errors(include_url=False, include_context=False)[0].get("input")
    return (
        content[:200]
        if isinstance(content, str)
        else str(sorted(cast("dict[str, Any]", content))[:10] if isinstance(content, dict) else type(content).__name__)
    )


def _content(error: ValidationError) -> Any:
    """The JSON value of the message; the text where it is none. Python's parser accepts half characters (lone surrogates), which
    become "?"."""
    received = error.errors(include_url=False, include_context=False)[0].get("input")
    if not isinstance(received, str):
        return received
    try:
        return json.loads(json.dumps(_loads(received), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return received


def _loads(text: str) -> Any:
    """Numbers that nobody can read, such as NaN and those of thousands of digits, become texts."""
    return json.loads(text, parse_constant=str, parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else digits)


def _id_in(text: str, waiting: Set[RequestId]) -> RequestId | None:
    found = (json.loads(match) for part in (text[:SEARCHED_CHARS], text[-SEARCHED_CHARS:]) for match in ID.findall(part))
    return next((number for number in map(coerce_request_id, found) if number in waiting), _only(waiting))


def _known(number: Any, waiting: Set[RequestId]) -> RequestId | None:
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if number is None:
        return _only(waiting)
    number = coerce_request_id(number) if isinstance(number, str | int) else None
    return number if number in waiting else None


def _only(waiting: Set[RequestId]) -> RequestId | None:
    """The request that is meant where only one is open."""
    return next(iter(waiting)) if len(waiting) == 1 else None


def _failed(number: RequestId | None, problem: str, fault: Any = None) -> Answer | None:
    if number is None:
        return None
    said = cast("dict[str, Any]", fault).get("message") if isinstance(fault, dict) else fault
    code = cast("dict[str, Any]", fault).get("code") if isinstance(fault, dict) else None
    error = ErrorData(
        code=code if isinstance(code, int) else PARSE_ERROR if fault is None else INTERNAL_ERROR,
        message=said if isinstance(said, str) and said else problem,
    )
    return JSONRPCError(jsonrpc="2.0", id=number, error=error)
