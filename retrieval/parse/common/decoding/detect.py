"""Detects the encoding of text, for everything that reads files of unknown origin."""

import codecs
import re
from dataclasses import dataclass

from chardetng_py import EncodingDetector

from retrieval.parse.common.decoding import latin
from retrieval.parse.common.decoding.labels import codec_of
from retrieval.parse.common.decoding.unmarked import wide_encoding_of

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UTF_8 = "utf-8"
SAMPLE = 256 * 1024  # bytes from which the encoding is guessed
ENOUGH = 12  # bytes beyond ASCII from which a guess is certain
CONTEXT = 200  # bytes kept before the first byte of a line that is not ASCII
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_ISO_2022_JP = re.compile(rb"\x1b\$[@B]|\x1b\$\([A-D]|\x1b\([IJ]")
_PRINTED = bytes(range(32, 256)) + b"\t\n\f\r\v\a\b\x1a\x1b"  # bytes that occur in text of encodings without zero bytes
_MAX_CONTROL = 0.02  # share of other bytes in text


@dataclass(frozen=True, slots=True)
class Encoding:
    """`codec`: Python's name. `exact`: the bytes are valid in it. `certain`: known from a mark or the bytes' structure, or guessed from
    many letters."""

    codec: str
    exact: bool = True
    certain: bool = True


def detect(data: bytes, *, complete: bool = True) -> Encoding | None:
    """None: not text. Otherwise as `encoding_of`."""
    encoding = _wide_encoding_of(data)
    if encoding is None and len(data.translate(None, _PRINTED)) > _MAX_CONTROL * len(data):
        return None
    return encoding or _of_bytes(data, complete)


def encoding_of(data: bytes, *, complete: bool = True) -> Encoding:
    """Of text: by byte order mark, else UTF-8, also with a few wrong bytes, else a guess. ASCII counts as UTF-8. Without `complete` the
    data may end within a character."""
    return _wide_encoding_of(data) or _of_bytes(data, complete)


def _wide_encoding_of(data: bytes) -> Encoding | None:
    codec = next((codec for mark, codec in BOMS if data.startswith(mark)), None) or wide_encoding_of(data)
    return Encoding(codec) if codec else None


def _of_bytes(data: bytes, complete: bool) -> Encoding:
    if _ISO_2022_JP.search(data) and _is_valid(data, "iso2022_jp_ext", complete):
        return Encoding("iso2022_jp_ext")
    if _is_valid(data, UTF_8, complete):
        return Encoding(UTF_8)
    return Encoding(UTF_8, exact=False) if is_mostly_utf_8(data) else guess(data, complete=complete)


def _is_valid(data: bytes, codec: str, complete: bool) -> bool:
    try:
        codecs.getincrementaldecoder(codec)().decode(data, complete)
    except UnicodeDecodeError:
        return False
    return True


def is_mostly_utf_8(data: bytes) -> bool:
    """Whether more of what is not ASCII is right in UTF-8 than wrong. In other encodings hardly any letters happen to be right."""
    text = data.decode(UTF_8, "replace")
    wrong = text.count("\ufffd") - data.count("\ufffd".encode())
    return 2 * wrong < len(text) - len(text.encode("ascii", "ignore"))


def guess(data: bytes, *, complete: bool = True) -> Encoding:
    """Of bytes that are not UTF-8: an encoding without zero bytes. Single-byte encodings of Latin letters are distinguished by languages'
    alphabets, all others by the detector of the Firefox browser."""
    lines = _lines_beyond_ascii(data)
    detector = EncodingDetector()
    detector.feed(lines, last=complete and len(lines) < SAMPLE)
    common = codec_of(detector.guess(tld=None, allow_utf8=False)) or latin.WESTERN
    accented = latin.encoding_of(lines)
    codec = accented or common
    certain = accented == common or len(_NON_ASCII.findall(lines)) >= ENOUGH
    return Encoding(codec, exact=_is_valid(data, codec, complete), certain=certain)


def _lines_beyond_ascii(data: bytes) -> bytes:
    """The lines with bytes that are not ASCII, up to SAMPLE bytes in all."""
    lines, room, at = list[bytes](), SAMPLE, 0
    while room > 0 and (found := _NON_ASCII.search(data, at)):
        start = max(data.rfind(b"\n", at, found.start()) + 1, at, found.start() - CONTEXT)
        end = data.find(b"\n", found.end()) + 1 or len(data)
        lines.append(data[start : min(end, start + room)])
        room -= len(lines[-1])
        at = end
    return b"".join(lines)
