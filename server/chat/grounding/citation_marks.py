"""Marks of passages in an answer that is being written: one that names no passage, [7] of four, is taken out, for no reader could
follow it. What is a mark is told by retrieval/citations/marks.py."""

import re
from collections.abc import Sequence

from retrieval.citations.marks import Mark, Part, Reader

SPACE = " \t"


class CitationMarkFilter:
    """`passages`: their texts. An answer of nothing but such marks stays as it is: it is never empty."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._reader, self._passages = Reader(passages), len(passages)
        self._space: str = ""  # held back: it goes with the mark behind it
        self._lead: str = ""  # what stood before a mark that has been taken out
        self._bare: bool = True  # nothing stands in this line yet
        self._gap: bool = False  # a mark has been taken out at its beginning
        self._out: str | None = ""  # all that has been taken out; None once something is shown

    def push(self, text: str, *, last: bool = False) -> list[Part]:
        """What can be shown, with the marks in it. What may yet become a mark is held back, until the `last`."""
        shown: list[Part] = []
        for part in self._reader.push(text, last=last):
            shown += self._text(part) if isinstance(part, str) else self._mark(part)
        if last:
            shown += self._end()
        return shown

    def _text(self, text: str) -> list[Part]:
        lead = self._lead if re.match(r"\w", text) else ""
        self._lead = ""
        text = self._space + text
        said = text.rstrip(SPACE)
        self._space = text[len(said) :]
        if not said:
            return []
        said = said.lstrip(SPACE) if self._gap else lead + said
        self._bare, self._gap = said.endswith("\n"), False
        self._out = None if said.strip() else self._out
        return [said]

    def _mark(self, mark: Mark) -> list[Part]:
        good = tuple(number for number in mark.numbers if 1 <= number <= self._passages)
        space = self._space
        self._space = ""
        if not good:
            self._lead = "" if self._bare else space or self._lead
            self._gap = self._gap or self._bare
            self._out = None if self._out is None else self._out + space + mark.text
            return []
        space = "" if self._gap else space or self._lead
        self._bare, self._gap, self._lead, self._out = False, False, "", None
        kept = mark if good == mark.numbers else Mark(f"[{', '.join(map(str, good))}]", good)
        return [space, kept] if space else [kept]

    def _end(self) -> list[Part]:
        space = "" if self._gap else self._space
        self._space = self._lead = ""
        return [part for part in (self._out or "", space) if part]
