"""Records of Excel's binary workbooks of 2007 ([MS-XLSB] 2.1.4): type and size in groups of seven bits, then content."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}


@dataclass(slots=True)
class Content:
    """Of one record, read from its beginning on; reading past its end raises struct.error."""

    data: bytes
    at: int = 0

    def take(self, form: str) -> int:
        """A number of this struct format, little-endian."""
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return value

    def skipped(self, size: int) -> "Content":
        """The same, with the next bytes read."""
        self.at += size
        return self

    def real(self) -> float:
        (value,) = struct.unpack_from("<d", self.data, self.at)
        self.at += 8
        return value

    def rich_text(self) -> str:
        """RichStr: flags, then the text."""
        return self.skipped(1).text()

    def text(self) -> str:
        """XLWideString: a count of UTF-16 units and the units."""
        size = 2 * self.take("I")
        if self.at + size > len(self.data):
            raise struct.error("the text is longer than its record")
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-16-le", "replace")


def records(part: bytes) -> Iterator[tuple[int, Content]]:
    """Type and content. Ends at a damaged one."""
    at = 0
    while at < len(part):
        kind, at = _grouped(part, at, 2)
        size, at = _grouped(part, at, 4)
        yield kind, Content(part[at : at + size])
        at += size


def packed_number(rk: int) -> float:
    """RkNumber ([MS-XLSB] 2.5.122): an integer or the upper half of a float, perhaps in hundredths."""
    if rk & 2:
        value = float((rk >> 2) - (1 << 30 if rk & 0x80000000 else 0))
    else:
        (value,) = struct.unpack("<d", struct.pack("<II", 0, rk & 0xFFFFFFFC))
    return value / 100 if rk & 1 else value


def _grouped(part: bytes, at: int, most: int) -> tuple[int, int]:
    """A number whose bytes but the last have their highest bit set, and where it ends. A record's type keeps that bit."""
    value = 0
    for place, byte in enumerate(part[at : at + most]):
        value |= (byte & 0x7F) << (7 * place)
        at += 1
        if not byte & 0x80:
            break
    return value, at
