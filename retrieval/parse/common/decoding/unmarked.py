"""UTF-16 and UTF-32 without a byte order mark."""

import unicodedata

_CODECS = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}  # bytes of a code unit
_SAMPLE = 4096  # bytes
_MIN_LENGTH = 4  # characters
_MAX_ODD = 0.01  # share of characters in text that are control characters, unassigned or private
_WHITE_SPACE = "\t\n\r\f"


def wide_encoding_of(head: bytes) -> str | None:
    """The codec; None: the bytes are not text in one of these. Such text has zero bytes, if only in its spaces and line ends."""
    if b"\0" not in head:
        return None
    texts = {codec: text for codec, size in _CODECS.items() if (text := _decoded(head[:_SAMPLE], codec, size))}
    if not texts:
        return None
    codec = max(texts, key=lambda name: sum(sign < "\u0100" for sign in texts[name]) * _CODECS[name])  # the other byte order has no spaces
    text = texts[codec]
    return codec if len(text) >= _MIN_LENGTH and (text.isascii() or any(map(str.isspace, text))) else None


def _decoded(sample: bytes, codec: str, size: int) -> str:
    """Empty if it is not text in this encoding."""
    text = sample[: len(sample) // size * size].decode(codec, "replace").removesuffix("\ufffd")  # the end may be cut off
    odd = sum(map(_is_odd, text))
    return text if odd <= len(text) * _MAX_ODD else ""


def _is_odd(sign: str) -> bool:
    return sign == "\ufffd" or (unicodedata.category(sign) in ("Cc", "Cn", "Co", "Cs") and sign not in _WHITE_SPACE)
