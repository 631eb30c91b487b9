"""Plain text: empty lines separate paragraphs."""

import re

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_ITEM = re.compile(r"[ \t]*(?:[-*•–+]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")


def read(data: bytes, builder: DocumentBuilder) -> None:
    write(read_text(data, builder.add_note), builder)


def write(text: str, builder: DocumentBuilder) -> None:
    for paragraph in _BLANK_LINE.split(re.sub("\r\n?|\f", "\n", text)):
        builder.add_block("list" if _is_list(paragraph) else "paragraph", paragraph)


def _is_list(paragraph: str) -> bool:
    lines = [line for line in paragraph.split("\n") if line.strip()]
    return len(lines) > 1 and sum(map(bool, map(_ITEM.match, lines))) * 2 > len(lines)
