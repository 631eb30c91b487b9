"""Plain text: empty lines separate paragraphs. Paragraphs whose spaces carry meaning, such as code and columns, keep them."""

import re

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_ITEM = re.compile(r"[ \t]*(?:[-*•–+]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")
_GAP = re.compile(r"\S(?: {3,}|\t+| *\t)\S")  # between columns
_INDENTED_LINE = re.compile(r"(?: {4}|\t).*")
_INDENT = re.compile(r"[ \t]*")


def read(data: bytes, builder: DocumentBuilder) -> None:
    write(read_text(data, builder.add_note), builder)


def write(text: str, builder: DocumentBuilder) -> None:
    kind = ""
    for paragraph in _BLANK_LINES.split(re.sub("\r\n?|\f", "\n", text).rstrip()):
        kind = _kind(paragraph, kind)
        builder.add_block(kind, paragraph)


def _kind(paragraph: str, before: str) -> str:
    """`before`: kind of the paragraph above it."""
    if before == "code" and _INDENTED_LINE.fullmatch(paragraph):
        return "code"
    lines = [line for line in paragraph.split("\n") if line.strip()]
    if len(lines) > 1 and sum(map(bool, map(_ITEM.match, lines))) * 2 > len(lines):
        return "list"
    return "code" if len(lines) > 1 and (_has_columns(lines) or _is_indented(lines)) else "paragraph"


def _has_columns(lines: list[str]) -> bool:
    """Whether at least half of the lines have gaps wide enough to set columns apart."""
    return sum(map(bool, map(_GAP.search, lines))) * 2 >= len(lines)


def _is_indented(lines: list[str]) -> bool:
    """Whether lines are indented differently. The first of a paragraph of prose often is, and the lines after an item are."""
    indents = [_INDENT.match(line)[0].expandtabs(8) for line in lines]  # pyright: ignore[reportOptionalSubscript] - it matches always
    return len(set(indents[1:])) > 1 or (len(lines) == 2 and len(indents[1]) > len(indents[0]) and not _ITEM.match(lines[0]))
