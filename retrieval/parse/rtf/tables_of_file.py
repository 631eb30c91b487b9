"""The tables at the beginning of an RTF file: fonts with their encodings, colours, styles that are headings."""

import re
from dataclasses import dataclass

from retrieval.parse.common.decoding.labels import codec_of

_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5hkscs", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_SYMBOL_CHARSET = 2
_HEAD = 512 * 1024  # bytes in which the tables are looked for
_FONT = re.compile(rb"\\f(\d{1,5})\b[^;{}]*?\\fcharset(\d{1,3})")
_COLOURS = re.compile(rb"\{\\colortbl([^{}]*)\}")
_COLOUR = re.compile(rb"\\red(\d{1,3})\s*\\green(\d{1,3})\s*\\blue(\d{1,3})")
_HEADING = re.compile(rb"\\s(\d{1,4})\b[^{};]*?\bheading (\d)\b[^{};]*;", re.I)
_CODEPAGE = re.compile(rb"\\ansicpg(\d{1,5})")
WHITE = 240  # of 255, per channel: from here on a colour looks white


@dataclass(frozen=True, slots=True)
class FileTables:
    codec: str  # of text in a font without an encoding of its own
    fonts: dict[int, str]  # codec by number
    symbols: frozenset[int]  # fonts whose letters are signs
    white: frozenset[int]  # numbers of colours
    headings: dict[int, int]  # level by number of the style


def file_tables(data: bytes) -> FileTables:
    head = data[:_HEAD]
    page = _CODEPAGE.search(head)
    charsets = {int(number): int(charset) for number, charset in _FONT.findall(head)}
    return FileTables(
        codec=(codec_of(f"cp{page[1].decode()}") if page else None) or "cp1252",
        fonts={font: _CHARSETS[charset] for font, charset in charsets.items() if charset in _CHARSETS and charset},
        symbols=frozenset(font for font, charset in charsets.items() if charset == _SYMBOL_CHARSET),
        white=_white_colours(head),
        headings={int(style): int(level) for style, level in _HEADING.findall(head)},
    )


def _white_colours(head: bytes) -> frozenset[int]:
    table = _COLOURS.search(head)
    colours = enumerate(table[1].split(b";")) if table else ()
    found = ((number, _COLOUR.search(colour)) for number, colour in colours)
    return frozenset(number for number, match in found if match and min(map(int, match.groups())) >= WHITE)
