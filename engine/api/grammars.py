"""What an answer must look like, and what limits a model's thoughts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema:
    schema: str  # a JSON Schema, as JSON text
    lenient: bool = False  # keywords that cannot be enforced are left out, and the output may not fit them


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    """Any JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lark:
    """In the Lark syntax of llguidance (its docs/syntax.md), special tokens as <[ID]>."""

    source: str


Grammar = JsonSchema | JsonObject | Regex | Choice | Lark


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Brings what a grammar has begun to its end before the tokens run out, with the fewest tokens that were found to do so, and once
    the answer has gone in circles. An answer that was brought to its end has finish="length", and so has one that goes in circles and
    for which no end was found."""

    marks: tuple[str, ...] = ()  # strings that end a text where a quotation mark does not


class ThoughtWatch(Protocol):
    """Follows one answer, told of each token, and tells which are thoughts: where these begin and end is a matter of text."""

    @property
    def thinking(self) -> bool:
        """The thoughts have begun and not ended."""
        ...

    @property
    def count(self) -> int:
        """Tokens of thoughts so far, without the marks around them."""
        ...

    def accept(self, token: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtBudget:
    """A limit of a model's thoughts: once they have so many tokens, `end` is written, whatever the model wants (Qwen3's technical report,
    arXiv 2505.09388, section 4.7). Then no more begin."""

    tokens: int
    end: tuple[int, ...]  # what ends them; a grammar must allow it
    reopening: tuple[tuple[int, ...], ...] = ()  # sequences of tokens with which more would begin
    watch: Callable[[], ThoughtWatch] = field(compare=False, repr=False)  # called once for each answer, used in the engine's thread
