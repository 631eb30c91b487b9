"""Thoughts between an opening and a closing mark, before the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.text.detokenize import overlap
from server.text.reasoning.api import TOKEN, Place, ReasoningParser, ReasoningSplit, Spelling, ThoughtRules, read_whole
from server.text.tool_calls.grammar.builder import GrammarBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Implements ReasoningFormat. Of several marks any one counts, and the first is written. `unmarked`: where an answer begins when the
    template writes no mark at the prompt's end."""

    opens: tuple[str, ...]
    closes: tuple[str, ...]
    gap: str = "\n\n"  # behind the closing mark
    unmarked: Place = "before"

    @property
    def marks(self) -> tuple[str, ...]:
        return (*self.opens, *self.closes)

    @property
    def reopening(self) -> tuple[str, ...]:
        return self.opens

    def end(self, *, calls: bool) -> str:
        return self.closes[0] + self.gap

    def place(self, prompt: str, tail: str) -> Place:
        opened, closed = (max(map(tail.rfind, marks)) for marks in (self.opens, self.closes))
        return self.unmarked if opened == closed else "thoughts" if opened > closed else "answer"

    def parser(self, place: Place, spelling: Spelling, call_marks: Sequence[str] = ()) -> ReasoningParser:
        opens, closes = tuple(map(spelling, self.opens)), tuple(map(spelling, self.closes))
        return TagParser(place, opens, closes, tuple(TOKEN + mark for mark in call_marks))

    def split(self, text: str) -> ReasoningSplit:
        return read_whole(self.parser("before", Spelling()), text)

    def rules(self, place: Place, builder: GrammarBuilder, calls: str = "") -> ThoughtRules:
        if place == "answer":
            return ThoughtRules()
        gap, space = builder.terminal(r"/\s{1,4}/"), builder.terminal(r"/\s{1,2}/")
        opener = f"{space}? ({' | '.join(map(builder.text, self.opens))})" if place == "before" else ""
        closed = f"{opener} ({' | '.join(map(builder.until, self.closes))}) {gap}?"
        within = f"{opener} {builder.terminal('/(?s:.*)/')} {calls}" if calls else ""
        return ThoughtRules(thoughts=f"({closed})?" if place == "before" else closed, within=within)


class TagParser:
    """Implements ReasoningParser. White space next to the marks is dropped, and so is an opening mark where the prompt has one already."""

    def __init__(self, place: Place, opens: tuple[str, ...], closes: tuple[str, ...], call_marks: tuple[str, ...] = ()) -> None:
        """`call_marks`: belong to the answer that begins with one of them."""
        self.place: Place = place
        self.undecided = False
        self.marks_read = 0
        self._opens, self._closes, self._ends = opens, closes, (*closes, *call_marks)
        self._held = ""
        self._may_open = place in ("before", "thoughts")
        self._started = False  # some thoughts have been returned

    def push(self, text: str) -> ReasoningSplit:
        split, rest = ReasoningSplit(), self._held + text
        self._held, self.undecided = "", False
        if self._may_open:
            rest = self._read_open(rest)
        if self.place == "thoughts" and not self._may_open:
            split.reasoning, rest = self._read_thoughts(rest)
        if self.place == "between" and (rest := rest.lstrip()):
            self.place = "answer"
        if self.place == "answer":
            split.answer = rest
        return split

    def flush(self) -> ReasoningSplit:
        held, self._held, self.undecided = self._held, "", False
        return ReasoningSplit(reasoning=held.rstrip()) if self.place == "thoughts" else ReasoningSplit(answer=held)

    def _read_open(self, text: str) -> str:
        start = text.lstrip()
        mark = next((mark for mark in self._opens if start.startswith(mark)), "")
        if not mark and any(mark.startswith(start) for mark in self._opens):
            self._held, self.undecided = text, bool(text)
            return ""
        self._may_open = False
        if mark:
            self.place = "thoughts"
            self.marks_read += 1
            return start[len(mark) :]
        if self.place == "before":
            self.place = "answer"
        return text

    def _read_thoughts(self, text: str) -> tuple[str, str]:
        text = text if self._started else text.lstrip()
        found = min(((at, mark) for mark in self._ends if (at := text.find(mark)) >= 0), default=None)
        if found:
            at, mark = found
            self.marks_read += 1
            self.place = "between" if mark in self._closes else "answer"
            return text[:at].rstrip(), text[at + len(mark) if mark in self._closes else at :]
        partial = max(overlap(text, mark) for mark in self._ends)
        certain = len(text[: len(text) - partial].rstrip())  # white space may precede the closing mark
        self._held, self.undecided = text[certain:], partial > 0
        self._started = self._started or certain > 0
        return text[:certain], ""
