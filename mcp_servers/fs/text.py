"""Text files: detection of encoding and line endings, reading of lines."""

import codecs
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper

from mcp_servers.common import Clock
from mcp_servers.fs.media import media_type
from mcp_servers.fs.roots import Refused
from mcp_servers.fs.shapes import Ending, Text
from mcp_servers.fs.walk import File
from retrieval.parse.common.decoding.detect import detect

HEAD = 64 * 1024  # bytes examined to detect the encoding
MOST = 16 << 20  # bytes in which the first character beyond ASCII is looked for
ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}


@dataclass(frozen=True, slots=True)
class Lines:
    """`start`: first line, from 1; negative: counted from the end. `most`: lines. `most_bytes`: of all lines in UTF-8."""

    start: int
    most: int
    most_bytes: int


def encoding_of(head: bytes, *, complete: bool | None = None) -> str | None:
    """The encoding, as for documents; None: not a text. `head`: the first HEAD bytes of a file, or all of it (`complete`)."""
    if media_type(head):
        return None
    found = detect(head, complete=len(head) < HEAD if complete is None else complete)
    return None if found is None else found.codec


def errors_of(encoding: str) -> str:
    """How to decode what is to be written again: wrong bytes of UTF-8 stay as they are."""
    return "surrogateescape" if encoding in ("utf-8", "utf-8-sig") else "strict"


def known(encoding: str) -> str:
    """The codec's name. Raises Refused for unknown encodings."""
    try:
        "".encode(encoding)
        return codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise Refused(f"encoding: {encoding[:40]!r} is no text encoding that is known here") from None


def endings(text: str) -> Ending:
    crlf, lf, cr = text.count("\r\n"), text.count("\n"), text.count("\r")
    kinds: list[tuple[int, Ending]] = [(crlf, "crlf"), (lf - crlf, "lf"), (cr - crlf, "cr")]
    there: list[Ending] = [ending for count, ending in kinds if count]
    return there[0] if len(there) == 1 else "mixed" if there else "none"


def head_of(file: File) -> bytes:
    return os.pread(file.fd, HEAD, 0)


def text_encoding(file: File) -> str:
    """The file's encoding. Raises Refused if it is not a text."""
    encoding = encoding_of(sample_of(file))
    if encoding is None:
        raise Refused(f"{file.place.shown}: not a text; read_media shows images and sounds")
    return encoding


def sample_of(file: File) -> bytes:
    """The beginning, and of a file that begins with ASCII the first part with other characters as well."""
    head = head_of(file)
    if len(head) < HEAD or not head.isascii():
        return head
    parts = (os.pread(file.fd, HEAD, at) for at in range(HEAD, min(file.stat.st_size, MOST), HEAD))
    return head + next((part for part in parts if not part.isascii()), b"")


def read_lines(file: File, lines: Lines, encoding: str, clock: Clock) -> Text:
    """Reads only as far as necessary and buffers only what it returns. Undecodable bytes become U+FFFD. Raises Refused, Stopped."""
    try:
        head = head_of(file).decode(encoding, "replace")
        with open(os.dup(file.fd), "rb") as raw, TextIOWrapper(raw, encoding, "replace", newline="") as stream:
            return _page(stream, lines, clock).text(file, encoding, endings(head))
    except UnicodeError:
        raise Refused(f"{file.place.shown}: no text in {encoding}") from None  # codecs that do not support "replace"


def _page(stream: TextIOWrapper, lines: Lines, clock: Clock) -> "_Page":
    numbered, page = _numbered(stream, lines.most_bytes, clock), _Page(lines)
    for number, line, whole in _last(numbered, lines) if lines.start < 0 else numbered:
        if number >= lines.start and not page.take(number, line, whole):
            break
    return page


def _numbered(stream: TextIOWrapper, most: int, clock: Clock) -> Iterator[tuple[int, str, bool]]:
    """Yields line number, line cut to `most` characters, and whether it is complete."""
    number = 0
    while line := stream.readline(most):
        number += 1
        if number % 256 == 0 or len(line) == most:
            clock.check()
        whole, rest = _ended(line) or len(line) < most, line
        while not _ended(rest) and (rest := stream.readline(most)):
            clock.check()
            whole = False
        yield number, line, whole


def _last(numbered: Iterator[tuple[int, str, bool]], lines: Lines) -> deque[tuple[int, str, bool]]:
    kept, size = deque[tuple[int, str, bool]](), 0
    for each in numbered:
        kept.append(each)
        size += len(each[1])
        while len(kept) > min(-lines.start, lines.most) or (size > lines.most_bytes and len(kept) > 1):
            size -= len(kept.popleft()[1])
    return kept


def _ended(line: str) -> bool:
    return line.endswith(("\n", "\r"))


class _Page:
    """Collects lines until a limit is reached."""

    def __init__(self, lines: Lines) -> None:
        self._limits, self._lines, self._room = lines, list[str](), lines.most_bytes
        self._first = self._last = 0
        self._note: str | None = None
        self._next: int | None = None

    def take(self, number: int, line: str, whole: bool) -> bool:
        text = line.rstrip("\r\n")
        size = len(text.encode()) + 1
        if len(self._lines) >= self._limits.most or (size > self._room and self._lines):
            self._next = number
            return False
        if size > self._room or not whole:
            text = text.encode()[: self._room].decode(errors="ignore")
            self._note = f"line {number} was cut: it is longer than {self._limits.most_bytes} bytes"
        self._lines.append(text)
        self._room -= size
        self._first, self._last = self._first or number, number
        return True

    def text(self, file: File, encoding: str, ending: Ending) -> Text:
        note = self._note or (f"no line {self._limits.start}" if not self._lines and self._limits.start > 1 else None)
        return Text(
            path=file.place.shown,
            text="\n".join(self._lines),
            first_line=self._first,
            last_line=self._last,
            encoding=encoding,
            line_endings=ending,
            truncated=self._next is not None or self._note is not None,
            next_line=self._next,
            note=note,
        )
