"""What bodies may have although our types do not: unknown fields that are null, as some clients send every field that they know; whole
numbers written as 5.0, which JSON Schema calls integers; halves of surrogate pairs, left where a client cut a text within an emoji."""

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from server.core.errors import path_in

ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)  # a pair, a half of one, another escape
REPLACEMENT = rb"\ufffd"
MAX_WHOLE = 2**53  # from there on a double does not say which integer is meant


def tolerated(error: ValidationError, body: bytes) -> bytes | None:
    """The JSON text `body` without what `error` complains of and what need not be refused. None: there is nothing of the kind."""
    complaints = error.errors(include_url=False, include_context=False)
    if complaints[0]["type"] == "json_invalid":
        mended = without_half_pairs(body)
        return None if mended == body else mended
    mendable = [one for one in complaints if _is_unknown_null(one) or _is_whole(one)]
    if not mendable:
        return None
    data: Any = json.loads(body)
    for complaint in mendable:
        _mend(data, path_in(data, complaint["loc"]), complaint)
    return json.dumps(data).encode()


def without_half_pairs(body: bytes) -> bytes:
    """With U+FFFD in place of each escape that is half of a surrogate pair (RFC 8259, 8.2)."""
    return ESCAPES.sub(lambda escape: REPLACEMENT if escape["half"] else escape[0], body)


def _is_unknown_null(complaint: ErrorDetails) -> bool:
    return complaint["type"] == "extra_forbidden" and complaint["input"] is None


def _is_whole(complaint: ErrorDetails) -> bool:
    given = complaint["input"]
    return complaint["type"] == "int_type" and isinstance(given, float) and given.is_integer() and abs(given) < MAX_WHOLE


def _mend(data: Any, path: Sequence[int | str], complaint: ErrorDetails) -> None:
    """Changes `data`, once: of several branches of a union each complains of the same place, and then its path ends before it."""
    if not path or path[-1] != complaint["loc"][-1]:
        return
    *steps, last = path
    holder = data
    for step in steps:
        holder = holder[step]
    values = cast(dict[int | str, Any], holder)
    if complaint["type"] == "int_type":
        values[last] = int(complaint["input"])
    else:
        values.pop(last, None)
