"""Names of encodings, as documents declare them, by the table of the Encoding standard of browsers: https://encoding.spec.whatwg.org."""

import codecs

import webencodings

# Names of the standard whose decoder takes more than Python's codec of the same name, and names that Python does not know
_PYTHON_CODECS = {
    "shift_jis": "cp932",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "koi8-r": "koi8_u",
    "iso-8859-8-i": "iso8859_8",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
    "macintosh": "mac_roman",
    "x-user-defined": "cp1252",
}


def codec_of(label: str) -> str | None:
    """Python's name of the codec that `label` stands for: for iso-8859-1 it is cp1252, its superset, as browsers have it. None for unknown
    labels and for codecs that are not text encodings (zip, rot13)."""
    label = label.strip().strip("\"'")
    known = webencodings.lookup(label) or webencodings.lookup(f"x-{label}")
    name = _PYTHON_CODECS.get(known.name, known.name) if known else label
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return codec.name if codec._is_text_encoding and codec.name != "utf-7" else None  # pyright: ignore[reportAttributeAccessIssue]
