"""Parts of MIME messages: which of them a reader sees, their names and their decoded content."""

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from mimetypes import guess_extension

from retrieval.parse.common.decoding.decode import decode
from retrieval.parse.web import html

_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-encrypted")
_MAX_HEADER = 10_000  # characters
_RICH = ("text/html", "multipart/related", "multipart/mixed", "multipart/alternative")


def shown_parts(message: Message) -> Iterator[Message]:
    """The leaves that a mail program shows: of alternatives one, of a page and its pictures the page, no signatures."""
    kind, inner = message.get_content_type(), children(message)
    if kind == "message/rfc822" or not message.is_multipart():
        if kind not in _SIGNATURES:
            yield message
        return
    if kind == "multipart/alternative" and inner:
        inner = [_best(inner)]
    elif kind == "multipart/related":
        inner = inner[:1] + [part for part in inner[1:] if part.get_content_disposition() == "attachment"]
    for part in inner:
        yield from shown_parts(part)


def children(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def is_attachment(part: Message) -> bool:
    if part.get_content_type() == "message/rfc822":
        return False
    return part.get_content_disposition() == "attachment" or part.get_content_maintype() != "text" or part.get_filename() is not None


def filename(part: Message) -> str:
    named = _decoded(part.get_filename() or "")
    return named or f"unnamed{guess_extension(part.get_content_type()) or ''}"


def header(message: Message, name: str) -> str:
    """In one line, decoded (RFC 2047); empty if there is none. Bytes beyond ASCII, which no header may hold, are decoded by guess."""
    return next((_decoded(str(value)) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def content(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def text(part: Message) -> str:
    """Of a part that is text, with the lines of paragraphs joined where the sender broke them (RFC 3676)."""
    decoded = decode(content(part), label=part.get_content_charset() or "", declared=part.get_content_type() == "text/html").text
    if part.get_param("format") != "flowed":
        return decoded
    return re.sub(r"(?m)(?<!^--) \r?\n(?![>\s])", " " * (part.get_param("delsp") != "yes"), decoded)


def _best(alternatives: list[Message]) -> Message:
    """The plain text, unless it is a stub beside a page."""
    plain = next((part for part in alternatives if part.get_content_type() == "text/plain"), None)
    rich = next((part for part in reversed(alternatives) if part.get_content_type() in _RICH), None)
    page = next((part for part in rich.walk() if part.get_content_type() == "text/html"), None) if rich is not None else None
    if rich is None or page is None:
        return alternatives[-1] if plain is None else plain
    return plain if plain is not None and 2 * len(text(plain).split()) >= html.count_words(text(page)) else rich


def _decoded(value: str) -> str:
    """Of a header with encoded words (RFC 2047). One that is longer than any real one is left as it is: decoding takes quadratic time."""
    try:
        pieces = decode_header(value) if len(value) <= _MAX_HEADER else [(value, None)]
    except (MessageError, ValueError):
        pieces = [(value, None)]
    texts = (decode(_bytes(piece), label=label or "").text for piece, label in pieces)
    return " ".join("".join(texts).split())


def _bytes(piece: bytes | str) -> bytes:
    return piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogateescape")
