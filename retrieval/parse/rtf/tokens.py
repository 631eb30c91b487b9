"""Tokens of Rich Text Format 1.9.1."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    rb"|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<symbol>.)|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)",
    re.S,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A control word such as \\b0, or a control symbol such as \\~, whose name is the symbol."""

    name: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Bytes:
    """Text in the encoding of the font."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Brace:
    opens: bool


Token = Word | Bytes | Brace


def tokens(data: bytes) -> Iterator[Token]:
    at = 0
    while found := _TOKEN.search(data, at):
        at = found.end()
        if found["word"]:
            number = int(found["number"]) if found["number"] else None
            if found["word"] == b"bin":
                at += max(number or 0, 0)  # bytes of a picture
                continue
            yield Word(found["word"].decode(), number)
        elif found["brace"]:
            yield Brace(found["brace"] == b"{")
        elif found["symbol"]:
            yield Word("par" if found["symbol"] in b"\r\n" else found["symbol"].decode("latin-1"))
        else:
            yield Bytes(bytes.fromhex(found["byte"].decode()) if found["byte"] else found["text"])
