"""Marks of passages in an answer, [1] for the first, read while it is being written. What is a mark is decided here, once: what
is taken out of an answer and what is cited rest on the same reading.

A numeric bracket is text and no mark where it stands in code or behind or in another bracket ("[x][7]"), where it is the text of a
link, and where a passage has the same bracket itself: the interval [0, 1], a list [10, 20]. Directly behind a word it is a mark if it
names passages ("31 days[1]"), else text ("a[7]")."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retrieval.search.lexical import UNSPACED

LONG = 200  # characters: longer brackets are no marks, and a backtick without another so near begins no code
WHOLE = re.compile(rf"\[(?=[\d,;\s]{{1,{LONG}}}\])(\d{{1,3}}(?:\s*[,;]\s*\d{{1,3}})*)\](?!\()")
HALF = re.compile(rf"\[[\d,;\s]{{0,{LONG}}}\Z")
BEGUN = re.compile(rf"\[[\d,;\s]{{0,{LONG}}}\]?\Z")  # what may become a mark
NUMERIC = re.compile(r"\[[\d,;\s]+\]")
WORD = re.compile(rf"[^\W{UNSPACED}]")  # a mark behind a Chinese word has no space before it
SPECIAL = re.compile(r"[`\[\]()\n]")
FENCE = re.compile(r"[ \t]*(?:(`{3,})[^`\n]*|(~{3,})[^\n]*)")
MAY_FENCE = re.compile(r"[ \t]*(?:`{0,2}|`{3,}[^`\n]*|~{0,2}|~{3,}[^\n]*)")


@dataclass(frozen=True, slots=True)
class CitationMark:
    """Without numbers it is one that has not been brought to its end."""

    text: str
    numbers: tuple[int, ...]


Part = str | CitationMark


def parts_to_text(parts: Iterable[Part]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)


class CitationMarkParser:
    """Of an answer out of these passages. However it is cut, its parts are the same, but for where text is parted from text."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = len(passages)
        self._known = {"".join(found.split()) for text in passages for found in NUMERIC.findall(text)}
        self._held = ""
        self._begins = True  # a line
        self._fence = ""  # that of the code block which is open
        self._open: list[str] = []  # brackets of this paragraph
        self._before = ""  # the character before; "" behind a mark

    def push(self, text: str, *, last: bool = False) -> list[Part]:
        """What is certain now. With the `last` everything is."""
        text, at, parts = self._held + text, 0, list[Part]()
        while at < len(text) and (part := self._next(text, at, last)) is not None:
            parts.append(part)
            at += len(parts_to_text([part]))
            self._before = part[-1] if isinstance(part, str) else ""
        self._held = text[at:]
        return parts

    def _next(self, text: str, at: int, last: bool) -> Part | None:
        """None: that depends on what comes."""
        if self._begins:
            return self._line(text, at, last)
        if self._fence:
            return self._rest_of_line(text, at)
        found = SPECIAL.search(text, at)
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
                return self._paired(other)

    def _line(self, text: str, at: int, last: bool) -> Part | None:
        """A line begins: is it a fence?"""
        line, broken, _ = text[at:].partition("\n")
        closing = rf"[ \t]*{self._fence}{self._fence[:1]}*[ \t]*"
        may = re.compile(rf"[ \t]*{self._fence[0]}*[ \t]*") if self._fence else MAY_FENCE
        if not (broken or last) and may.fullmatch(line):
            return None
        self._begins = False
        if not line.strip():
            self._open.clear()
        if self._fence:
            self._fence = "" if re.fullmatch(closing, line) else self._fence
            return self._rest_of_line(text, at)
        if (fence := FENCE.fullmatch(line)) and (broken or last):
            self._fence = fence[1] or fence[2]
            return self._rest_of_line(text, at)
        return self._next(text, at, last)

    def _rest_of_line(self, text: str, at: int) -> str:
        line, broken, _ = text[at:].partition("\n")
        self._begins = bool(broken)
        return line + broken

    def _code(self, text: str, at: int, last: bool) -> str | None:
        """Code within a line is closed by as many backticks as have opened it; others are text."""
        ticks = text[at : at + len(text[at:]) - len(text[at:].lstrip("`"))]
        begin = at + len(ticks)
        if begin == len(text) and not last:
            return None
        stop = text.find("\n", begin, begin + LONG)
        certain = last or stop >= 0 or len(text) >= begin + LONG
        stop = stop if stop >= 0 else min(len(text), begin + LONG)
        closed = re.compile(rf"(?<!`){ticks}(?!`)").search(text, begin, stop)
        if closed and (certain or closed.end() < stop):
            return text[at : closed.end()]
        return ticks if certain else None

    def _bracket(self, text: str, at: int, last: bool) -> Part | None:
        if not last and BEGUN.match(text, at):
            return None
        if whole := WHOLE.match(text, at):
            numbers = tuple(int(number) for number in re.split(r"\D+", whole[1]))
            known = "".join(whole[0].split()) in self._known
            names = not self._behind_word() or all(1 <= number <= self._passages for number in numbers)
            return CitationMark(whole[0], numbers) if self._stands_free() and names and not known else whole[0]
        if half := HALF.match(text, at):
            begun = "".join(half[0].split())
            known = begun != "[" and any(bracket.startswith(begun) for bracket in self._known)
            return CitationMark(half[0], ()) if self._stands_free() and not self._behind_word() and not known else half[0]
        return self._paired("[")

    def _stands_free(self) -> bool:
        return "[" not in self._open and self._before != "]"

    def _behind_word(self) -> bool:
        return bool(WORD.match(self._before))

    def _paired(self, bracket: str) -> str:
        """An interval may close with the other kind: [0, 1)."""
        if bracket in "[(":
            self._open.append(bracket)
        elif self._open:
            self._open.pop()
        return bracket
