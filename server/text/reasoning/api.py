"""What the rest of the server knows of how a model writes its thoughts. server/text/reasoning/detect.py finds the format of a
checkpoint."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal, Protocol

from server.text.tool_calls.grammar.builder import GrammarBuilder

# of a sequence. before: thoughts may begin; between: they are over, and the answer has yet to begin
Place = Literal["before", "thoughts", "between", "answer"]

TOKEN = "\ufdd0"  # a noncharacter, before a mark that the model has written as one token


@dataclass(slots=True)
class ReasoningSplit:
    reasoning: str = ""
    answer: str = ""


class ReasoningParser(Protocol):
    """Splits thoughts from the answer. `push` returns what is certain, `flush` the rest; in what parts the text arrives makes no
    difference. TOKEN before what turned out to be no mark is left to the caller."""

    @property
    def place(self) -> Place: ...

    @property
    def undecided(self) -> bool:
        """Text is held back that may belong to a mark."""
        ...

    @property
    def marks_read(self) -> int: ...

    def push(self, text: str) -> ReasoningSplit: ...

    def flush(self) -> ReasoningSplit: ...


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a tokenizer writes marks. `tokens`: those that are one token; the same characters in several tokens are text."""

    tokens: Set[str] = frozenset()

    def __call__(self, mark: str) -> str:
        """What a parser looks for."""
        return TOKEN + mark if mark in self.tokens else mark


@dataclass(frozen=True, slots=True)
class ThoughtRules:
    """Lark around an answer. `thoughts`: before it; `opening`, `closing`: marks around an answer that is no call; `within`: thoughts that
    end in calls, an alternative to all of it ("": there is none)."""

    thoughts: str = ""
    opening: str = ""
    closing: str = ""
    within: str = ""


class ReasoningFormat(Protocol):
    """How a family of models writes its thoughts."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Strings around thoughts and answers: tokens where the tokenizer has them, else text."""
        ...

    @property
    def reopening(self) -> tuple[str, ...]:
        """Texts with which thoughts begin."""
        ...

    def end(self, *, calls: bool) -> str:
        """The text with which the model is made to end its thoughts. `calls`: tool calls may follow."""
        ...

    def place(self, prompt: str, tail: str) -> Place:
        """Where an answer begins. `prompt`: as rendered, in which text from outside has no marks; `tail`: the part of it behind the last
        control token that is no mark."""
        ...

    def parser(self, place: Place, spelling: Spelling, call_marks: Sequence[str] = ()) -> ReasoningParser:
        """`call_marks`: one of these as a token begins a tool call, also within thoughts."""
        ...

    def split(self, text: str) -> ReasoningSplit:
        """Of an earlier answer, whose text may have the thoughts in it."""
        ...

    def rules(self, place: Place, builder: GrammarBuilder, calls: str = "") -> ThoughtRules:
        """`calls`: the name of a rule for calls that begin with a token."""
        ...


@dataclass(frozen=True, slots=True)
class Thoughts:
    """Of one answer: the model's format, and where the answer begins."""

    format: ReasoningFormat
    place: Place


def read_whole(parser: ReasoningParser, text: str) -> ReasoningSplit:
    first, rest = parser.push(text), parser.flush()
    return ReasoningSplit(first.reasoning + rest.reasoning, first.answer + rest.answer)


def plain(text: str) -> str:
    """Marks that were no marks where they stood are text."""
    return text.replace(TOKEN, "") if TOKEN in text else text
