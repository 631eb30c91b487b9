"""Removes invisible characters from text, so that nothing can be hidden from people and shown to models."""

import re
import unicodedata

_PARAGRAPHS = re.compile("\f|\u2029")
_NEWLINES = re.compile("\r\n?|[\v\x1c-\x1e\x85\u2028]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")  # cannot be encoded as UTF-8
# Unicode's Default_Ignorable_Code_Point (except joiners), control characters, anchors and noncharacters
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "\U000e0000-\U000e0fff]"
)
# Persian and Indic scripts spell with joiners; between other letters they are invisible and have no use
_JOINERS = re.compile("(?<![\u0600-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1cff])")
_BULLETS = re.compile("[\uf0a7\uf0b7\uf0d8\uf06e]")  # Wingdings and Symbol, as word processors store them
_TERMINAL_SEQUENCES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[()][0-9A-B])")  # ECMA-48: colours of logs
_UNUSUAL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")  # of ASCII, what is cleaned
_SPACE_RUN = re.compile(r"[ \t]+")
_BLANK_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """NFC, with newline, space and tab as the only control and space characters. Idempotent."""
    if text.isascii() and not _UNUSUAL.search(text):
        return text
    text = _TERMINAL_SEQUENCES.sub("", text) if "\x1b" in text else text
    text = _NEWLINES.sub("\n", _PARAGRAPHS.sub("\n\n", text))
    text = _INVISIBLE.sub("", _SPACES.sub(" ", _LONE_SURROGATES.sub("\ufffd", text)))
    return unicodedata.normalize("NFC", _BULLETS.sub("•", _JOINERS.sub("", text)))


def prose(text: str) -> str:
    """Clean text with single spaces, trimmed lines and at most one empty line in a row."""
    if "  " in text or "\t" in text:
        text = _SPACE_RUN.sub(" ", text)
    lines = (line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def verbatim(text: str) -> str:
    """Clean text without trailing spaces, and without empty lines at its start and end."""
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
