"""Removing citation marks that name no passage ([7] of four) from an answer while it is generated. What is a mark is decided in
retrieval/citations/marks.py."""

import re
from collections.abc import Sequence

from retrieval.citations.marks import CitationMark, CitationMarkParser, Part

SPACE = " \t"


class CitationMarkFilter:
    """`passages`: their texts. An answer that consists of such marks only is left as it is, so that it is not empty."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._reader, self._passages = CitationMarkParser(passages), len(passages)
        self._space: str = ""  # held back: removed with the mark that follows it
        self._space_before_removed: str = ""  # the space before a removed mark
        self._line_empty: bool = True  # nothing visible in this line yet
        self._removed_at_line_start: bool = False
        self._removed: str | None = ""  # all removed text; None once something is visible

    def push(self, text: str, *, last: bool = False) -> list[Part]:
        """The visible parts of `text`. What may still become a mark is held back until the `last` call."""
        parts: list[Part] = []
        for part in self._reader.push(text, last=last):
            parts += self._text(part) if isinstance(part, str) else self._mark(part)
        if last:
            parts += self._end()
        return parts

    def _text(self, text: str) -> list[Part]:
        leading = self._space_before_removed if re.match(r"\w", text) else ""
        self._space_before_removed = ""
        text = self._space + text
        visible = text.rstrip(SPACE)
        self._space = text[len(visible) :]
        if not visible:
            return []
        visible = visible.lstrip(SPACE) if self._removed_at_line_start else leading + visible
        self._line_empty, self._removed_at_line_start = visible.endswith("\n"), False
        self._removed = None if visible.strip() else self._removed
        return [visible]

    def _mark(self, mark: CitationMark) -> list[Part]:
        valid = tuple(number for number in mark.numbers if 1 <= number <= self._passages)
        space = self._space
        self._space = ""
        if not valid:
            self._space_before_removed = "" if self._line_empty else space or self._space_before_removed
            self._removed_at_line_start = self._removed_at_line_start or self._line_empty
            self._removed = None if self._removed is None else self._removed + space + mark.text
            return []
        space = "" if self._removed_at_line_start else space or self._space_before_removed
        self._line_empty, self._removed_at_line_start, self._space_before_removed, self._removed = False, False, "", None
        cleaned = mark if valid == mark.numbers else CitationMark(f"[{', '.join(map(str, valid))}]", valid)
        return [space, cleaned] if space else [cleaned]

    def _end(self) -> list[Part]:
        space = "" if self._removed_at_line_start else self._space
        self._space = self._space_before_removed = ""
        return [part for part in (self._removed or "", space) if part]
