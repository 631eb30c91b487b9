"""Detects headings in an answer, which small models copy out of the passages: they need no citation."""

import re
from collections.abc import Sequence

from retrieval.api import Chunk

_HEADING_SYNTAX = re.compile(r"#{1,6}\s[^\n]*|(?:[^\s.!?]+[^\S\n]+){0,5}[^\s.!?]+:(?:\*\*|__)?")  # "# Leave"; up to six words with a colon
_NUMBER = r"(?:\d+(?:\.\d+)+[.)]?|\d+[.)])\s+"
_HEADING = re.compile(rf"(?:#{{1,6}}\s+)?(?:{_NUMBER})?(?:[^\s\d]+[^\S\n]+){{0,9}}[^\s\d]+")  # "2.1 Sick leave"; up to ten words
_NOT_A_HEADING = re.compile(r"^[-*•‣–|]|[.!?…。！？।؟,;]$")  # an item, a row, a sentence
_DECORATION = "#*_: \t"


class HeadingDetector:
    """For answers written from these passages."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._headings = {_normalize(line) for chunk in chunks for line in (*chunk.headings, *_section_headings(chunk.text))}

    def is_heading(self, line: str, *, has_next_line: bool) -> bool:
        """`has_next_line`: another line follows. The last line may be the answer itself, even in the words of a heading."""
        return bool(_HEADING_SYNTAX.fullmatch(line)) or (has_next_line and _normalize(line) in self._headings)


def _section_headings(text: str) -> list[str]:
    """Headings within a chunk's text (small sections share a chunk): paragraphs of one short line without a full stop or digits
    that another paragraph follows."""
    return [line for line in re.split(r"\n\s*\n", text.strip())[:-1] if _HEADING.fullmatch(line) and not _NOT_A_HEADING.search(line)]


def _normalize(line: str) -> str:
    return " ".join(re.sub(f"^{_NUMBER}", "", line.strip(_DECORATION)).split()).casefold()
