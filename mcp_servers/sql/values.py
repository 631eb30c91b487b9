"""Database values as JSON, within a byte limit."""

import base64
import datetime
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any, cast

from mcp_servers.common import Clock
from mcp_servers.sql.api import Limits, Rows

EXACT = 2**53  # larger integers are rounded by JSON readers that use doubles
DEEPEST = 64  # nested arrays and objects of a JSON value
DIGITS = 1000  # longer numbers are written with an exponent: JSON may hold 1e999999999
BRACKET = re.compile(r"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Cut:
    """The beginning of a value that was cut in the database."""

    start: Any


def gather(columns: Sequence[str], rows: Iterable[Sequence[Any]], max_rows: int, limits: Limits, clock: Clock) -> Rows:
    """Takes rows up to `max_rows` or the byte limit. The first row is always included, with its values cut if necessary."""
    began, left, truncated = time.monotonic(), limits.max_bytes, False
    taken: list[list[Any]] = []
    cut: dict[str, int] = {}
    for row in rows:
        clock.check()
        values = [json_value(value, limits.value_bytes) for value in row]
        left -= size([value for value, _ in values])
        if len(taken) == max_rows or (left < 0 and taken):
            truncated = True
            break
        taken.append([value for value, _ in values])
        for column, (_, short) in zip(columns, values, strict=True):
            cut[column] = cut.get(column, 0) + short
    return Rows(
        columns=list(columns),
        rows=taken,
        row_count=len(taken),
        truncated=truncated,
        elapsed_ms=round((time.monotonic() - began) * 1000, 2),
        notes=_notes(cut, limits) + ([f"only the first rows: more than {limits.max_bytes} bytes"] if left < 0 else []),
    )


def _notes(cut: Mapping[str, int], limits: Limits) -> list[str]:
    return [f"{column}: {count} value(s) cut to {limits.value_bytes} bytes" for column, count in cut.items() if count]


def size(value: Any) -> int:
    """Bytes of the value as JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def json_value(value: Any, most: int) -> tuple[Any, bool]:
    """The value as JSON-serializable object, and whether it was cut to `most` bytes."""
    match value:
        case Cut(start):
            return json_value(start, most)[0], True
        case None | bool():
            return value, False
        case int():
            return (value if -EXACT < value < EXACT else str(value)), False
        case float():
            return (value if math.isfinite(value) else _not_finite(value)), False
        case str():
            return _text(value, most)
        case bytes() | bytearray():
            data = bytes(value)
            return {"base64": base64.b64encode(data[: most * 3 // 4]).decode()}, len(data) > most * 3 // 4
        case Mapping() | list() | tuple():
            plain = _plain(cast(Any, value))
            return (plain, False) if size(plain) <= most else _text(json.dumps(plain, ensure_ascii=False), most)
        case _:
            return _text(_written(value), most)


def _text(text: str, most: int) -> tuple[str, bool]:
    """The text cut to `most` bytes at a character boundary, without lone surrogates, and whether it was cut."""
    if len(text) * 4 <= most and text.isascii():
        return text, False
    data = text.encode("utf-8", "replace")
    return data[:most].decode("utf-8", "ignore"), len(data) > most


def _not_finite(value: float) -> str:
    """As databases write it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def exact_json(text: str | bytes) -> Any:
    """Numbers that a float would change, such as 1.10, become Decimal. What is nested more than DEEPEST times stays text."""
    written = text if isinstance(text, str) else bytes(text).decode()
    return written if _depth(written) > DEEPEST else json.loads(written, parse_float=_exact_number, parse_int=_exact_integer)


def _depth(text: str) -> int:
    """How deep the brackets stand, those in strings counted as well."""
    return max(accumulate(1 if found[0] in "[{" else -1 for found in BRACKET.finditer(text)), default=0)


def _exact_number(text: str) -> float | Decimal:
    return float(text) if repr(float(text)) == text else Decimal(text)


def _exact_integer(text: str) -> int | Decimal:
    return int(text) if len(text) < 1000 else Decimal(text)  # Python refuses integers of more than 4300 digits


def _plain(value: Any) -> Any:
    """Converts nested values of JSON and array columns."""
    match value:
        case Mapping():
            items = cast(Mapping[Any, Any], value).items()
            return {str(key): _plain(item) for key, item in items}
        case list() | tuple():
            return [_plain(item) for item in cast(Sequence[Any], value)]
        case str() | None | bool() | int() | float() | bytes() | bytearray():
            return json_value(value, EXACT)[0]
        case _:
            return _written(value)


def _written(value: object) -> str:
    match value:
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case Decimal():
            return format(value, "f") if value.is_finite() and abs(value.adjusted()) < DIGITS else str(value)
        case _:
            return str(value)
