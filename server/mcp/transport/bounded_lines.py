"""Limits the length of the lines that a process may send. The SDK's stdio reader buffers a line without limit; what it lets the
caller choose is the encoding, so the limit is enforced in a codec: UTF-8 that counts the bytes of each line."""

import codecs
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from server.mcp.transport.egress import MAX_MESSAGE_BYTES

ENCODING = "stoa_utf_8_lines"
ON_OVERLONG_LINE: ContextVar[Callable[[], None]] = ContextVar("on_overlong_line")


class OverlongLine(ValueError): ...


class _BoundedDecoder(codecs.IncrementalDecoder):
    """Created in the SDK's reader task, which has a copy of the context in which the connection was opened."""

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._inner = codecs.getincrementaldecoder("utf-8")(errors)
        self._on_overlong_line = ON_OVERLONG_LINE.get()
        self._size = 0  # bytes of the current line

    def decode(self, input: bytes, final: bool = False) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        first, newline, _ = input.partition(b"\n")
        self._size += len(first)
        if self._size > MAX_MESSAGE_BYTES:
            self._on_overlong_line()
            raise OverlongLine(f"it sent a line of more than {MAX_MESSAGE_BYTES} bytes")
        if newline:
            self._size = len(input) - 1 - input.rfind(b"\n")
        return self._inner.decode(input, final)


def _find_codec(name: str) -> codecs.CodecInfo | None:
    utf8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(utf8.encode, utf8.decode, incrementaldecoder=_BoundedDecoder, name=ENCODING) if name == ENCODING else None


codecs.register(_find_codec)


@contextmanager
def bounded_lines(on_overlong_line: Callable[[], None]) -> Generator[None]:
    """Wraps the opening of a process whose pipes use ENCODING. `on_overlong_line` is called on the event loop when a line is too
    long; the reader ends then."""
    token = ON_OVERLONG_LINE.set(on_overlong_line)
    try:
        yield
    finally:
        ON_OVERLONG_LINE.reset(token)
