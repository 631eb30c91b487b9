"""Limits what a process may send on its standard output. The SDK's stdio reader buffers a line without limit, and logs a traceback for
each line that is no message; what it lets the caller choose is the encoding, so this is done in a codec: UTF-8 that counts the bytes
of each line, and drops lines that cannot be a message."""

import codecs
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from server.mcp.session import SessionLost
from server.mcp.transport.egress import MAX_MESSAGE_BYTES
from server.mcp.transport.server_guard import ServerGuard

ENCODING = "stoa_utf_8_lines"
GUARD: ContextVar[ServerGuard] = ContextVar("guard")
BOM = b"\xef\xbb\xbf"


class _LineDecoder(codecs.IncrementalDecoder):
    """Decodes whole lines. Created in the SDK's reader task, which has a copy of the context in which the connection was opened.
    Bytes that are no UTF-8 become U+FFFD: strings of a message are all that may contain any."""

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._guard = GUARD.get()
        self._parts, self._size = list[bytes](), 0  # of the current line

    def decode(self, input: bytes, final: bool = False) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._guard.loss is not None:
            return ""  # the connection is being closed; until then the process is not to block
        *lines, rest = input.split(b"\n")
        self._size += len(lines[0] if lines else rest)
        if self._size > MAX_MESSAGE_BYTES:
            self._guard.stop(SessionLost(f"it sent a line of more than {MAX_MESSAGE_BYTES} bytes"))
            self._parts.clear()
            return ""
        if lines:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts, self._size = [], len(rest)
        self._parts.append(rest)
        return "".join(map(self._message, lines))

    def _message(self, line: bytes) -> str:
        """A message is a JSON object. "" for others, such as what a library prints."""
        line = line.removeprefix(BOM)
        if line.lstrip()[:1] == b"{":
            return line.decode("utf-8", "replace") + "\n"
        self._guard.count_unreadable(line[:200].decode("utf-8", "replace"))
        return ""


def _find_codec(name: str) -> codecs.CodecInfo | None:
    utf8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(utf8.encode, utf8.decode, incrementaldecoder=_LineDecoder, name=ENCODING) if name == ENCODING else None


codecs.register(_find_codec)


@contextmanager
def guarded_lines(guard: ServerGuard) -> Generator[None]:
    """Wraps the opening of a process whose pipes use ENCODING. Nothing more is read once the guard has stopped."""
    token = GUARD.set(guard)
    try:
        yield
    finally:
        GUARD.reset(token)
