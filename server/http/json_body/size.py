"""How many values a JSON text has, found out before it is parsed: parsing millions of them holds the GIL for seconds."""

import numpy as np

from server.core.errors import bad_request

MAX_VALUES = 20_000  # of a body; one of its models may have another limit, as class variable MAX_VALUES
QUOTE, COMMA = ord('"'), ord(",")


def expect_few_values(body: bytes, most: int) -> None:
    """Raises ApiError 400. Quick: a count of all commas, and where that is too high, of those outside of strings."""
    if body.count(b",") >= most and _commas_outside_strings(body) >= most:
        raise bad_request(None, f"the body has more than {most} values; send less at once", "too_many_values")


def _commas_outside_strings(body: bytes) -> int:
    plain = np.frombuffer(body.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)  # without escaped quotes
    inside = np.cumsum(plain == QUOTE, dtype=np.uint8) & 1  # quotes so far, modulo 256: odd inside of a string
    return int(np.count_nonzero((plain == COMMA) & (inside == 0)))
