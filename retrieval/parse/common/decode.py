"""Decodes bytes of unknown encoding."""

import codecs
import re

from retrieval.parse.common import latin

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED_ENCODING = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I)
_SAMPLE = 256 * 1024  # bytes from which the encoding is guessed


def decode(data: bytes, *, declared: bool = False) -> str:
    """By byte order mark, else the declared encoding (HTML and XML, if `declared`), else UTF-8, else a guess."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    found = _DECLARED_ENCODING.search(data[:2048]) if declared else None
    for encoding in ([found[1].decode("ascii")] if found else []) + ["utf-8"]:
        text = _decode_as(data, encoding)
        if text is not None:
            return text
    return _guess(data)


def _decode_as(data: bytes, encoding: str) -> str | None:
    """None if `data` is not in this encoding. Python's codecs that are not text encodings (zip, rot13) are not used."""
    try:
        known = codecs.lookup(encoding)
        return known.decode(data)[0] if known._is_text_encoding else None  # pyright: ignore[reportAttributeAccessIssue]
    except (LookupError, UnicodeError):
        return None


def _guess(data: bytes) -> str:
    """Frequency-based detection takes short Western texts for Central European ones, so accented letters are checked first."""
    sample = data[:_SAMPLE]
    return data.decode(latin.encoding_of(sample) or _guess_encoding(sample), "replace")


def _guess_encoding(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else latin.WESTERN
