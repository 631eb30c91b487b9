"""Decodes bytes of unknown encoding."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from retrieval.parse.common.decoding.detect import UTF_8, Encoding, encoding_of, guess, is_mostly_utf_8
from retrieval.parse.common.decoding.labels import codec_of

_COMMENT = re.compile(rb"<!--.*?-->", re.S)
_DECLARED = re.compile(
    rb"""<meta\s[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]{2,40})|\A\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([\w.:-]{2,40})""", re.I
)
_DECLARATION_SIZE = 4096  # bytes at the beginning in which a page declares its encoding
_MULTI_BYTE = ("cp932", "cp949", "cp950", "gb", "big5", "euc", "shift", "iso2022", "hz", "johab")
_CONTINUATION = re.compile(rb"\A[\x80-\xbf]{1,3}")
REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Decoded:
    """`note`: a warning for the user where characters may be wrong, else empty."""

    text: str
    note: str = ""


def read_text(data: bytes, add_note: Callable[[str], None], *, declared: bool = False) -> str:
    """The text of a document; `add_note` takes the warning, if there is one."""
    decoded = decode(data, declared=declared)
    add_note(decoded.note)
    return decoded.text


def decode(data: bytes, *, label: str = "", declared: bool = False) -> Decoded:
    """By byte order mark, else in the encoding named by `label` or (HTML and XML, if `declared`) by the text itself, else by the bytes.
    A name that the bytes contradict is not believed. Wrong bytes become U+FFFD."""
    codec = codec_of(label or (_declared_label(data) if declared else ""))
    if codec is None or codec.startswith("utf") or data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _by_content(data)
    if not codec.startswith(_MULTI_BYTE) and not data.isascii() and (text := _strictly(data, UTF_8)) is not None:
        return Decoded(text)  # letters of a single-byte encoding hardly ever form valid UTF-8
    text = data.decode(codec, "replace")
    if 2 * text.count(REPLACEMENT) > len(text) - len(text.encode("ascii", "ignore")):
        return _by_content(data)
    return Decoded(text, _note_on_wrong_bytes(text, codec))


def _declared_label(data: bytes) -> str:
    found = _DECLARED.search(_COMMENT.sub(b"", data[:_DECLARATION_SIZE]))
    return (found[1] or found[2]).decode("ascii", "replace") if found else ""


def _by_content(data: bytes) -> Decoded:
    encoding = encoding_of(data)
    if encoding == Encoding(UTF_8, exact=False):
        return _by_lines(data)
    text = data.decode(encoding.codec, "replace")
    if not encoding.certain:
        return Decoded(text, f"the file does not name its encoding: that it is {encoding.codec} is a guess")
    return Decoded(text, "" if encoding.exact else _note_on_wrong_bytes(text, encoding.codec))


def _by_lines(data: bytes) -> Decoded:
    """Text that is mostly UTF-8. Lines that are not are of another origin, and in another encoding."""
    start = len(found[0]) if (found := _CONTINUATION.match(data)) else 0  # the file was cut within a character
    end = codecs.utf_8_decode(data, "replace", False)[1]
    lines = [(line, not is_mostly_utf_8(line)) for line in data[start:end].splitlines(keepends=True)]
    foreign = b"".join(line for line, is_foreign in lines if is_foreign)
    codec = guess(foreign).codec if foreign else UTF_8
    text = "".join(line.decode(codec if is_foreign else UTF_8, "replace") for line, is_foreign in lines)
    text = REPLACEMENT * (start > 0) + text + REPLACEMENT * (end < len(data))
    if foreign:
        count = sum(is_foreign for _, is_foreign in lines)
        return Decoded(text, f"not UTF-8 as the rest of the file, and read as {codec}: {count} line{'s' * (count > 1)}")
    return Decoded(text, _note_on_wrong_bytes(text, UTF_8))


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _note_on_wrong_bytes(text: str, codec: str) -> str:
    count = text.count(REPLACEMENT)
    return f"{count} character{'s' * (count > 1)} could not be read in {codec} and became \ufffd" if count else ""
