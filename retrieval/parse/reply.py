"""Validates the reply of the parser subprocess, which a hostile file may have taken over."""

import base64
import json
from itertools import pairwise
from typing import Any

from retrieval.api import Block, Document, Picture, Unreadable
from retrieval.parse.limits import Limits

BLOCK_KINDS = ("heading", "paragraph", "list", "table", "code")
ERROR_CODES = ("unsupported_file", "invalid_file", "server_error")
MAX_LINE = 500  # characters of an error message, a title, a note

PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}  # first bytes
CONVERSIONS = ("docx", "pptx")  # endings
Reply = dict[str, Any]


class Convertible(Exception):
    """The file can be read after a conversion into the format of this ending; else `refusal` is the answer."""

    def __init__(self, ending: str, refusal: Unreadable) -> None:
        super().__init__(ending)
        self.ending, self.refusal = ending, refusal


def parse_reply(status: str, output: bytes, limits: Limits) -> Document:
    """Raises Unreadable, also for a malformed reply; Convertible for a file that LibreOffice could convert."""
    if status != "done":
        raise Unreadable(_reason(status, limits), "server_error" if status in ("gone", "broken") else "invalid_file")
    try:
        reply = json.loads(output)
        if "refused" in reply:
            refusal = Unreadable(_line(reply["refused"]), reply["code"] if reply["code"] in ERROR_CODES else "invalid_file")
            raise Convertible(reply["convert_to"], refusal) if reply.get("convert_to") in CONVERSIONS else refusal
        return _document(reply, limits)
    except (ValueError, KeyError, TypeError, IndexError):
        raise Unreadable("the parser gave an answer that makes no sense: the file is damaged or hostile") from None


def _reason(status: str, limits: Limits) -> str:
    return {
        "slow": f"reading the file takes longer than {limits.seconds:g} seconds",
        "memory": f"reading the file takes more than {limits.memory_bytes >> 20} MiB of memory",
        "large": f"the file holds more than {limits.characters:,} characters of text: split it",
        "broken": "the library that reads files of this kind cannot be loaded",
        "gone": "the server ended while it read the file",
    }.get(status, "the file made its parser crash: it is damaged or hostile")


def _document(reply: Reply, limits: Limits) -> Document:
    text, paths = _text(reply["text"]), [tuple(map(_text, path)) for path in reply["paths"]]
    blocks = tuple(_block(row, paths) for row in reply["blocks"])
    _check(text, blocks)
    notes = tuple(map(_line, reply["notes"]))
    pictures = tuple(_picture(row, paths, len(text)) for row in reply["pictures"][: limits.pictures])
    return Document(
        text=text, blocks=blocks, media_type=_line(reply["media_type"]), title=_line(reply["title"]), notes=notes, pictures=pictures
    )


def _picture(row: list[Any], paths: list[tuple[str, ...]], length: int) -> Picture:
    content, media_type, start, end, page, path = row
    data = base64.b64decode(content, validate=True)
    if not all(type(number) is int for number in (start, end, path)) or not 0 <= start <= end <= length or path < 0:
        raise ValueError(row[1:])
    if not data.startswith(PICTURES[media_type]) or (page is not None and (type(page) is not int or page < 1)):
        raise ValueError(row[1:])
    return Picture(data=data, media_type=media_type, start=start, end=end, page=page, headings=paths[path])


def _block(row: list[Any], paths: list[tuple[str, ...]]) -> Block:
    kind, start, end, page, path = row
    if kind not in BLOCK_KINDS or not all(type(number) is int and number >= 0 for number in (start, end, path)):
        raise ValueError(row)
    if page is not None and (type(page) is not int or page < 1):
        raise ValueError(row)
    return Block(kind=kind, start=start, end=end, page=page, headings=paths[path])


def _check(text: str, blocks: tuple[Block, ...]) -> None:
    """Blocks must be in order, non-empty, without overlap and within the text. Raises ValueError."""
    ordered = all(before.end <= after.start for before, after in pairwise(blocks))
    inside = all(block.start < block.end for block in blocks) and bool(blocks) and blocks[-1].end <= len(text)
    if not (ordered and inside):
        raise ValueError("blocks")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # lone surrogates raise UnicodeEncodeError, a ValueError: a database cannot store them
    return value


def _line(value: object) -> str:
    return _text(value)[:MAX_LINE]
