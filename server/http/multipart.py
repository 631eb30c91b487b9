"""A form with one file (RFC 7578), read part by part: the file goes to disk, whatever its size, and the fields stay small."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from server.core.errors import ApiError, bad_request
from server.http.body import BODY_TIMEOUT, DRAIN_FACTOR, ClientDisconnected

IN_MEMORY = 1 << 20  # bytes of a file that need no disk
FIELD_BYTES = 4096
FIELDS = 16
ROOM = 64 << 10  # bytes of a body for all that is not the file
FILE = "file"
EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)  # old clients write other letters so

Spool = SpooledTemporaryFile[bytes]


@dataclass
class Upload:
    """`content` is at its beginning."""

    content: Spool
    filename: str | None = None  # as it was given; None: there was no file
    size: int = 0
    fields: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class _Reader:
    """What the parser calls. What is wrong is remembered rather than raised: a client only reads the answer after it has
    sent everything."""

    limit: int
    upload: Upload
    refusal: ApiError | None = None
    ended: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _name: bytes = b""
    _value: bytes = b""
    _part: str | None = None  # name of the field whose data comes; None: it is the file
    _data: bytearray = field(default_factory=bytearray)
    _pending: bytearray = field(default_factory=bytearray)  # of the file, not yet written

    def callbacks(self) -> Any:
        """Typed by the parser as it likes it."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_part,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    async def flush(self, most: int) -> None:
        """Writes what is pending if it is more than `most` bytes; in a thread, as disks make people wait."""
        if len(self._pending) > most:
            await asyncio.to_thread(self.upload.content.write, bytes(self._pending))
            self._pending.clear()

    def refuse(self, error: ApiError) -> None:
        self.refusal = self.refusal or error
        self._pending.clear()

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _on_part(self) -> None:
        given = self._headers.get(b"content-disposition", b"")
        options = parse_options_header(given)[1]
        name, filename = options.get(b"name", b"").decode(errors="replace"), _filename(given, options)
        self._part = None if name == FILE and filename is not None else name
        if self._part is not None:
            self._begin_field(self._part)
        elif self.upload.filename is not None:
            self.refuse(bad_request(FILE, f"{FILE}: one file at a time", "duplicate"))
        else:
            self.upload.filename = filename

    def _begin_field(self, name: str) -> None:
        if name == FILE:
            self.refuse(bad_request(FILE, f"{FILE}: must be a file with a name, not a text field", "invalid_file"))
        elif name in self.upload.fields or len(self.upload.fields) >= FIELDS:
            self.refuse(bad_request(name or None, f"{name}: given more than once, or one field too many", "duplicate"))
        else:
            self.upload.fields[name] = ""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self.refusal is not None:
            return
        if self._part is None:
            self._on_file(data[start:end])
        elif len(self._data) + end - start > FIELD_BYTES:
            self.refuse(bad_request(self._part, f"{self._part}: longer than {FIELD_BYTES} bytes", "too_long"))
        else:
            self._data += data[start:end]

    def _on_file(self, data: bytes) -> None:
        self.upload.size += len(data)
        if self.upload.size > self.limit:
            self.refuse(too_large(self.limit))
        else:
            self._pending += data

    def _on_part_end(self) -> None:
        if self._part is not None and self.refusal is None:
            self.upload.fields[self._part] = self._data.decode(errors="replace")
        self._data.clear()

    def _on_end(self) -> None:
        self.ended = True


@asynccontextmanager
async def read_upload(scope: Scope, receive: Receive, limit: int) -> AsyncGenerator[Upload]:
    """A form that holds a file of at most `limit` bytes. Raises ApiError: 415, 413, 408 or 400; Dropped."""
    headers = Headers(scope=scope)
    _expect_room(headers, limit)
    with SpooledTemporaryFile[bytes](max_size=IN_MEMORY) as content:
        reader = _Reader(limit, Upload(content))
        parser = MultipartParser(_boundary(headers), reader.callbacks())
        async for data in _parts(receive, limit * DRAIN_FACTOR + ROOM, lambda: too_large(limit)):
            _write(parser, reader, data)
            await reader.flush(IN_MEMORY)
        await reader.flush(0)
        if reader.refusal is not None:
            raise reader.refusal
        if not reader.ended:
            raise bad_request(None, "the form has no end: the body was cut off, or its last boundary is missing", "invalid_form")
        await asyncio.to_thread(content.seek, 0)
        yield reader.upload


def too_large(limit: int) -> ApiError:
    return ApiError(413, f"{FILE}: larger than {limit} bytes, the most that this server takes", FILE, "file_too_large")


def _expect_room(headers: Headers, limit: int) -> None:
    """Who asks before sending is told before sending."""
    length = headers.get("content-length", "")
    if headers.get("expect", "").lower() == "100-continue" and length.isdigit() and int(length) > limit + ROOM:
        raise too_large(limit)


def _boundary(headers: Headers) -> bytes:
    kind, options = parse_options_header(headers.get("content-type"))
    if kind != b"multipart/form-data":
        given = kind.decode(errors="replace") or "missing"
        raise ApiError(415, f"the content type is {given}; it must be multipart/form-data", code="unsupported_media_type")
    if not 1 <= len(options.get(b"boundary", b"")) <= 70:  # RFC 2046, 5.1.1
        raise bad_request(None, "the content type multipart/form-data needs a boundary of 1 to 70 characters", "invalid_form")
    return options[b"boundary"]


async def _parts(receive: Receive, most: int, error: Callable[[], ApiError]) -> AsyncGenerator[bytes]:
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                message = await receive()
        except TimeoutError:
            raise ApiError(408, f"nothing of the body arrived for {BODY_TIMEOUT:.0f} seconds", code="timeout") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        data, more = message.get("body", b""), message.get("more_body", False)
        size += len(data)
        if size > most:
            raise error()
        yield data


def _write(parser: MultipartParser, reader: _Reader, data: bytes) -> None:
    if reader.refusal is not None or not data:
        return
    try:
        parser.write(data)
    except FormParserError as error:
        reader.refuse(bad_request(None, f"the form cannot be read: {error}", "invalid_form"))


def _filename(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    if (plain := options.get(b"filename")) is not None:
        return plain.decode(errors="replace").replace("%22", '"')
    extended = EXTENDED.search(disposition.decode("latin-1"))
    return unquote(extended[1]) if extended else None
