"""Lines of an answer that say nothing themselves: headings, which small models copy out of the passages."""

import re
from collections.abc import Sequence

from retrieval.api import Chunk

_FORMED = re.compile(r"#{1,6}\s[^\n]*|(?:[^\s.!?]+[^\S\n]+){0,5}[^\s.!?]+:(?:\*\*|__)?")  # "# Leave"; up to six words with a colon
_DRESS = "#*_: \t"


class Captions:
    """Of an answer out of these passages."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._known = {_plain(heading) for chunk in chunks for heading in chunk.headings}

    def holds(self, line: str, *, followed: bool) -> bool:
        """`followed`: another line comes behind. A line without, in the words of a heading, may be all of the answer."""
        return bool(_FORMED.fullmatch(line)) or (followed and _plain(line) in self._known)


def _plain(line: str) -> str:
    return " ".join(line.strip(_DRESS).split()).casefold()
