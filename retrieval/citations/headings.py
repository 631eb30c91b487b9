"""Lines of an answer that say nothing themselves: headings, which small models copy out of the passages."""

import re
from collections.abc import Sequence

from retrieval.api import Chunk

_FORMED = re.compile(r"#{1,6}\s[^\n]*|(?:[^\s.!?]+[^\S\n]+){0,5}[^\s.!?]+:(?:\*\*|__)?")  # "# Leave"; up to six words with a colon
_NUMBER = r"(?:\d+(?:\.\d+)+[.)]?|\d+[.)])\s+"
_HEADING = re.compile(rf"(?:#{{1,6}}\s+)?(?:{_NUMBER})?(?:[^\s\d]+[^\S\n]+){{0,9}}[^\s\d]+")  # "2.1 Sick leave"; up to ten words
_SPOKEN = re.compile(r"^[-*•‣–|]|[.!?…。！？।؟,;]$")  # an item, a row, a sentence
_DRESS = "#*_: \t"


class Captions:
    """Of an answer out of these passages."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._known = {_plain(line) for chunk in chunks for line in (*chunk.headings, *_inside(chunk.text))}

    def holds(self, line: str, *, followed: bool) -> bool:
        """`followed`: another line comes behind. A line without, in the words of a heading, may be all of the answer."""
        return bool(_FORMED.fullmatch(line)) or (followed and _plain(line) in self._known)


def _inside(text: str) -> list[str]:
    """Headings of small sections that share a chunk: its own headings are only those that all of them stand under. In the text a
    heading is a paragraph of one short line without a full stop, and another comes behind it; what tells a number is none."""
    return [line for line in re.split(r"\n\s*\n", text.strip())[:-1] if _HEADING.fullmatch(line) and not _SPOKEN.search(line)]


def _plain(line: str) -> str:
    return " ".join(re.sub(f"^{_NUMBER}", "", line.strip(_DRESS)).split()).casefold()
