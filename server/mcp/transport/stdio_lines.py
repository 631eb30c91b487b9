"""Limits what a process may send on its standard output. The SDK's stdio reader buffers a line without limit, and logs a traceback for
each line that is no message; what it lets the caller choose is the encoding, so this is done in a codec: UTF-8 that counts the bytes
of each line, and drops lines that cannot be a message."""

import codecs
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from server.mcp.session import SessionLost
from server.mcp.transport.egress import MAX_MESSAGE_BYTES
from server.mcp.transport.server_guard import ServerGuard

ENCODING = "stoa_utf_8_lines"
GUARD: ContextVar[ServerGuard] = ContextVar("guard")
BOM = b"\xef\xbb\xbf"
# In valid JSON neither stands within a string, where quotes are escaped.
BEGIN = re.compile(rb'\{\s*"(?:jsonrpc|id|result|method|error)"\s*:')
NEXT = re.compile(rb'\}\s*(?=\{\s*"jsonrpc"\s*:)')


class _LineDecoder(codecs.IncrementalDecoder):
    """Decodes whole lines. Created in the SDK's reader task, which has a copy of the context in which the connection was opened.
    Bytes that are no UTF-8 become U+FFFD: strings of a message are all that may contain any."""

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._guard = GUARD.get()
        self._parts, self._size = list[bytes](), 0  # of the current line
        self._indented: _Indented | None = None

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
        """A message is a JSON object, in a line of its own. It is found behind what was printed without a newline, too, beside other
        messages, and in a list (which MCP 2025-03-26 allowed). "" where there is none, as in what a library prints."""
        line = self._joined(line.removeprefix(BOM).rstrip()).strip()
        if line[:1] == b"[":
            line = b"\n".join(_listed(line)) or line
        if line and line[:1] != b"{":
            begin = BEGIN.search(line)
            printed = line[: begin.start()] if begin else line
            self._guard.count_unreadable(printed[:200].decode("utf-8", "replace"))
            line = line[begin.start() :] if begin else b""
        return NEXT.sub(b"}\n", line).decode("utf-8", "replace") + "\n" if line else ""

    def _joined(self, line: bytes) -> bytes:
        """The line; of a message that is indented over several lines, nothing until its last, and then all of them. Another message
        in between shows that there was none."""
        if line == b"{":
            self._indented = _Indented([line])
        elif self._indented is None or BEGIN.match(line):
            self._indented = None
            return line
        else:
            self._indented.add(line)
        if line != b"}" and self._indented.size <= MAX_MESSAGE_BYTES:
            return b""
        joined, self._indented = b" ".join(self._indented.lines), None
        return joined


@dataclass
class _Indented:
    """The lines so far of a message that is written over several, and their bytes."""

    lines: list[bytes]
    size: int = 0

    def add(self, line: bytes) -> None:
        self.lines.append(line)
        self.size += len(line) + 64  # what an object costs


def _listed(line: bytes) -> list[bytes]:
    """The messages of a list; none if it is no list of messages."""
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return []
    messages = cast("list[Any]", found) if isinstance(found, list) else []
    return [json.dumps(each).encode() for each in messages] if all(isinstance(each, dict) for each in messages) else []


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
