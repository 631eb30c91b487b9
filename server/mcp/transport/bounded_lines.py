"""Lines of a process, none of which is endless. The SDK's reader collects one until it ends, however long that is; the one thing
it lets us choose is the encoding: so this is UTF-8 that counts."""

import codecs
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from server.mcp.transport.egress import MESSAGE_BYTES

ENCODING = "stoa_utf_8_lines"
OVERLONG: ContextVar[Callable[[], None]] = ContextVar("overlong")


class OverlongLine(ValueError): ...


class _Decoder(codecs.IncrementalDecoder):
    """Made in the task that reads, which has the context of whoever opened the connection."""

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._inner = codecs.getincrementaldecoder("utf-8")(errors)
        self._tell, self._size = OVERLONG.get(), 0

    def decode(self, input: bytes, final: bool = False) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        first, end, _ = input.partition(b"\n")
        self._size += len(first)
        if self._size > MESSAGE_BYTES:
            self._tell()
            raise OverlongLine(f"it sent a line of more than {MESSAGE_BYTES} bytes")
        if end:
            self._size = len(input) - 1 - input.rfind(b"\n")
        return self._inner.decode(input, final)


def _found(name: str) -> codecs.CodecInfo | None:
    utf8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(utf8.encode, utf8.decode, incrementaldecoder=_Decoder, name=ENCODING) if name == ENCODING else None


codecs.register(_found)


@contextmanager
def bounded(overlong: Callable[[], None]) -> Generator[None]:
    """Around the opening of a process's pipes with ENCODING. `overlong` is called, on the event loop, when a line is too long;
    the reader ends then."""
    token = OVERLONG.set(overlong)
    try:
        yield
    finally:
        OVERLONG.reset(token)
