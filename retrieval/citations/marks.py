"""Streaming parser of citation marks in an answer: [1] for the first passage.

A numeric bracket is text, not a mark, in code, after or inside another bracket ("[x][7]"), as the text of a link, and where a passage
holds the same bracket (the interval [0, 1], a list [10, 20]). Directly after a word it is a mark if it names passages ("31 days[1]"),
else text ("a[7]")."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retrieval.analysis.words import UNSPACED

MAX_MARK = 200  # characters of a mark, and of inline code
COMPLETE_MARK = re.compile(rf"\[(?=[\d,;\s]{{1,{MAX_MARK}}}\])(\d{{1,3}}(?:\s*[,;]\s*\d{{1,3}})*)\](?!\()")
UNFINISHED_MARK = re.compile(rf"\[[\d,;\s]{{0,{MAX_MARK}}}\Z")
POSSIBLE_MARK = re.compile(rf"\[[\d,;\s]{{0,{MAX_MARK}}}\]?\Z")  # may become a mark
NUMERIC_BRACKET = re.compile(r"\[[\d,;\s]+\]")
WORD = re.compile(rf"[^\W{UNSPACED}]")  # without scripts that put no space before a mark
SPECIAL_CHARACTER = re.compile(r"[`\[\]()\n]")
CODE_FENCE = re.compile(r"[ \t]*(?:(`{3,})[^`\n]*|(~{3,})[^\n]*)")
POSSIBLE_FENCE = re.compile(r"[ \t]*(?:`{0,2}|`{3,}[^`\n]*|~{0,2}|~{3,}[^\n]*)")


@dataclass(frozen=True, slots=True)
class CitationMark:
    """`numbers` is empty for a mark that was cut off at the end of the answer."""

    text: str
    numbers: tuple[int, ...]


Part = str | CitationMark


def parts_to_text(parts: Iterable[Part]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)


class CitationMarkParser:
    """For an answer written from these passages. The result does not depend on how the answer is split into pushes, except for where
    text is split into several parts."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = len(passages)
        self._passage_brackets = {"".join(found.split()) for text in passages for found in NUMERIC_BRACKET.findall(text)}
        self._pending = ""
        self._at_line_start = True  # a line
        self._fence = ""  # of the open code block
        self._open_brackets: list[str] = []  # of this paragraph
        self._previous = ""  # character; "" after a mark

    def push(self, text: str, *, last: bool = False) -> list[Part]:
        """The parts that further text cannot change; with `last` all that is left."""
        text, at, parts = self._pending + text, 0, list[Part]()
        while at < len(text) and (part := self._next(text, at, last)) is not None:
            parts.append(part)
            at += len(parts_to_text([part]))
            self._previous = part[-1] if isinstance(part, str) else ""
        self._pending = text[at:]
        return parts

    def _next(self, text: str, at: int, last: bool) -> Part | None:
        """The part at `at`; None: it depends on further text."""
        if self._at_line_start:
            return self._line(text, at, last)
        if self._fence:
            return self._rest_of_line(text, at)
        found = SPECIAL_CHARACTER.search(text, at)
        if found is None or found.start() > at:
            return text[at : found.start()] if found else text[at:]
        match found[0]:
            case "\n":
                return self._rest_of_line(text, at)
            case "`":
                return self._code(text, at, last)
            case "[":
                return self._bracket(text, at, last)
            case other:
                return self._track_bracket(other)

    def _line(self, text: str, at: int, last: bool) -> Part | None:
        """The part at the start of a line, which may be a code fence."""
        line, newline, _ = text[at:].partition("\n")
        closing = rf"[ \t]*{self._fence}{self._fence[:1]}*[ \t]*"
        possible = re.compile(rf"[ \t]*{self._fence[0]}*[ \t]*") if self._fence else POSSIBLE_FENCE
        if not (newline or last) and possible.fullmatch(line):
            return None
        self._at_line_start = False
        if not line.strip():
            self._open_brackets.clear()
        if self._fence:
            self._fence = "" if re.fullmatch(closing, line) else self._fence
            return self._rest_of_line(text, at)
        if (fence := CODE_FENCE.fullmatch(line)) and (newline or last):
            self._fence = fence[1] or fence[2]
            return self._rest_of_line(text, at)
        return self._next(text, at, last)

    def _rest_of_line(self, text: str, at: int) -> str:
        line, newline, _ = text[at:].partition("\n")
        self._at_line_start = bool(newline)
        return line + newline

    def _code(self, text: str, at: int, last: bool) -> str | None:
        """Inline code, which ends with as many backticks as it began with; other backticks are text."""
        ticks = text[at : at + len(text[at:]) - len(text[at:].lstrip("`"))]
        begin = at + len(ticks)
        if begin == len(text) and not last:
            return None
        stop = text.find("\n", begin, begin + MAX_MARK)
        certain = last or stop >= 0 or len(text) >= begin + MAX_MARK
        stop = stop if stop >= 0 else min(len(text), begin + MAX_MARK)
        closed = re.compile(rf"(?<!`){ticks}(?!`)").search(text, begin, stop)
        if closed and (certain or closed.end() < stop):
            return text[at : closed.end()]
        return ticks if certain else None

    def _bracket(self, text: str, at: int, last: bool) -> Part | None:
        if not last and POSSIBLE_MARK.match(text, at):
            return None
        if complete := COMPLETE_MARK.match(text, at):
            numbers = tuple(int(number) for number in re.split(r"\D+", complete[1]))
            known = "".join(complete[0].split()) in self._passage_brackets
            names = not self._behind_word() or all(1 <= number <= self._passages for number in numbers)
            return CitationMark(complete[0], numbers) if self._outside_brackets() and names and not known else complete[0]
        if unfinished := UNFINISHED_MARK.match(text, at):
            start = "".join(unfinished[0].split())
            known = start != "[" and any(bracket.startswith(start) for bracket in self._passage_brackets)
            return CitationMark(unfinished[0], ()) if self._outside_brackets() and not self._behind_word() and not known else unfinished[0]
        return self._track_bracket("[")

    def _outside_brackets(self) -> bool:
        return "[" not in self._open_brackets and self._previous != "]"

    def _behind_word(self) -> bool:
        return bool(WORD.match(self._previous))

    def _track_bracket(self, bracket: str) -> str:
        """Counts open brackets of both kinds together: an interval may close with the other kind, [0, 1)."""
        if bracket in "[(":
            self._open_brackets.append(bracket)
        elif self._open_brackets:
            self._open_brackets.pop()
        return bracket
