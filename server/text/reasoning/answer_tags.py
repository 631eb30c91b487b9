"""Thoughts, and marks around the answer, too: Hunyuan (<answer>), Ernie 4.5 and Granite 3.3 (<response>)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from server.text.detokenize import overlap
from server.text.reasoning.api import Place, ReasoningParser, ReasoningSplit, Spelling, ThoughtRules, read_whole
from server.text.reasoning.tags import Tags
from server.text.reasoning.think import THINK
from server.text.tool_calls.grammar.builder import GrammarBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTags:
    """Implements ReasoningFormat. The answer is on lines of its own; a model may leave its marks out."""

    thoughts: Tags
    open: str
    close: str

    @property
    def marks(self) -> tuple[str, ...]:
        return (*self.thoughts.marks, self.open, self.close)

    @property
    def reopening(self) -> tuple[str, ...]:
        return self.thoughts.reopening

    def end(self, *, calls: bool) -> str:
        return self.thoughts.end(calls=calls) if calls else f"{self.thoughts.closes[0]}\n{self.open}\n"

    def place(self, prompt: str, tail: str) -> Place:
        return self.thoughts.place(prompt, tail)

    def parser(self, place: Place, spelling: Spelling, call_marks: Sequence[str] = ()) -> ReasoningParser:
        return AnswerParser(self.thoughts.parser(place, spelling, call_marks), spelling(self.open), spelling(self.close))

    def split(self, text: str) -> ReasoningSplit:
        return read_whole(self.parser("before", Spelling()), text)

    def rules(self, place: Place, builder: GrammarBuilder, calls: str = "") -> ThoughtRules:
        rules = self.thoughts.rules(place, builder, calls)
        return replace(rules, opening=builder.text(f"{self.open}\n"), closing=builder.text(f"\n{self.close}"))


class AnswerParser:
    """Implements ReasoningParser. White space next to the marks is dropped."""

    def __init__(self, thoughts: ReasoningParser, open: str, close: str) -> None:
        self._thoughts, self._open, self._close = thoughts, open, close
        self._state: Literal["opening", "opened", "inside", "behind", "unmarked"] = "opening"
        self._held = ""
        self._partial = False
        self._marks_read = 0

    @property
    def place(self) -> Place:
        if self._thoughts.place != "answer":
            return self._thoughts.place
        return "answer" if self._state in ("inside", "unmarked") else "between"

    @property
    def undecided(self) -> bool:
        return self._thoughts.undecided or self._partial

    @property
    def marks_read(self) -> int:
        return self._thoughts.marks_read + self._marks_read

    def push(self, text: str) -> ReasoningSplit:
        split = self._thoughts.push(text)
        return ReasoningSplit(split.reasoning, self._read(split.answer))

    def flush(self) -> ReasoningSplit:
        split = self._thoughts.flush()
        answer = self._read(split.answer) + self._held
        self._held, self._partial = "", False
        return ReasoningSplit(split.reasoning, answer)

    def _read(self, text: str) -> str:
        if not text:
            return ""
        text, self._held, self._partial = self._held + text, "", False
        if self._state == "opening":
            text = self._read_open(text)
        if self._state == "opened" and (text := text.lstrip()):
            self._state = "inside"
        if self._state == "inside":
            return self._read_inside(text)
        return text.lstrip() if self._state == "behind" else text

    def _read_open(self, text: str) -> str:
        start = text.lstrip()
        if start.startswith(self._open):
            self._state = "opened"
            self._marks_read += 1
            return start[len(self._open) :]
        if self._open.startswith(start):
            self._held, self._partial = text, True
            return ""
        self._state = "unmarked"
        return text

    def _read_inside(self, text: str) -> str:
        inner, closed, rest = text.partition(self._close)
        if closed:
            self._state = "behind"
            self._marks_read += 1
            return inner.rstrip() + rest.lstrip()
        partial = overlap(text, self._close)
        certain = len(text[: len(text) - partial].rstrip())
        self._held, self._partial = text[certain:], certain < len(text)
        return text[:certain]


HUNYUAN = AnswerTags(thoughts=THINK, open="<answer>", close="</answer>")
ERNIE = AnswerTags(thoughts=THINK, open="<response>", close="</response>")
