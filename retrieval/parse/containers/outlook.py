"""Messages saved by Outlook (MS-OXMSG): properties in the streams of an OLE container."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import IO

from olefile import OleFileIO

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import decode
from retrieval.parse.containers.envelope import write_envelope
from retrieval.parse.containers.rtf_compression import decompressed
from retrieval.parse.dispatch import read_part
from retrieval.parse.limits import ParseError
from retrieval.parse.plain import text
from retrieval.parse.rtf import reader as rtf
from retrieval.parse.web import html

# identifiers of properties (MS-OXPROPS)
SUBJECT, BODY, HTML, RTF = 0x0037, 0x1000, 0x1013, 0x1009
SENDER_NAME, SENDER_ADDRESSES, DISPLAY_NAME, ADDRESSES, RECIPIENT_TYPE = 0x0C1A, (0x5D01, 0x0C1F), 0x3001, (0x39FE, 0x3003), 0x0C15
SUBMIT_TIME, DELIVERY_TIME, CODEPAGES = 0x0039, 0x0E06, (0x3FDE, 0x3FFD)
FILENAMES, DATA = (0x3707, 0x3704, DISPLAY_NAME), 0x3701
UNICODE, BYTES, BINARY, OBJECT = 0x001F, 0x001E, 0x0102, 0x000D  # types of properties
RECIPIENTS = {1: "To", 2: "Cc"}
_FILE_HEADER, _MESSAGE_HEADER, _OTHER_HEADER = 32, 24, 8  # bytes before the entries of a stream of properties
_LABELS = {
    65001: "utf-8",
    20127: "ascii",
    28591: "iso-8859-1",
    28605: "iso-8859-15",
    20866: "koi8-r",
    51932: "euc-jp",
    50220: "iso-2022-jp",
}


class _Storage:
    """A folder of the container that holds properties: a message, a recipient, an attachment."""

    def __init__(self, ole: OleFileIO, path: tuple[str, ...], header: int) -> None:
        self.ole, self.path = ole, path
        data = self._stream("__properties_version1.0") or b""
        rows = (data[at : at + 16] for at in range(header, len(data) - 15, 16))
        self._fixed = {struct.unpack("<2xH", row[:4])[0]: row[8:] for row in rows}

    def text(self, *properties: int) -> str:
        """The first of the properties that is there."""
        for each in properties:
            if (data := self._property(each, UNICODE)) is not None:
                return data.decode("utf-16-le", "replace").rstrip("\0")
            if (data := self._property(each, BYTES)) is not None:
                return decode(data, label=self.label).text.rstrip("\0")
        return ""

    def binary(self, property: int) -> bytes | None:
        return self._property(property, BINARY)

    def number(self, property: int) -> int:
        return struct.unpack("<I4x", self._fixed[property])[0] if property in self._fixed else 0

    @property
    def date(self) -> str:
        """When the message was sent."""
        ticks = next((struct.unpack("<Q", self._fixed[each])[0] for each in (SUBMIT_TIME, DELIVERY_TIME) if each in self._fixed), 0)
        if not 0 < ticks < 2**62:
            return ""
        return (datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def label(self) -> str:
        """Of the encoding of texts that are not in Unicode; empty: unknown."""
        page = next(filter(None, map(self.number, CODEPAGES)), 0)
        return _LABELS.get(page, f"cp{page}") if page else ""

    def below(self, prefix: str) -> "Iterator[_Storage]":
        depth = len(self.path)
        names = {path[depth] for path in map(tuple, self.ole.listdir(streams=True)) if path[:depth] == self.path and len(path) > depth + 1}
        for name in sorted(name for name in names if name.startswith(prefix)):
            yield _Storage(self.ole, (*self.path, name), _OTHER_HEADER)

    def inner_message(self) -> "_Storage | None":
        """Of an attachment that is a message."""
        path = (*self.path, f"__substg1.0_{DATA:04X}{OBJECT:04X}")
        return _Storage(self.ole, path, _MESSAGE_HEADER) if self.ole.exists("/".join((*path, "__properties_version1.0"))) else None

    def _property(self, property: int, kind: int) -> bytes | None:
        return self._stream(f"__substg1.0_{property:04X}{kind:04X}")

    def _stream(self, name: str) -> bytes | None:
        path = "/".join((*self.path, name))
        return self.ole.openstream(path).read() if self.ole.exists(path) else None


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    with OleFileIO(source) as ole:
        _write(_Storage(ole, (), _FILE_HEADER), builder)


def _write(message: _Storage, builder: DocumentBuilder) -> None:
    attachments = list(message.below("__attach_version1.0_"))
    names = [each.text(*FILENAMES) or "unnamed" for each in attachments]
    sender = _address(message.text(SENDER_NAME), [message.text(each) for each in SENDER_ADDRESSES])
    fields = [("From", sender), *_recipients(message), ("Date", message.date), ("Subject", message.text(SUBJECT))]
    write_envelope(message.text(SUBJECT), fields, names, builder)
    _write_body(message, builder)
    for name, each in zip(names, attachments, strict=True):
        _write_attachment(name, each, builder)


def _recipients(message: _Storage) -> Iterator[tuple[str, str]]:
    recipients = list(message.below("__recip_version1.0_"))
    for kind, name in RECIPIENTS.items():
        of_kind = (each for each in recipients if each.number(RECIPIENT_TYPE) == kind)
        yield name, ", ".join(_address(each.text(DISPLAY_NAME), [each.text(address) for address in ADDRESSES]) for each in of_kind)


def _address(name: str, addresses: list[str]) -> str:
    """`Ada <ada@x.example>`. Addresses within an organisation's directory have no @ and are left out."""
    address = next((each for each in addresses if "@" in each), "")
    return name if address in name else f"{name} <{address}>".strip()


def _write_body(message: _Storage, builder: DocumentBuilder) -> None:
    """The plain text, unless it is a stub beside a page; formatted text where there is nothing else."""
    plain = message.text(BODY)
    page = message.binary(HTML)
    markup = decode(page, label=message.label, declared=True).text if page else message.text(HTML)
    if markup and 2 * len(plain.split()) < html.count_words(markup):
        html.write(markup, builder)
    elif plain.strip():
        text.write(plain, builder)
    elif compressed := message.binary(RTF):
        rtf.read(decompressed(compressed), builder)


def _write_attachment(name: str, attachment: _Storage, builder: DocumentBuilder) -> None:
    if data := attachment.binary(DATA):
        read_part(data, name, builder)
    elif message := attachment.inner_message():
        try:
            with builder.part(name, 0):
                _write(message, builder)
        except ParseError as error:
            builder.add_note(f"{name} was left out: {error}")
