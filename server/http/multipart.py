"""Streaming parser of multipart forms with one file (RFC 7578). Large files are spooled to disk; text fields are limited in size."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Collection, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from tempfile import SpooledTemporaryFile
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from server.core.errors import ApiError, bad_request
from server.http.body import DRAIN_FACTOR, read_parts
from server.runtime.throttle import BodyPace

PIECE_BYTES = 16 << 10  # that are parsed at once
SPOOL_BYTES = 1 << 20  # larger files are written to disk
MAX_FIELD_BYTES = 4096
MAX_FIELDS = 16
OVERHEAD_BYTES = 64 << 10  # of a body: all that is not the file
ENCODED_WORDS = re.compile(r"(?:=\?[^?\s]+\?[bq]\?[^?\s]*\?=\s*)+", re.IGNORECASE)  # RFC 2047, as mail programs and .NET write names


@dataclass
class Upload:
    """`content` is positioned at its start."""

    content: SpooledTemporaryFile[bytes]
    filename: str | None = None  # as the client sent it; None: there was no file
    size: int = 0
    fields: dict[str, str | list[str]] = field(default_factory=dict[str, str | list[str]])
    more: dict[str, bytes] = field(default_factory=dict[str, bytes])  # further files, by the names of their fields


@dataclass
class _FormReader:
    """Callbacks of the parser. The first error is kept in `error`, not raised: clients read the answer only after sending everything."""

    limit: int
    upload: Upload
    file_field: str
    lists: Container[str]
    more: Container[str]
    error: ApiError | None = None
    ended: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _name: bytes = b""
    _value: bytes = b""
    _part: str | None = None  # name of the current text field or further file; None: the file
    _further: bool = False  # the current part is a further file
    _count: int = 0  # of text fields
    _data: bytearray = field(default_factory=bytearray)
    _pending: bytearray = field(default_factory=bytearray)  # file data not yet written

    def callbacks(self) -> Any:
        """By the names that MultipartParser gives them."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    async def flush(self, threshold: int) -> None:
        """Writes the pending file data, if it is more than `threshold` bytes, in a thread."""
        if len(self._pending) > threshold:
            await asyncio.to_thread(self.upload.content.write, bytes(self._pending))
            self._pending.clear()

    def set_error(self, error: ApiError) -> None:
        self.error = self.error or error
        self._pending.clear()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        if self.error is not None:
            return
        disposition = self._headers.get(b"content-disposition", b"")
        options = parse_options_header(disposition)[1]
        name, filename = options.get(b"name", b"").decode(errors="replace"), _filename(disposition, options)
        name = self.file_field if name == f"{self.file_field}[]" and filename is not None else name
        self._part = None if name == self.file_field and filename is not None else name
        self._further = filename is not None and name in self.more
        if self._part is not None:
            self._start_field(self._part)
        elif self.upload.filename is not None:
            self.set_error(bad_request(self.file_field, f"{self.file_field}: one file at a time", "duplicate"))
        else:
            self.upload.filename = filename

    def _start_field(self, name: str) -> None:
        if name == self.file_field:
            self.set_error(bad_request(self.file_field, f"{self.file_field}: must be a file with a name, not a text field", "invalid_file"))
        elif name in self.upload.more or (name in self.upload.fields and not self._is_list(name)) or self._count >= MAX_FIELDS:
            self.set_error(bad_request(name or None, f"{name}: given more than once, or one field too many", "duplicate"))
        else:
            self._count += 1

    def _is_list(self, name: str) -> bool:
        return name.removesuffix("[]") in self.lists

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.error is not None:
            return
        if self._part is None:
            self._add_file_data(data[start:end])
        elif self._further and len(self._data) + end - start > self.limit:
            self.set_error(too_large(self._part, self.limit))
        elif not self._further and len(self._data) + end - start > MAX_FIELD_BYTES:
            self.set_error(bad_request(self._part, f"{self._part}: longer than {MAX_FIELD_BYTES} bytes", "too_long"))
        else:
            self._data += data[start:end]

    def _add_file_data(self, data: bytes) -> None:
        self.upload.size += len(data)
        if self.upload.size > self.limit:
            self.set_error(too_large(self.file_field, self.limit))
        else:
            self._pending += data

    def _on_part_end(self) -> None:
        if self._part is not None and self._further and self.error is None:
            self.upload.more[self._part] = bytes(self._data)
        elif self._part is not None and self.error is None:
            self._end_field(self._part, self._data.decode(errors="replace"))
        self._data.clear()

    def _end_field(self, name: str, value: str) -> None:
        if self._is_list(name):
            base = name.removesuffix("[]")
            self.upload.fields[base] = [*self.upload.fields.get(base, ()), value]
        else:
            self.upload.fields[name] = value

    def _on_end(self) -> None:
        self.ended = True


@asynccontextmanager
async def read_upload(
    scope: Scope,
    receive: Receive,
    limit: int,
    pace: BodyPace,
    file_field: str = "file",
    lists: Container[str] = (),
    more: Collection[str] = (),
) -> AsyncGenerator[Upload]:
    """`limit`: bytes of a file; `file_field`: its name in the form, as it is or with [] behind; `lists`: fields that may come several
    times, likewise; `more`: names of further files, which may be absent and are held in memory. Raises ApiError: 415, 413, 408 or 400;
    ClientDisconnected."""
    headers = Headers(scope=scope)
    _expect_acceptable_length(headers, limit * (1 + len(more)), file_field)
    with SpooledTemporaryFile[bytes](max_size=SPOOL_BYTES) as content:
        reader = _FormReader(limit, Upload(content), file_field, lists, more)
        parser = MultipartParser(_boundary(headers), reader.callbacks())
        most = limit * DRAIN_FACTOR + OVERHEAD_BYTES
        async for data in _body_chunks(read_parts(receive, pace), most, lambda: too_large(file_field, limit)):
            await _feed(parser, reader, data)
            await reader.flush(SPOOL_BYTES)
        await reader.flush(0)
        if reader.error is not None:
            raise reader.error
        if not reader.ended:
            raise bad_request(None, "the form has no end: the body was cut off, or its last boundary is missing", "invalid_form")
        await asyncio.to_thread(content.seek, 0)
        yield reader.upload


def too_large(field: str, limit: int) -> ApiError:
    return ApiError(413, f"{field}: larger than {limit} bytes, the most that this server takes", field, "file_too_large")


def _expect_acceptable_length(headers: Headers, limit: int, file_field: str) -> None:
    """Clients that send Expect: 100-continue are refused before they send the body."""
    length = headers.get("content-length", "")
    if headers.get("expect", "").lower() == "100-continue" and length.isdigit() and int(length) > limit + OVERHEAD_BYTES:
        raise too_large(file_field, limit)


def _boundary(headers: Headers) -> bytes:
    kind, options = parse_options_header(headers.get("content-type"))
    if kind != b"multipart/form-data":
        content_type = kind.decode(errors="replace") or "missing"
        raise ApiError(415, f"the content type is {content_type}; it must be multipart/form-data", code="unsupported_media_type")
    if not 1 <= len(options.get(b"boundary", b"")) <= 70:  # RFC 2046, 5.1.1
        raise bad_request(None, "the content type multipart/form-data needs a boundary of 1 to 70 characters", "invalid_form")
    return options[b"boundary"]


async def _body_chunks(parts: AsyncGenerator[bytes], max_bytes: int, error: Callable[[], ApiError]) -> AsyncGenerator[bytes]:
    size = 0
    async for data in parts:
        size += len(data)
        if size > max_bytes:
            raise error()
        yield data


async def _feed(parser: MultipartParser, reader: _FormReader, data: bytes) -> None:
    """In pieces: a form of very many parts does not hold the event loop for long, and is refused by its first."""
    for start in range(0, len(data), PIECE_BYTES):
        if reader.error is not None:
            return
        try:
            parser.write(data[start : start + PIECE_BYTES])
        except FormParserError as error:
            reader.set_error(bad_request(None, f"the form cannot be read: {error}", "invalid_form"))
        await asyncio.sleep(0)


def _filename(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    """As filename* gives it (RFC 6266, section 4.3: it has precedence), else filename, else None."""
    if extended := _extended_filename(disposition.decode("latin-1")):
        return extended
    plain = options.get(b"filename")
    return None if plain is None else _decoded(plain).replace("%22", '"')


def _extended_filename(disposition: str) -> str | None:
    """Of filename* (RFC 5987), also in pieces (RFC 2231), as clients send it although RFC 7578 discourages it."""
    header = Message()
    header["content-disposition"] = disposition
    for key, value in header.get_params(header="content-disposition") or ():
        if key.lower() == "filename" and isinstance(value, tuple):
            return collapse_rfc2231_value(value)
    return None


def _decoded(name: bytes) -> str:
    """UTF-8, else Windows-1252; encoded words (RFC 2047) are decoded."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = name.decode("cp1252", "replace")
    if not ENCODED_WORDS.fullmatch(text):
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return text
