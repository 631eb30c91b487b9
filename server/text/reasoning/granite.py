"""Granite 3, which thinks only where the template asks for it in words: with sentences for marks (3.2), or with tags (3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.text.reasoning.answer_tags import AnswerTags
from server.text.reasoning.api import Place, ReasoningFormat, ReasoningParser, ReasoningSplit, Spelling, ThoughtRules
from server.text.reasoning.tags import Tags
from server.text.reasoning.think import THINK
from server.text.tool_calls.grammar.builder import GrammarBuilder


@dataclass(frozen=True, slots=True)
class Asked:
    """Implements ReasoningFormat: `format`, in prompts in which the template has its marks."""

    format: ReasoningFormat

    @property
    def marks(self) -> tuple[str, ...]:
        return self.format.marks

    @property
    def reopening(self) -> tuple[str, ...]:
        return self.format.reopening

    def end(self, *, calls: bool) -> str:
        return self.format.end(calls=calls)

    def place(self, prompt: str, tail: str) -> Place:
        return self.format.place(prompt, tail) if any(mark in prompt for mark in self.marks) else "answer"

    def parser(self, place: Place, spelling: Spelling, call_marks: Sequence[str] = ()) -> ReasoningParser:
        return self.format.parser(place, spelling, call_marks)

    def split(self, text: str) -> ReasoningSplit:
        return self.format.split(text)

    def rules(self, place: Place, builder: GrammarBuilder, calls: str = "") -> ThoughtRules:
        return ThoughtRules() if place == "answer" else self.format.rules(place, builder, calls)


GRANITE_32 = Asked(
    Tags(opens=("Here is my thought process:", "Here's my thought process:"), closes=("Here is my response:", "Here's my response:"))
)
GRANITE_33 = Asked(AnswerTags(thoughts=THINK, open="<response>", close="</response>"))
