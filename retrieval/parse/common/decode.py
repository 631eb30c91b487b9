"""Bytes of unknown encoding as text."""

import codecs
import re

from retrieval.parse.common import latin

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_STATED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I)
_SAMPLE = 256 * 1024  # bytes that the guess is made from


def decode(data: bytes, *, stated: bool = False) -> str:
    """By its byte order mark, as what it states itself to be (HTML and XML, when `stated`), as UTF-8, else by a good guess."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    found = _STATED.search(data[:2048]) if stated else None
    for encoding in ([found[1].decode("ascii")] if found else []) + ["utf-8"]:
        text = _as(data, encoding)
        if text is not None:
            return text
    return _guess(data)


def _as(data: bytes, encoding: str) -> str | None:
    """None if it is not. An encoding of Python's own (zip, rot13) is none of a text."""
    try:
        known = codecs.lookup(encoding)
        return known.decode(data)[0] if known._is_text_encoding else None  # pyright: ignore[reportAttributeAccessIssue]
    except (LookupError, UnicodeError):
        return None


def _guess(data: bytes) -> str:
    """What tells languages apart by frequency alone takes short Western texts for Central European ones: letters decide there."""
    sample = data[:_SAMPLE]
    return data.decode(latin.encoding_of(sample) or _likely(sample), "replace")


def _likely(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else latin.WESTERN
